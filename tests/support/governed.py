"""Flags of a shop in memory, with a clock that is set by hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from tests.support.shadows import HandClock
from tests.support.sql import SqlStore
from triune.delivery.flags.model import Flag
from triune.delivery.flags.planning import Planning
from triune.delivery.flags.service import Flags
from triune.ledger.journal import Journal
from triune.ledger.service import Ledger

START = HandClock().now()
ADA, BOB, EVE, MAX = "user:ada", "user:bob", "user:eve", "user:max"
NEW = Flag("new-ui", enabled=True, variants={"on": True, "off": False}, default="off")


class Hand(HandClock):
    """A clock that stands until it is moved."""

    def forward(self, **by: float) -> datetime:
        """Later by as much; the time then."""
        self.seconds += timedelta(**by).total_seconds()
        return self.now()


class Shop:
    """The flags and plans of a workspace; ``another`` is what another process would see of it."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.clock = ledger, Hand()
        self.flags = Flags(ledger, "shop", self.clock)
        self.plans = Planning(ledger, self.flags, "shop", self.clock)

    def another(self) -> Planning:
        return Planning(self.ledger, Flags(self.ledger, "shop", self.clock), "shop", self.clock)

    def later(self, **by: float) -> datetime:
        """A time to come."""
        return self.clock.now() + timedelta(**by)

    def flag(self) -> Flag:
        return self.flags.current().find("new-ui")


@contextmanager
def shop(folder: Path) -> Iterator[Shop]:
    """A shop with one flag, `NEW`, that ``user:ada`` made."""
    with closing(Ledger(SqlStore(), Journal(folder), workspace="shop")) as ledger:
        made = Shop(ledger)
        made.flags.set(NEW, "the new page", actor=ADA)
        yield made
