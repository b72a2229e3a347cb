"""Buckets: the cases written by others, the edges of the encoding, and what has none."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import mmh3
import pytest

from triune.core.assignment import TOTAL, bucket, buckets
from triune.core.errors import Refused

CASES = json.loads((Path(__file__).parents[2] / "cases" / "assignment.json").read_text())["cases"]


def test_the_cases_written_by_others() -> None:
    assert len(CASES) > 200
    assert [bucket(c["salt"], c["unit"]) for c in CASES] == [c["bucket"] for c in CASES]


def test_the_cases_at_once() -> None:
    for salt in {c["salt"] for c in CASES}:
        ours = [c for c in CASES if c["salt"] == salt]
        found = buckets(salt, [c["unit"] for c in ours])
        assert found.tolist() == [c["bucket"] for c in ours]


@pytest.mark.parametrize(
    ("length", "head"),
    [
        (0, b"\x60"),
        (23, b"\x77"),
        (24, b"\x78\x18"),
        (255, b"\x78\xff"),
        (256, b"\x79\x01\x00"),
        (65_535, b"\x79\xff\xff"),
        (65_536, b"\x7a\x00\x01\x00\x00"),
    ],
)
def test_lengths_are_written_in_their_shortest_form(length: int, head: bytes) -> None:
    unit = "é" * (length // 2) + "u" * (length % 2)
    data = b"\x82\x61s" + head + unit.encode()
    expected = mmh3.hash(data, signed=False) * TOTAL >> 32
    assert bucket("s", unit) == expected
    assert buckets("s", [unit, unit]).tolist() == [expected, expected]


def test_no_units_have_no_buckets() -> None:
    found = buckets("flights", [])
    assert found.shape == (0,)
    assert found.dtype.kind == "i"


@pytest.mark.parametrize(("salt", "unit"), [("s", "a\ud800b"), ("\udfff", "u")])
def test_half_a_surrogate_pair_is_refused(salt: str, unit: str) -> None:
    for attempt in (lambda: bucket(salt, unit), lambda: buckets(salt, ["fine", unit])):
        with pytest.raises(Refused) as refused:
            attempt()
        assert refused.value.reference == "unit-not-text"
        assert refused.value.hint


def test_the_buckets_are_evenly_filled() -> None:
    """Chi-square of 100 groups of 100 buckets; 99 degrees of freedom, p = 1e-6 at 180."""
    counts = [0] * 100
    for place in buckets("flights/delay", [f"user-{n}" for n in range(100_000)]).tolist():
        counts[place // 100] += 1
    assert sum((count - 1000) ** 2 / 1000 for count in counts) < 180


def test_salts_assign_independently() -> None:
    units = [f"user-{n}" for n in range(20_000)]
    both = (buckets("a", units) < TOTAL // 2) & (buckets("b", units) < TOTAL // 2)
    assert abs(int(both.sum()) - 5_000) < 5 * 62  # five standard deviations


def test_numpy_is_only_loaded_for_many() -> None:
    code = (
        "import sys; from triune.core.assignment import bucket; bucket('a', 'b'); "
        "sys.exit('numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
