"""Exact sums: any order of additions, removals and merges ends where all units at once do."""

from __future__ import annotations

from fractions import Fraction

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triune.stats.exact_moments import ExactMoments
from triune.stats.log_bins import LogBins, bin_of, edge_of
from triune.stats.summary import Summary

NUMBERS = st.floats(-1e12, 1e12) | st.floats(allow_nan=False, allow_infinity=False, width=16)
ROWS = st.lists(st.tuples(NUMBERS, NUMBERS), max_size=30)


def of(rows: list[tuple[float, float]]) -> ExactMoments:
    found = ExactMoments(2)
    for row in rows:
        found.add(row)
    return found


@given(ROWS, ROWS)
def test_two_merged_are_all_of_their_units(one: list, other: list) -> None:
    merged = of(one)
    merged.merge(of(other))
    assert merged == of([*other, *one])


@given(ROWS.filter(bool), st.tuples(NUMBERS, NUMBERS))
def test_a_replaced_row_leaves_no_trace(rows: list, new: tuple[float, float]) -> None:
    changed = of(rows)
    changed.replace(rows[0], new)
    assert changed == of([*rows[1:], new])


@given(ROWS.filter(lambda rows: len(rows) > 1))
def test_moments_are_the_true_ones_rounded_once(rows: list) -> None:
    summary, n = of(rows).summary(), len(rows)
    columns = [[Fraction(x) for x in column] for column in zip(*rows, strict=True)]
    means = [sum(column) / n for column in columns]
    for i in range(2):
        assert summary.mean[i] == float(means[i])
        for j in range(2):
            apart = [
                (x - means[i]) * (y - means[j]) for x, y in zip(columns[i], columns[j], strict=True)
            ]
            assert summary.cov[i, j] == float(sum(apart) / (n - 1))


@given(ROWS)
def test_it_reads_back_as_it_was_written(rows: list) -> None:
    written = msgspec.json.encode(of(rows).to_json())
    assert ExactMoments.from_json(msgspec.json.decode(written)) == of(rows)


@given(st.lists(NUMBERS, min_size=2, max_size=50))
def test_it_agrees_with_the_summary_of_arrays(values: list[float]) -> None:
    found = ExactMoments(1)
    for value in values:
        found.add((value,))
    plain = Summary.of(values)
    scale = max(1.0, *map(abs, values))
    assert np.allclose(found.summary().mean, plain.mean, rtol=1e-12, atol=1e-12 * scale)
    assert np.allclose(found.summary().cov, plain.cov, rtol=1e-9, atol=1e-12 * scale**2)


@pytest.mark.parametrize("row", [(float("nan"), 0.0), (0.0, float("inf")), (1.0,)])
def test_what_is_no_row_is_refused_and_changes_nothing(row: tuple[float, ...]) -> None:
    found = of([(1.0, 2.0)])
    with pytest.raises(ValueError, match=r"finite|columns"):
        found.replace((1.0, 2.0), row)
    assert found == of([(1.0, 2.0)])


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_value_lies_in_its_bin(value: float) -> None:
    low, high = edge_of(bin_of(value)), edge_of(bin_of(value) + 1)
    slack = 1e-12 * abs(value)
    assert low - slack <= value <= high + slack


@given(st.lists(NUMBERS, max_size=30), st.lists(NUMBERS, max_size=30))
def test_histograms_forget_what_is_removed(kept: list[float], gone: list[float]) -> None:
    bins, other = LogBins(), LogBins()
    for value in [*gone, *kept]:
        bins.add(value)
    for value in gone:
        bins.add(value, -1)
    for value in kept:
        other.add(value)
    assert bins == other
    with pytest.raises(ValueError, match="never added"):
        LogBins().add(1.0, -1)
