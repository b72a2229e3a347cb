"""``triune train``: run a training, watch it, register its model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from triune.cli.output import JSON_OPTION, here, print_json

if TYPE_CHECKING:
    from triune.app.train import Trained
    from triune.core.config import TrainingTable
    from triune.models.tracking.model import Value

app = typer.Typer(add_completion=False)


@app.command()
def train(
    name: str = typer.Argument(help="A training in triune.toml."),
    *,
    param: list[str] = typer.Option(
        [], "--param", "-p", metavar="KEY=VALUE", help="Override a parameter; may be repeated."
    ),
    seed: int | None = typer.Option(None, "--seed", help="Instead of triune.toml's."),
    register: bool = typer.Option(
        True, "--register/--no-register", help="Make the model a version in the registry."
    ),
    as_json: bool = JSON_OPTION,
) -> None:
    """Run a training as a tracked run and register its model."""
    from triune.app import train as use_case
    from triune.app.context import Context
    from triune.cli.run_progress import RunProgress

    context = Context(here())
    table = context.workspace.config.trainings.get(name)
    try:
        with RunProgress(name, quiet=as_json) as progress:
            done = use_case.train(
                context,
                name,
                params=_parsed(param, table),
                seed=seed,
                register=register,
                on_progress=progress,
            )
    finally:
        context.close()
    if as_json:
        print_json({"run": done.run, "version": done.version, "gaps": done.gaps})
    else:
        _show(done)


def _show(done: Trained) -> None:
    metrics = ", ".join(f"{name} {value:.5g}" for name, value in done.run.metrics.items())
    typer.echo(f"run {done.run.id} finished in {done.run.seconds:.1f} s")
    if metrics:
        typer.echo(f"  {metrics}")
    if done.version is not None:
        typer.echo(f"  registered as {done.version.ref}; its card: {done.version.card}")
    if done.gaps:
        typer.echo("Not reproducible as it stands; a release of it would be refused:", err=True)
    for gap in done.gaps:
        typer.echo(f"  {gap.what}", err=True)


def _parsed(items: list[str], table: TrainingTable | None) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for item in items:
        name, equals, text = item.partition("=")
        if not equals:
            raise typer.BadParameter(f"{item!r} is not KEY=VALUE", param_hint="--param")
        declared = table.params.get(name) if table else None
        try:
            found[name] = _like(declared, text)
        except ValueError:
            kind = type(declared).__name__
            raise typer.BadParameter(
                f"{name} takes {kind}, not {text!r}", param_hint="--param"
            ) from None
    return found


def _like(declared: Value | None, text: str) -> Value:
    """The text as a value of the same type as the declared one."""
    if isinstance(declared, bool):
        words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if text.lower() not in words:
            raise ValueError(text)
        return words[text.lower()]
    if isinstance(declared, int | float):
        return type(declared)(text)
    return text
