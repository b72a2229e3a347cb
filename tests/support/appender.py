"""A program that appends to a ledger and says of each event when it was accepted.

``python -m tests.support.appender URL JOURNAL NAME COUNT [MODE]``; one line ``NAME-N`` on stdout
for every event, written after `append` (or `record`) returned. MODE: ``append`` (default),
``record`` (batches of ten) or ``nodrain`` (append only; nothing is drained).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.support.events import made
from triune.ledger.envelope import Event
from triune.ledger.journal import Journal
from triune.ledger.ports import Position
from triune.ledger.service import Ledger


def subject(name: str, number: int) -> str:
    """What the ``number``-th event of a writer is about."""
    return f"run:{name}-{number}"


def main(url: str, journal: str, name: str, count: str, mode: str = "append") -> None:
    if mode == "nodrain":
        target = Journal(Path(journal))
        for number in range(int(count)):
            target.append(_event(name, number))
            _accepted(name, number)
        return
    ledger = Ledger.open(url, Path(journal), workspace="test")
    if mode == "record":
        for start in range(0, int(count), 10):
            numbers = range(start, start + 10)
            ledger.record(
                [_event(name, number) for number in numbers],
                position=Position(name, str(start + 10)),
            )
            for number in numbers:
                _accepted(name, number)
    else:
        for number in range(int(count)):
            ledger.append(_event(name, number))
            _accepted(name, number)
    ledger.close()


def _event(name: str, number: int) -> Event:
    return made(
        subject=subject(name, number),
        parents={"commit:c": "commit"},
        identifier=f"{name}-{number:08d}",
        payload={"filling": "x" * 50},
    )


def _accepted(name: str, number: int) -> None:
    os.write(1, f"{subject(name, number)}\n".encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
