"""Buckets for any text, and what rising weights do to units."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from triune.core.assignment import TOTAL, bucket, buckets
from triune.delivery.gateway.backends.memory import MemoryGateway
from triune.delivery.gateway.model import Route, Table, Target, Upstream

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)
UNITS = st.lists(TEXT.filter(bool), min_size=1, max_size=30, unique=True)


@given(TEXT, st.lists(TEXT, max_size=20))
def test_many_at_once_are_the_same_as_one_by_one(salt: str, units: list[str]) -> None:
    found = buckets(salt, units).tolist()
    assert found == [bucket(salt, unit) for unit in units]
    assert all(0 <= place < TOTAL for place in found)


@st.composite
def ramps(draw: st.DrawFn) -> list[tuple[int, int, int]]:
    """Weights of three arms; the first arm's never falls, the others share the rest anyhow."""
    first = sorted(draw(st.lists(st.integers(0, TOTAL), min_size=2, max_size=6)))
    splits = [draw(st.integers(0, TOTAL - weight)) for weight in first]
    return [(w, split, TOTAL - w - split) for w, split in zip(first, splits, strict=True)]


@given(ramps(), UNITS)
def test_while_the_first_weight_rises_no_unit_comes_back(
    weights: list[tuple[int, int, int]], units: list[str]
) -> None:
    reached: set[str] = set()
    for shares in weights:
        gateway = routed(shares)
        now = {unit for unit in units if arm(gateway, unit) == "first"}
        assert reached <= now
        assert now == {unit for unit in units if bucket("flights", unit) < shares[0]}
        reached = now


@given(ramps(), UNITS)
def test_ranges_are_half_open_and_lie_in_order(
    weights: list[tuple[int, int, int]], units: list[str]
) -> None:
    for first, second, _ in weights:
        gateway = routed((first, second, TOTAL - first - second))
        for unit in units:
            place = bucket("flights", unit)
            expected = "first" if place < first else "second" if place < first + second else "third"
            assert arm(gateway, unit) == expected


def routed(shares: tuple[int, int, int]) -> MemoryGateway:
    names = ("first", "second", "third")
    gateway = MemoryGateway()
    targets = tuple(Target(name, share) for name, share in zip(names, shares, strict=True))
    arms = tuple(Upstream(name, "127.0.0.1", 1, name, f"release:{name}") for name in names)
    gateway.apply(Table(arms, (Route("flights", targets),)))
    return gateway


def arm(gateway: MemoryGateway, unit: str) -> str:
    found = gateway.answers("/flights/x", unit)
    assert found is not None
    return found.arm
