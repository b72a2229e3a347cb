"""Long lists of faults: some of them in every run of the suite, all of them when asked.

``TRIUNE_FAULTS=all`` (as ``make chaos`` sets it) plays all. Else a run plays evenly spread ones,
and which they are moves on by one every day, so that all have their turn.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")
_DAY = 86_400


def some(items: Sequence[T], most: int, *, day: int | None = None) -> list[T]:
    """At most ``most`` of the items, in their order; all when all are asked for.

    >>> some("abcdefg", 3, day=0), some("abcdefg", 3, day=1)
    (['a', 'd', 'g'], ['b', 'e'])
    """
    if os.environ.get("TRIUNE_FAULTS") == "all" or len(items) <= most:
        return list(items)
    stride = -(-len(items) // most)
    today = int(time.time() // _DAY) if day is None else day
    return list(items[today % stride :: stride])
