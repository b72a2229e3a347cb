"""Scheduled changes of flags, done when their time comes; the guard does it beside its own work."""

from __future__ import annotations

import threading

from triune.app import daemon
from triune.core.errors import TriuneError
from triune.delivery.flags.planning import Planning

LOOK_SECONDS = 1.0


def keep(plans: Planning, stop: threading.Event) -> None:
    """Carry out what is due until told to stop; what failed is tried again at the next look."""
    last = ""
    while not stop.is_set():
        said = look(plans)
        if said and said != last:
            daemon.tell(said)
        last = said
        stop.wait(LOOK_SECONDS)


def look(plans: Planning) -> str:
    """Carry out what is due; why that could not be done, or nothing."""
    try:
        for plan in plans.carry_out():
            words = f": {plan.words}" if plan.words else ""
            daemon.tell(f"flag {plan.key}, {plan.id} ({plan.action}): {plan.outcome}{words}")
    except TriuneError as error:
        return f"scheduled flags: {error.reference}: {error.message}"
    return ""
