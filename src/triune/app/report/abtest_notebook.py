"""The report of one A/B test as a notebook: what was seen in it, and cells that draw it again.

The numbers of all looks lie in the first code cell, so the notebook needs the package but no
workspace. Its outputs are those that its cells give.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from triune.app.report.abtest import TestReport, drawings

if TYPE_CHECKING:
    import pandas as pd

STYLE = Path(__file__).parent / "templates" / "style.css"


@dataclass(frozen=True, slots=True, repr=False)
class Picture:
    """A drawing as Jupyter shows it."""

    html: str

    def __repr__(self) -> str:
        return "a drawing"

    def _repr_html_(self) -> str:
        return self.html


def to_notebook(report: TestReport) -> str:
    """A notebook of format 4.5, as JSON."""
    held = msgspec.json.encode(report).decode()
    cells = [
        _words(
            "title", f"# {report.sentences[0] if report.sentences else report.declaration.name}"
        ),
        _words("says", "\n\n".join([*report.sentences[1:], *report.troubles])),
        _code("data", f"{_IMPORTS}\n\nreport = restore(r'''{_quoted(held)}''')"),
        _words("looks-title", "## Every look"),
        _code("looks", "table(report)", {"text/plain": repr(table(report))}),
    ]
    for number, drawing in enumerate(d for d in drawings(report) if d.svg):
        cells.append(_words(f"words-{number}", f"## {drawing.title}\n\n{drawing.say}"))
        shown = picture(report, drawing.key)
        code = f"picture(report, {drawing.key!r})"
        cells.append(_code(f"picture-{number}", code, {"text/html": shown.html}))
    for place, cell in enumerate(cell for cell in cells if cell["cell_type"] == "code"):
        cell["execution_count"] = place + 1
        for output in cell["outputs"]:
            output["execution_count"] = place + 1
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = {
        "cells": cells,
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return msgspec.json.format(msgspec.json.encode(notebook), indent=1).decode()


def restore(held: str) -> TestReport:
    """The report that a notebook holds."""
    return msgspec.json.decode(held, type=TestReport)


def table(report: TestReport) -> pd.DataFrame:
    """A row for each look, metric and variant; effects are relative where they can be."""
    import pandas as pd

    rows = []
    for analysis in report.analyses:
        for row in analysis.comparisons:
            effect = row.shown
            rows.append(
                {
                    "days": analysis.days,
                    "metric": row.metric,
                    "variant": row.variant,
                    "units": row.n_control + row.n_candidate,
                    "control": row.control,
                    "value": row.candidate,
                    "relative": row.relative is not None,
                    "effect": effect.value if effect else None,
                    "low": effect.low if effect else None,
                    "high": effect.high if effect else None,
                    "p": row.p,
                    "p_adjusted": row.p_adjusted,
                    "found": row.finding.value,
                }
            )
    return pd.DataFrame(rows)


def picture(report: TestReport, key: str) -> Picture:
    """One of the report's drawings. Raises KeyError."""
    found = {drawing.key: drawing.svg for drawing in drawings(report)}
    return Picture(f"<style>{_style()}</style>{found[key]}")


def _style() -> str:
    """The colours and what drawings use; none of the page's own rules."""
    lines = STYLE.read_text(encoding="utf-8").splitlines()
    colours = lines[: lines.index("* { box-sizing: border-box; }")]
    used = [line for line in lines if line.startswith(("svg .", ".c0 ", ".c4 ", ".c-other"))]
    return "\n".join([*colours, *used])


_IMPORTS = "from triune.app.report.abtest_notebook import picture, restore, table"


def _quoted(held: str) -> str:
    """JSON for a raw string in three quotes: an apostrophe becomes its escape."""
    return held.replace("'", "\\u0027")


def _words(identifier: str, text: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "id": identifier, "metadata": {}, "source": text}


def _code(identifier: str, text: str, shown: dict[str, str] | None = None) -> dict[str, Any]:
    outputs = []
    if shown:
        plain = shown.get("text/plain", "a drawing")
        data = {"text/plain": plain, **shown}
        outputs = [{"output_type": "execute_result", "metadata": {}, "data": data}]
    return {
        "cell_type": "code",
        "id": identifier,
        "metadata": {},
        "execution_count": None,
        "source": text,
        "outputs": outputs,
    }
