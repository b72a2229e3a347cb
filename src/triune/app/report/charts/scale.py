"""From values to places, and which values to print beside the axes. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps ``low..high`` to ``begin..end``, evenly or by the logarithm."""

    low: float
    high: float
    begin: float
    end: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        low, high, here = self.low, self.high, value
        if self.logarithmic:
            low, high, here = math.log10(low), math.log10(high), math.log10(max(value, self.low))
        share = (here - low) / (high - low) if high > low else 0.5
        return self.begin + share * (self.end - self.begin)


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round values between ``low`` and ``high``, about so many."""
    if high <= low:
        return [low]
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(i * step, 10) for i in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2, 5, 10, ... between ``low`` and ``high``."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    every = [m * 10.0**p for p in powers for m in (1, 2, 5)]
    return [tick for tick in every if low <= tick <= high]


def time_ticks(seconds: float, about: int = 9) -> list[float]:
    """Round moments from 0 to ``seconds``."""
    steps = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)
    step = next((s for s in steps if seconds / s <= about), steps[-1])
    return [float(i * step) for i in range(int(seconds / step) + 1)]


def clock(seconds: float) -> str:
    """``45 s``, or ``2:05``."""
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60}:{whole % 60:02}"


def number(value: float) -> str:
    """A short number: ``0.5``, ``20``, ``1.2k``, ``3e+08``."""
    if abs(value) >= 1e6:
        return f"{value:.2g}"
    if abs(value) >= 1000:
        return f"{value / 1000:.3g}k"
    return f"{value:.4g}"


def spread(places: Sequence[float], least: float = 15.0) -> list[float]:
    """The places, moved down as far as it takes that labels on them do not touch."""
    order = sorted(range(len(places)), key=lambda i: places[i])
    moved = list(places)
    for before, after in pairwise(order):
        moved[after] = max(moved[after], moved[before] + least)
    return moved
