"""When the candidate's weight changed: no cohort lies on both sides of that. Pure.

While predictions become worse for everybody, those of a time with few units at the candidate and
those of a later time with many must not be counted together: most of control's would be of the good
time and most of the candidate's of the bad one, and the candidate would look worse though it never
was (Simpson 1951). Within a stretch of constant weight both arms' predictions are spread alike over
time, so that what all share cancels out.

A change takes a moment, in which some units have moved and others have not, and longer when a
process dies over it. Predictions made meanwhile are not counted.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class Change(msgspec.Struct, frozen=True, array_like=True):
    """The weight changed at some moment from ``begun_us`` until before ``done_us``, microseconds
    since 1970; ``done_us`` is None while it may still be changing."""

    begun_us: int
    done_us: int | None = None

    def during(self, time_us: int) -> bool:
        """Whether the weight is not known at this moment."""
        return self.begun_us <= time_us and (self.done_us is None or time_us < self.done_us)

    def within(self, start_us: int, end_us: int) -> bool:
        """Whether the weight is not the same in all of this stretch."""
        return self.begun_us < end_us and (self.done_us is None or start_us < self.done_us)


def clipped(changes: Sequence[Change], time_us: int, start_us: int, end_us: int) -> tuple[int, int]:
    """The part of a stretch in which the weight is what it is at a moment in it, which is `during`
    no change."""
    for change in changes:
        if change.begun_us > time_us:
            end_us = min(end_us, change.begun_us)
        elif change.done_us is not None:
            start_us = max(start_us, change.done_us)
    return start_us, end_us
