"""How a rollout's numbers are written: shares, times, e-values."""

from __future__ import annotations

from datetime import UTC, datetime

_UNITS = (("d", 86_400.0), ("h", 3600.0), ("min", 60.0))


def span(seconds: float | None) -> str:
    """A length of time with a fitting unit; None is for ever."""
    if seconds is None:
        return "for ever"
    for unit, length in _UNITS:
        if seconds >= 2 * length:
            return f"{_short(seconds / length)} {unit}"
    return f"{_short(seconds)} s"


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


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 10 or value == round(value) else f"{value:.1f}"
