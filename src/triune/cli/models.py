"""``triune models``: the registry's versions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer

from triune.cli.opened import opened
from triune.cli.output import JSON_OPTION, print_facts, print_json, print_table, when

if TYPE_CHECKING:
    from triune.models.registry.model import ModelVersion
    from triune.models.registry.service import Registry

app = typer.Typer(
    add_completion=False, help="List, show, verify and alias model versions.", no_args_is_help=True
)

_VERSION = typer.Argument(help="name@2, name@alias, or the name for the newest.")


@app.command("list")
def list_models(
    name: str = typer.Argument("", help="Only this model."), *, as_json: bool = JSON_OPTION
) -> None:
    """List model versions, oldest first."""
    with _registry() as registry:
        found = registry.versions(name or None)
    if as_json:
        print_json([_plain(version) for version in found])
        return
    print_table(
        ("version", "aliases", "run", "registered", "by"),
        ((v.ref, ", ".join(v.aliases), v.run[-8:], when(v.registered), v.actor) for v in found),
        first_out=("by",),
        empty="no model is registered yet; `triune train TRAINING` makes a run and registers its "
        "model",
    )


@app.command()
def show(version: str = _VERSION, *, as_json: bool = JSON_OPTION) -> None:
    """Show one version and the facts it was registered with."""
    from triune.core.files import read_json

    with _registry() as registry:
        found = registry.get(version)
    facts = read_json(found.facts) or {}
    if as_json:
        print_json(_plain(found) | {"facts": facts})
        return
    shown = {"registered": when(found.registered), "aliases": ", ".join(found.aliases) or "none"}
    print_facts((_plain(found) | shown).items())
    metrics = facts.get("run", {}).get("metrics", {})
    if metrics:
        typer.echo()
        print_facts(metrics.items(), title="metrics, the last value of each")


@app.command()
def verify(version: str = _VERSION, *, as_json: bool = JSON_OPTION) -> None:
    """Check a version's signature and every byte of it against the ledger."""
    with _registry() as registry:
        found = registry.verify(version)
    if as_json:
        print_json(_plain(found))
    else:
        typer.echo(f"{found.ref}: signed by this workspace, every byte as registered")


@app.command()
def alias(
    version: str = _VERSION,
    name: str = typer.Argument(help="The alias, e.g. champion."),
    *,
    as_json: bool = JSON_OPTION,
) -> None:
    """Point an alias at a version."""
    with _registry() as registry:
        found = registry.get(version)
        found = registry.alias(found.name, name, found.number)
    if as_json:
        print_json(_plain(found))
    else:
        typer.echo(f"{found.name}@{name} is {found.ref}")


@app.command()
def card(version: str = _VERSION) -> None:
    """Print a version's model card (Markdown)."""
    with _registry() as registry:
        typer.echo(registry.get(version).card.read_text(encoding="utf-8"), nl=False)


@app.command()
def register(
    run: str = typer.Argument(help="A finished run that kept a model."),
    *,
    name: str = typer.Option("", "--name", help="Instead of the training's model."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Make a run's model the next version, signed and with a card."""
    with _registry() as registry:
        found = registry.register(run, name or None)
    if as_json:
        print_json(_plain(found))
    else:
        typer.echo(f"registered {found.ref}; its card: {found.card}")


def _plain(version: ModelVersion) -> dict[str, Any]:
    return {
        "ref": version.ref,
        "digest": version.digest,
        "folder": str(version.folder),
        "run": version.run,
        "registered": _moment(version.registered),
        "by": version.actor,
        "aliases": list(version.aliases),
    }


def _moment(microseconds: int) -> str:
    return datetime.fromtimestamp(microseconds / 1e6, UTC).isoformat(timespec="seconds")


@contextmanager
def _registry() -> Iterator[Registry]:
    with opened() as context:
        yield context.registry
