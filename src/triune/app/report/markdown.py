"""The Markdown that model cards are written in, as HTML. Everything else stays text.

Headings, paragraphs, tables, fenced code, lists, ``code`` and **bold**; all text is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape

_CODE, _BOLD = re.compile(r"`([^`]+)`"), re.compile(r"\*\*([^*]+)\*\*")
_CELL = re.compile(r"(?<!\\)\|")
DEEPER = 2
"""Headings come this much deeper than written, since a card is a part of a page."""


def to_html(text: str) -> str:
    """The text as HTML."""
    return "\n".join(_blocks(iter([*text.splitlines(), ""])))


def _blocks(lines: Iterator[str]) -> Iterator[str]:
    paragraph: list[str] = []
    table: list[str] = []
    items: list[str] = []
    for line in lines:
        if line.startswith("```"):
            yield from _flush(paragraph, table, items)
            yield _fenced(lines)
        elif line.startswith("|"):
            table.append(line)
        elif line.startswith(("- ", "* ")):
            items.append(line[2:])
        elif line.startswith("#"):
            yield from _flush(paragraph, table, items)
            hashes = len(line) - len(line.lstrip("#"))
            level = min(6, hashes + DEEPER)
            yield f"<h{level}>{_inline(line[hashes:].strip())}</h{level}>"
        elif line.strip():
            paragraph.append(line)
        else:
            yield from _flush(paragraph, table, items)


def _flush(paragraph: list[str], table: list[str], items: list[str]) -> Iterator[str]:
    if paragraph:
        yield f"<p>{_inline(' '.join(paragraph))}</p>"
    if table:
        yield _table(table)
    if items:
        yield "<ul>" + "".join(f"<li>{_inline(item)}</li>" for item in items) + "</ul>"
    for block in (paragraph, table, items):
        block.clear()


def _fenced(lines: Iterator[str]) -> str:
    inside = []
    for line in lines:
        if line.startswith("```"):
            break
        inside.append(line)
    return f"<pre><code>{escape(chr(10).join(inside))}</code></pre>"


def _table(rows: list[str]) -> str:
    cells = [[cell.strip() for cell in _CELL.split(row.strip().strip("|"))] for row in rows]
    body = [row for row in cells[1:] if not all(set(cell) <= set("-: ") for cell in row)]
    head = "".join(f"<th scope=col>{_inline(cell)}</th>" for cell in cells[0])
    lines = "".join(
        "<tr>" + "".join(f"<td>{_inline(cell)}</td>" for cell in row) + "</tr>" for row in body
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"


def _inline(text: str) -> str:
    safe = escape(text.replace("\\|", "|"), quote=False)
    return _BOLD.sub(r"<strong>\1</strong>", _CODE.sub(r"<code>\1</code>", safe))
