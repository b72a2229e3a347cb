"""How much a column moved."""

from __future__ import annotations

import pytest

from triune.data.shift.levels import judged
from triune.data.shift.model import Level


@pytest.mark.parametrize(
    ("before", "after", "level"),
    [
        ([5000, 5000], [5020, 4980], Level.CHANCE),
        ([5000, 5000], [5500, 4500], Level.SMALL),
        ([5000, 5000], [7000, 3000], Level.MODERATE),
        ([5000, 5000], [9000, 1000], Level.LARGE),
        ([5, 5], [8, 2], Level.CHANCE),
        ([0, 0], [8, 2], Level.UNKNOWN),
        ([7, 0], [9, 0], Level.CHANCE),
    ],
)
def test_levels_follow_the_index_and_chance(
    before: list[int], after: list[int], level: Level
) -> None:
    assert judged(before, after, same=False).level is level


def test_what_does_not_differ_is_the_same() -> None:
    assert judged([3, 4], [3, 4], same=True).level is Level.SAME
    assert judged([0], [0], same=True).level is Level.SAME


def test_every_level_has_its_sentence() -> None:
    assert all(level.sentence for level in Level)
