"""The notebook of an A/B test: it holds the report, and its cells give what it shows."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from tests.unit.app.report.test_abtest import report
from triune.app.report.abtest_notebook import restore, table, to_notebook


def run(cells: list[dict[str, Any]]) -> list[dict[str, str]]:
    """What Jupyter would show of each code cell that ends in an expression."""
    names: dict[str, Any] = {}
    shown = []
    for cell in cells:
        if cell["cell_type"] != "code":
            continue
        if not cell["outputs"]:
            exec(cell["source"], names)
            continue
        value = eval(cell["source"], names)
        html = getattr(value, "_repr_html_", None)
        plain = "text/html" not in cell["outputs"][0]["data"]
        shown.append({"text/plain": repr(value)} if plain else {"text/html": html()})
    return shown


def test_its_outputs_are_those_of_its_cells() -> None:
    made = report()
    said = replace(made.declaration, hypothesis="It's '''quoted''' \\ \"here\"")
    notebook = json.loads(to_notebook(replace(made, declaration=said)))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    given = run(notebook["cells"])
    held = [c["outputs"][0]["data"] for c in notebook["cells"] if c.get("outputs")]
    assert len(given) == 7
    for mine, theirs in zip(given, held, strict=True):
        assert mine.items() <= theirs.items()
    words = [c["source"] for c in notebook["cells"] if c["cell_type"] == "markdown"]
    assert words[0] == f"# {made.sentences[0]}"
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])


def test_the_report_comes_back_whole() -> None:
    made = report()
    names: dict[str, Any] = {}
    cells = json.loads(to_notebook(made))["cells"]
    exec(next(c["source"] for c in cells if c["id"] == "data"), names)
    assert names["report"].analyses == made.analyses
    assert names["restore"] is restore


def test_the_table_has_a_row_for_each_look_metric_and_variant() -> None:
    made = report()
    found = table(made)
    assert len(found) == len(made.analyses) * 3 * 2
    last = made.analyses[-1].of("bought", "c")
    row = found[(found.metric == "bought") & (found.variant == "c")].iloc[-1]
    assert last.relative is not None
    assert (row.effect, row.low, row.found) == (
        last.relative.value,
        last.relative.low,
        last.finding.value,
    )
