"""Lengths of time in words."""

from __future__ import annotations

_UNITS = (("d", 86_400.0), ("h", 3600.0), ("min", 60.0))


def span(seconds: float | None) -> str:
    """A length of time with a fitting unit; None is for ever.

    >>> span(95), span(7200), span(12 * 86_400), span(None)
    ('95 s', '2 h', '12 d', 'for ever')
    """
    if seconds is None:
        return "for ever"
    for unit, length in _UNITS:
        if seconds >= 2 * length:
            return f"{_short(seconds / length)} {unit}"
    return f"{_short(seconds)} s"


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 10 or value == round(value) else f"{value:.1f}"
