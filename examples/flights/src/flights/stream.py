"""Departures as a stream: what the recent delay at an origin is counted from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from math import log1p
from pathlib import Path
from typing import Any

from flights.data import KEY
from flights.features import DELAY_BOUNDS, read_flights

DATA = Path("data/nycflights")


def departures(
    workspace: Path, after: datetime | None, until: datetime | None
) -> Iterator[Mapping[str, Any]]:
    """An event for each flight that left between two moments, in the order in which they left."""
    flights = read_flights(workspace / DATA).dropna(subset=["departed"])
    if after is not None:
        flights = flights[flights["departed"] > after]
    if until is not None:
        flights = flights[flights["departed"] <= until]
    flights = flights.sort_values("departed", kind="stable").reset_index()
    left = flights["departed"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    columns = (flights[KEY].astype(str), flights["origin"], left, flights["dep_delay"])
    for flight, origin, departed, delay in zip(*columns, strict=True):
        yield {"flight": flight, "origin": origin, "departed": departed, "dep_delay": delay}


def prepare(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """The event with its ``delay`` within bounds, as `flights.features` counts it."""
    low, high = DELAY_BOUNDS
    return {**event, "delay": min(max(float(event["dep_delay"]), low), high)}


def logarithm(delay: float) -> float:
    """Of the minutes above the lowest delay."""
    return log1p(max(delay - DELAY_BOUNDS[0], 0.0))
