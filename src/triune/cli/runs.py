"""``triune runs``: list, filter, show, compare and ship runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

from triune.cli.opened import opened
from triune.cli.output import JSON_OPTION, many, print_facts, print_json, print_table, when

if TYPE_CHECKING:
    from rich.text import Text

    from triune.ledger.runs import IndexedRun
    from triune.models.tracking.model import RunRecord

app = typer.Typer(add_completion=False)

SHOWN_METRICS = 5
_WHERE = typer.Option(
    [], "--where", metavar="CONDITION", help="auc>0.6, params.depth=3, status=failed; repeatable."
)
_SORT = typer.Option("started", "--sort", help="A metric, params.NAME or an attribute.")
_ASCENDING = typer.Option(False, "--ascending", help="Smallest first.")
_LIMIT = typer.Option(20, "--limit", "-n", min=0, help="The first N; 0 for all.")


@app.callback(invoke_without_command=True)
def runs(
    chosen: typer.Context,
    *,
    where: list[str] = _WHERE,
    sort: str = _SORT,
    ascending: bool = _ASCENDING,
    limit: int = _LIMIT,
    as_json: bool = JSON_OPTION,
) -> None:
    """List, filter, show and compare runs."""
    if chosen.invoked_subcommand is None:
        _list(where, sort, ascending, limit, as_json)


@app.command("list")
def list_runs(
    *,
    where: list[str] = _WHERE,
    sort: str = _SORT,
    ascending: bool = _ASCENDING,
    limit: int = _LIMIT,
    as_json: bool = JSON_OPTION,
) -> None:
    """List runs that meet every condition, sorted; the same as `triune runs`."""
    _list(where, sort, ascending, limit, as_json)


@app.command()
def show(run: str = typer.Argument(help="The run."), *, as_json: bool = JSON_OPTION) -> None:
    """Show everything about one run."""
    with opened() as context:
        record = context.runs.get(run)
        if as_json:
            print_json(_plain(record) | {"history": context.runs.history(record.id)})
            return
    head = {
        "run": record.ref,
        "name": record.name,
        "status": record.status.value,
        "started": when(record.started),
        "seconds": "" if record.seconds is None else f"{record.seconds:.1f}",
        "by": f"{record.actor} on {record.host}",
        **_facts(record),
        "error": record.error,
    }
    print_facts((name, value) for name, value in head.items() if value not in (None, ""))
    for title, values in (
        ("parameters", record.params),
        ("metrics", record.metrics),
        ("tags", record.tags),
        ("artifacts", record.artifacts),
    ):
        if values:
            typer.echo()
            print_facts(values.items(), title=title)


@app.command()
def compare(
    first: str = typer.Argument(help="One run."),
    second: str = typer.Argument(help="Another run."),
    *,
    as_json: bool = JSON_OPTION,
) -> None:
    """Compare two runs side by side; what differs is marked."""
    with opened() as context:
        records = [context.runs.get(name) for name in (first, second)]
    rows = list(_rows(*records))
    if as_json:
        print_json(
            [dict(zip(("name", "first", "second", "same"), row, strict=True)) for row in rows]
        )
        return
    print_table(
        ("", records[0].id[-8:], records[1].id[-8:]),
        (_marked(name, one, other, same) for name, one, other, same in rows),
        wrap=True,
    )


@app.command()
def sync(*, as_json: bool = JSON_OPTION) -> None:
    """Ship everything that is not in MLflow yet, now."""
    from triune.app.tracker import sync as use_case
    from triune.cli.shipping_progress import ShippingProgress

    with opened() as context, ShippingProgress(quiet=as_json) as progress:
        count = use_case(context, progress)
    if as_json:
        print_json({"runs": count})
    else:
        typer.echo(f"{many(count, 'run')} shipped" if count else "nothing left to ship")


def _list(where: list[str], sort: str, ascending: bool, limit: int, as_json: bool) -> None:
    from triune.ledger.runs import Field
    from triune.models.tracking import filters

    conditions = [filters.condition(text) for text in where]
    order = filters.order(sort, ascending=ascending)
    with opened() as context:
        found = context.runs.search(conditions, order=order, limit=limit or None)
    if as_json:
        print_json([_indexed(run) for run in found])
        return
    named = [order.key] if order.field is Field.METRIC else []
    metrics = list(dict.fromkeys([*named, *(m for run in found for m in run.metrics)]))
    shown = metrics[:SHOWN_METRICS]
    print_table(
        ("run", "name", "status", "started", "seconds", *shown),
        (_cells(r, shown) for r in found),
        keep=2,
        empty="no run meets the conditions; `triune runs` lists all"
        if conditions
        else "no run yet; `triune train TRAINING` makes one",
    )
    if len(metrics) > len(shown):
        typer.echo(f"and {many(len(metrics) - len(shown), 'more metric')}: `triune runs show RUN`")


def _cells(run: IndexedRun, metrics: Sequence[str]) -> list[object]:
    seconds = None if run.finished is None else f"{(run.finished - run.started) / 1e6:.1f}"
    values = [f"{run.metrics[m]:.5g}" if m in run.metrics else None for m in metrics]
    return [run.id[-8:], run.name, run.status, when(run.started), seconds, *values]


def _indexed(run: IndexedRun) -> dict[str, Any]:
    return {
        "id": run.id,
        "name": run.name,
        "status": run.status,
        "started": run.started,
        "finished": run.finished,
        "model": run.model,
        "mlflow_id": run.mlflow_id,
        "metrics": dict(run.metrics),
        "params": dict(run.params),
        **run.payload,
    }


def _plain(record: RunRecord) -> dict[str, Any]:
    import dataclasses

    return {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}


def _rows(first: RunRecord, second: RunRecord) -> Iterator[tuple[str, Any, Any, bool]]:
    """Everything worth comparing: name, both values, whether they are the same."""
    pairs: list[tuple[str, Mapping[str, Any], Mapping[str, Any]]] = [
        ("", _facts(first), _facts(second)),
        ("param ", first.params, second.params),
        ("metric ", first.metrics, second.metrics),
        ("tag ", first.tags, second.tags),
    ]
    for prefix, one, other in pairs:
        for name in dict.fromkeys([*one, *other]):
            yield (
                f"{prefix}{name}",
                one.get(name),
                other.get(name),
                one.get(name) == other.get(name),
            )


def _facts(record: RunRecord) -> dict[str, Any]:
    roles = dict.fromkeys(role for _, role in record.inputs)
    inputs = {r: ", ".join(ref for ref, role in record.inputs if role == r) for r in roles}
    facts = {"name": record.name, "status": record.status.value, **inputs, **record.details}
    if record.reads is not None:
        counts = record.reads.counts.items()
        facts["files read"] = ", ".join(f"{count} {kind}" for kind, count in counts)
    return facts


def _marked(name: str, one: Any, other: Any, same: bool) -> list[Text]:
    from rich.text import Text

    cells = ["" if value is None else str(value) for value in (name, one, other)]
    styles = ("", "", "") if same else ("yellow", "bold yellow", "bold yellow")
    return [Text(cell, style) for cell, style in zip(cells, styles, strict=True)]
