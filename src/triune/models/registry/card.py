"""The model card, written from facts alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def write(facts: Mapping[str, Any]) -> str:
    """The card as Markdown."""
    return "\n".join(_lines(facts)) + "\n"


def _lines(facts: Mapping[str, Any]) -> Iterator[str]:
    run, model = facts["run"], facts["model"]
    yield f"# {facts['name']} version {facts['version']}"
    yield ""
    yield f"Made by run `{run['ref']}` of training `{run['details'].get('training', run['name'])}`"
    yield f"in workspace `{facts['workspace']}`, registered {facts['registered']}."
    yield from _section("Intended use", model.get("intended_use"))
    yield from _section("Limits", model.get("limits"))
    yield from _metrics(run["metrics"])
    yield from _table("Parameters", "Parameter", "Value", run["params"])
    yield from _table("Inputs", "Column", "Type", model.get("inputs", {}))
    yield from _facts(facts)
    yield from _lineage(facts["lineage"])
    yield from _reproduce(run)


def _section(title: str, text: str | None) -> Iterator[str]:
    yield from ("", f"## {title}", "")
    yield text.strip() if text and text.strip() else "Not stated by the author of the training."


def _metrics(metrics: Mapping[str, float]) -> Iterator[str]:
    yield from _table(
        "Metrics", "Metric", "Last value", {name: f"{value:.6g}" for name, value in metrics.items()}
    )


def _table(title: str, left: str, right: str, rows: Mapping[str, Any]) -> Iterator[str]:
    yield from ("", f"## {title}", "")
    if not rows:
        yield "None recorded."
        return
    yield from (f"| {left} | {right} |", "|---|---|")
    for name, value in rows.items():
        yield f"| {_cell(name)} | {_cell(value)} |"


def _facts(facts: Mapping[str, Any]) -> Iterator[str]:
    model, run, onnx = facts["model"], facts["run"], facts["onnx"]
    software, code = facts["environment"], facts["code"]
    rows = {
        "Class": model.get("class", "unknown"),
        "Answers with": model.get("predict", "predict"),
        "ONNX form": "yes, with equal answers" if onnx.get("form") else f"no: {onnx['reason']}",
        "Seed": run["details"].get("seed", "none"),
        "Threads": run["details"].get("threads", "not pinned"),
        "Python": software.get("python", "unknown"),
        "Platform": software.get("platform", "unknown"),
        "Lock file": software.get("lock") or "none",
        "Uncommitted changes": "yes, kept with the commit" if code.get("diff") else "no",
        "Needs": ", ".join(model.get("requirements", [])) or "unknown",
    }
    if code.get("left_out"):
        rows["New files not kept"] = ", ".join(code["left_out"])
    yield from _table("How it was made", "Fact", "Value", rows)


def _lineage(lineage: Mapping[str, list[str]]) -> Iterator[str]:
    rows = {role: ", ".join(f"`{ref}`" for ref in refs) for role, refs in lineage.items()}
    yield from _table("Lineage", "Role", "Made from", rows)


def _reproduce(run: Mapping[str, Any]) -> Iterator[str]:
    yield from ("", "## How to make it again", "")
    yield from ("```", f"triune reproduce {run['ref'].partition(':')[2]}", "```")


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
