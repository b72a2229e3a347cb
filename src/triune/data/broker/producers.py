"""What idempotent producers sent to a partition, so that what is sent again is not kept twice.

As Kafka does it: a producer numbers its records in each partition; the last five batches of each
are known.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from triune.data.broker.batches import Batch

KNOWN = 5
_LARGEST = 0x7FFF_FFFF


class OutOfOrder(ValueError):
    """Records before these are missing."""


class OldEpoch(ValueError):
    """A producer that another has replaced."""


@dataclass(slots=True)
class _Producer:
    epoch: int
    sent: deque[tuple[int, int, int]] = field(default_factory=lambda: deque(maxlen=KNOWN))


class Producers:
    """The producers of one partition."""

    def __init__(self) -> None:
        self._known: dict[int, _Producer] = {}

    def repeated(self, batch: Batch) -> int | None:
        """The base offset that these records have already; None when they are new.

        Raises
        ------
        OutOfOrder, OldEpoch: they must not be kept.
        """
        known = self._known.get(batch.producer)
        if batch.producer < 0 or known is None:
            return None
        if batch.epoch < known.epoch:
            raise OldEpoch(batch.producer)
        if batch.epoch > known.epoch:
            if batch.sequence != 0:
                raise OutOfOrder(batch.sequence)
            return None
        for first, last, base in known.sent:
            if (first, last) == (batch.sequence, batch.last_sequence):
                return base
        if batch.sequence != (known.sent[-1][1] + 1) & _LARGEST:
            raise OutOfOrder(batch.sequence)
        return None

    def note(self, batch: Batch) -> None:
        """These records are kept, with their offsets."""
        if batch.producer < 0:
            return
        known = self._known.get(batch.producer)
        if known is None or known.epoch != batch.epoch:
            known = self._known[batch.producer] = _Producer(batch.epoch)
        known.sent.append((batch.sequence, batch.last_sequence, batch.base))

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {str(key): [one.epoch, list(one.sent)] for key, one in self._known.items()}

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> Producers:
        """What `to_json` gave."""
        made = cls()
        for key, (epoch, sent) in told.items():
            one = made._known[int(key)] = _Producer(epoch)
            one.sent.extend((first, last, base) for first, last, base in sent)
        return made
