"""Latencies as the gateway reports them: counts in decimal bins of two significant digits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

MEDIAN_MS, SPREAD = 60.0, 0.6
TAIL_FROM = 0.95

DECIMALS = np.array([mantissa * 10.0**e for e in range(4) for mantissa in range(10, 100)]) / 10.0
EDGES = DECIMALS[(DECIMALS >= 5.0) & (DECIMALS <= 3000.0)]
"""Lower edges in milliseconds: 5.0, 5.1, ... 9.9, 10, 11, ... 100, 110, ... 1000, ... 3000."""


@dataclass(frozen=True, slots=True)
class Law:
    """A log-normal latency; ``tail`` stretches what lies above the 95th percentile."""

    scale: float = 1.0
    tail: float = 1.0

    def table(self) -> np.ndarray:
        """The bin of each of 65536 equally likely latencies."""
        chance = (np.arange(65536) + 0.5) / 65536
        values = MEDIAN_MS * self.scale * np.exp(SPREAD * ndtri(chance))
        values[chance > TAIL_FROM] *= self.tail
        return np.maximum(np.searchsorted(EDGES, values, side="right") - 1, 0)


def histograms(draw: np.random.Generator, table: np.ndarray, requests: np.ndarray) -> np.ndarray:
    """Counts (runs, bins) of ``requests[run]`` independent latencies."""
    bins, runs = len(EDGES), len(requests)
    offset = np.repeat(np.arange(runs) * bins, requests)
    picks = draw.integers(0, 65536, len(offset), dtype=np.uint16)
    counts = np.bincount(offset + table[picks], minlength=runs * bins)
    return counts.astype(np.int32).reshape(runs, bins)


def limit(quantile: float) -> float:
    """The true quantile of the undisturbed law, in milliseconds."""
    return float(MEDIAN_MS * np.exp(SPREAD * ndtri(quantile)))
