"""SVG elements as text, escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

WIDTH = 1040
Point = tuple[float, float]


def el(name: str, *children: str, text: str = "", **attributes: object) -> str:
    """One element. ``cls`` becomes ``class``; underscores in names become hyphens."""
    words = "".join(
        f' {_name(key)}="{_value(value)}"' for key, value in attributes.items() if value is not None
    )
    inside = escape(text, quote=False) + "".join(children)
    return f"<{name}{words}>{inside}</{name}>" if inside else f"<{name}{words}/>"


def drawing(height: float, *children: str, title: str, words: str) -> str:
    """A whole drawing, as wide as the page, with a name and a description for readers."""
    return el(
        "svg",
        el("title", text=title),
        el("desc", text=words),
        *children,
        viewBox=f"0 0 {WIDTH} {_value(height)}",
        role="img",
        xmlns="http://www.w3.org/2000/svg",
    )


def line(start: Point, end: Point, cls: str) -> str:
    """A straight line."""
    return el("line", x1=start[0], y1=start[1], x2=end[0], y2=end[1], cls=cls)


def bar(across: Point, up: Point, cls: str, hover: str) -> str:
    """A bar that says something on hover; ``across`` is its left end and width, ``up`` its top and
    bottom."""
    (x, wide), (top, bottom) = across, up
    gap = min(1.0, wide * 0.12)
    return el(
        "rect",
        el("title", text=hover),
        x=x + gap / 2,
        y=top,
        width=max(wide - gap, 0.5),
        height=max(bottom - top, 0.5),
        cls=cls,
    )


def label(at: Point, words: str, cls: str = "", anchor: str = "start") -> str:
    """A piece of text."""
    return el("text", text=words, x=at[0], y=at[1], cls=cls or None, text_anchor=anchor)


def path(points: Sequence[Point], cls: str) -> str:
    """A line through points."""
    steps = [f"{_value(x)} {_value(y)}" for x, y in points]
    return el("path", d="M" + " L".join(steps), cls=cls)


def _name(key: str) -> str:
    if key == "cls":
        return "class"
    return key if key == "viewBox" else key.replace("_", "-")


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return escape(str(value))
