"""``triune release``: what an endpoint can serve."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from triune.cli.delivering import opened
from triune.cli.output import JSON_OPTION, print_facts, print_json, print_table, when

if TYPE_CHECKING:
    from triune.delivery.release import Release

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Make and inspect releases: what an endpoint can serve.",
)


@app.command()
def create(
    *,
    endpoint: str = typer.Argument(..., help="An endpoint of triune.toml."),
    model: str = typer.Option(..., "--model", help="A model version: name@2, name@alias."),
    force: bool = typer.Option(
        False, "--force", help="Make it although its lineage is incomplete; this is recorded."
    ),
    as_json: bool = JSON_OPTION,
) -> None:
    """Freeze a model version with the endpoint's settings into a release."""
    with opened() as delivery:
        release = delivery.releases.create(endpoint, model, force=force)
    if as_json:
        print_json(_as_dict(release))
        return
    typer.echo(f"{release.ref} serves {release.bundle.model.ref} at {endpoint}")
    typer.echo(f"next: triune rollout start {endpoint} {release.ref}")


@app.command("list")
def list_releases(
    *,
    endpoint: str = typer.Argument("", help="Only this endpoint's."),
    as_json: bool = JSON_OPTION,
) -> None:
    """List releases, the newest first."""
    with opened() as delivery:
        found = list(delivery.releases.all(endpoint or None))
    if as_json:
        print_json(found)
        return
    print_table(
        ("release", "endpoint", "model", "created", "by", "forced"),
        [(r.ref, r.endpoint, r.model, when(r.created), r.actor, _yes(r.forced)) for r in found],
        first_out=("forced", "by", "endpoint"),
        empty="no release yet; `triune release create ENDPOINT --model NAME@VERSION` makes one",
    )


@app.command()
def show(
    *,
    release: str = typer.Argument(..., help="A release's reference."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Show everything a release is made of."""
    with opened() as delivery:
        found = delivery.releases.get(release)
    if as_json:
        print_json(_as_dict(found))
        return
    from triune.delivery.release import settings_of

    rows = [("release", found.ref), ("digest", found.digest), *settings_of(found.bundle)]
    print_facts((key, _words(value)) for key, value in rows)


@app.command()
def diff(
    *,
    before: str = typer.Argument(..., help="A release's reference."),
    after: str = typer.Argument(..., help="Another's."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Show every setting in which two releases differ."""
    with opened() as delivery:
        changes = delivery.diff(before, after)
    if as_json:
        print_json(changes)
        return
    print_table(
        ("setting", before.partition(":")[2] or before, after.partition(":")[2] or after),
        [(c.key, _words(c.before), _words(c.after)) for c in changes],
        wrap=True,
        empty=f"{before} and {after} have the same settings",
    )


def _as_dict(release: Release) -> dict[str, object]:
    import msgspec

    bundle: dict[str, object] = msgspec.to_builtins(release.bundle)
    return {"release": release.ref, "digest": release.digest, **bundle}


def _words(value: object) -> str:
    """A setting as people read it."""
    import json

    if value is None or value in ({}, ()):
        return "none"
    if isinstance(value, dict) and "datatype" in value:
        width = f" x {value['width']}" if value.get("width", 1) != 1 else ""
        return f"{value.get('name', '')} {value['datatype']}{width}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_words(one)}" for key, one in value.items())
    if isinstance(value, tuple | list):
        return ", ".join(_words(one) for one in value)
    return value if isinstance(value, str) else json.dumps(value)


def _yes(value: bool) -> str:
    return "yes" if value else ""
