"""How a rollout's numbers are written: shares, times, e-values."""

from __future__ import annotations

from datetime import UTC, datetime


def percent(share: float | None) -> str:
    """A share of one as percent; empty where it is not known."""
    return "" if share is None else f"{share * 100:.3g} %"


def evidence(e: float | None) -> str:
    """An e-value."""
    if e is None:
        return ""
    return f"{e:.0e}" if e >= 1e6 else f"{e:.3g}" if e < 1000 else f"{e:.0f}"


def clock(at: float) -> str:
    """The time of day of a moment in seconds since 1970, in the machine's own time zone."""
    return datetime.fromtimestamp(at, UTC).astimezone().strftime("%H:%M:%S")


def sentence(words: str) -> str:
    """Words as a sentence: a capital first, a full stop last."""
    whole = words[:1].upper() + words[1:]
    return whole if whole.endswith((".", "!", "?")) else f"{whole}."
