"""``triune data run`` and ``triune data stages``: the pipeline of `dvc.yaml`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from triune.cli.opened import opened
from triune.cli.output import JSON_OPTION, print_json, print_table

if TYPE_CHECKING:
    from triune.data.pipelines.model import StageResult
    from triune.data.pipelines.service import Pipelines

STAGES = typer.Argument(None, help="Stages by name, with all that they need; none means all.")


def run(
    names: list[str] | None = STAGES,
    *,
    force: bool = typer.Option(False, "--force", help="Run them although nothing changed."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Only show what would run, and why."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Run the stages of dvc.yaml whose inputs changed; old outputs stay until the new are done."""
    with _pipelines() as pipelines, _progress(quiet=as_json) as tell:
        results = pipelines.run(names or (), force=force, dry_run=dry_run, on_stage=tell)
    _show(results, as_json)


def stages(names: list[str] | None = STAGES, *, as_json: bool = JSON_OPTION) -> None:
    """List the stages of dvc.yaml and how each stands."""
    with _pipelines() as pipelines:
        results = pipelines.status(names or ())
    _show(results, as_json)


def _show(results: list[StageResult], as_json: bool) -> None:
    if as_json:
        print_json([_plain(one) for one in results])
        return
    rows = [
        (r.name, r.state.value, f"{r.seconds:.1f} s" if r.seconds else "", ", ".join(r.datasets))
        for r in results
    ]
    print_table(("stage", "state", "took", "versions"), rows)
    for result in results:
        for words in result.why:
            typer.echo(f"{result.name}: {words}")
    for result in results:
        for gap in result.gaps:
            typer.echo(f"warning: {result.name}: {gap}", err=True)


def _plain(result: StageResult) -> dict[str, Any]:
    return {
        "name": result.name,
        "state": result.state.value,
        "words": result.state.sentence,
        "why": list(result.why),
        "seconds": round(result.seconds, 3),
        "ref": result.ref or None,
        "versions": list(result.datasets),
        "gaps": list(result.gaps),
    }


@contextmanager
def _pipelines() -> Iterator[Pipelines]:
    with opened() as context:
        yield context.pipelines


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Any]:
    if quiet:
        yield lambda _: None
        return
    from rich.console import Console

    console = Console(stderr=True)
    with console.status("") as line:

        def tell(result: StageResult) -> None:
            if result.seconds:
                console.print(f"{result.name}: {result.state.value}, {result.seconds:.1f} s")
            line.update(f"{result.name}: {result.state.value}")

        yield tell
