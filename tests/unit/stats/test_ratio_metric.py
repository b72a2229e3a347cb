"""A ratio that is the same for every unit has no variance, and never less than none."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from triune.stats.cuped import adjusted
from triune.stats.ratio_metric import ratio
from triune.stats.summary import Summary

COUNTS = st.lists(st.integers(1, 9), min_size=2, max_size=30)


@given(COUNTS, st.floats(0.01, 100.0))
def test_the_variance_of_a_constant_ratio_is_not_below_zero(
    counts: list[int], share: float
) -> None:
    below = np.array(counts, dtype=float)
    found = ratio(Summary.of(below * share, below))
    assert 0.0 <= found.variance <= 1e-12 * share**2
    control, candidate = adjusted(*[Summary.of(below * share, below * share)] * 2)
    assert min(control.variance, candidate.variance) >= 0.0
