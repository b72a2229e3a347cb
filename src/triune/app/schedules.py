"""The daemons that do things at their time: ``flows`` and ``backups``."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from triune.app import daemon, metrics_page
from triune.app.context import Context
from triune.core.cron import due
from triune.core.errors import TriuneError
from triune.core.files import locked
from triune.data.backups import events as backup_events
from triune.ledger.ports import Query

LOOK_SECONDS = 5.0


def flows(context: Context, since: datetime, now: datetime) -> None:
    """Run the flows that are due, one after the other."""
    for name in context.flows.due(since, now):
        daemon.tell(f"{name} begins")
        result = context.flows.run(name, actor="service:flows")
        words = result.parts[-1].words if result.parts else "nothing to do"
        daemon.tell(
            f"{name}: {'done' if result.ok else 'failed'} in {result.seconds:.1f} s: {words}"
        )


def backups(context: Context, since: datetime, now: datetime) -> None:
    """Make the backup that is due, and drill the newest when that is."""
    table = context.backups.table
    if due(table.schedule, _last(context, backup_events.MADE, since), now):
        made = context.backups.run(actor="service:backups")
        daemon.tell(f"backup {made.id}: {made.files} files")
    if due(table.drill, _last(context, backup_events.DRILLED, since), now):
        proof = context.backups.drill(actor="service:backups")
        daemon.tell(f"drill of {proof.id}: {proof.verdict}; {proof.words}")


def _last(context: Context, kind: str, since: datetime) -> datetime:
    """When it last happened; ``since`` when never. A failure counts, so that it is tried again at
    its next time and not at once."""
    what = {backup_events.MADE: "run", backup_events.DRILLED: "drill"}[kind]
    latest = since
    for one in (kind, backup_events.FAILED):
        for stored in context.ledger.select(Query(kind=one, newest_first=True)):
            if one == kind or stored.event.payload.get("what") == what:
                latest = max(latest, stored.event.at)
                break
    return latest


def _standing(context: Context) -> str:
    return backup_events.standing(context.ledger).exposition()


WORKS = {"flows": flows, "backups": backups}


def work(name: str) -> Callable[[Context, threading.Event, Callable[[], None]], None]:
    """The work of one of the daemons: look every few seconds, act, go on after a failure."""

    def run(context: Context, stop: threading.Event, ready: Callable[[], None]) -> None:
        with locked(context.workspace.run_folder / f"{name}.lock"):
            if name == "backups":
                text = partial(_standing, context)
                metrics_page.serve(context.addresses.port("backups.metrics"), text)
            ready()
            since = datetime.now(UTC)
            while not stop.wait(LOOK_SECONDS):
                try:
                    WORKS[name](context, since, datetime.now(UTC))
                except TriuneError as error:
                    daemon.tell(f"{error.reference}: {error.message}")

    return run


if __name__ == "__main__":
    wanted = sys.argv.pop(1)
    daemon.main(wanted, work(wanted))
