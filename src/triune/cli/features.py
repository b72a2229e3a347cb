"""``triune features``: the feature store."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from triune.cli.moments import moment
from triune.cli.opened import opened
from triune.cli.output import JSON_OPTION, many, print_facts, print_json, print_table, when
from triune.cli.spinner import spinner

if TYPE_CHECKING:
    from triune.data.features.service import Change, Features
    from triune.data.features.views import View

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Apply feature views, bring them online, read and join them.",
)

VIEWS = typer.Argument(None, help="Feature views by name; none means all.")
FEATURES = typer.Option([], "--feature", "-f", help="`view` (all of it) or `view:feature`.")
_EMPTY = "no feature view is applied; `triune features apply` applies the definitions"


@app.command()
def apply(
    *,
    dry_run: bool = typer.Option(False, "--dry-run", help="Only show what would change."),
    beside: bool = typer.Option(
        False, "--beside", help="Apply a changed view although a live release reads the old one."
    ),
    as_json: bool = JSON_OPTION,
) -> None:
    """Make the definitions of [feature_store] the current versions."""
    with _features() as features, spinner(quiet=as_json) as tell:
        changes = features.apply(dry_run=dry_run, beside=beside, on_progress=tell)
    if as_json:
        print_json(changes)
        return
    print_table(
        ("view", "change", "before", "after", "read by"),
        [_change(change) for change in changes],
        empty=_EMPTY,
    )
    for change in changes:
        for words in change.words:
            typer.echo(f"{change.name}: {words}")


@app.command("list")
def list_views(*, as_json: bool = JSON_OPTION) -> None:
    """List the feature views that are applied."""
    with _features() as features:
        views = list(features.catalog.current().values())
    if as_json:
        print_json([_view(view) for view in views])
        return
    rows = [
        (v.name, v.version, ", ".join(n for n, _ in v.keys), len(v.features), _ttl(v), v.table)
        for v in views
    ]
    print_table(("view", "version", "entity", "features", "lives", "table"), rows, empty=_EMPTY)


@app.command()
def show(
    name: str = typer.Argument(help="The feature view."), *, as_json: bool = JSON_OPTION
) -> None:
    """Show one feature view: entity, features, table, versions."""
    with _features() as features:
        (view,) = features.catalog.find([name])
        versions = [one.version for one in features.catalog.versions() if one.name == name]
    if as_json:
        print_json(_view(view) | {"versions": versions})
        return
    facts = [
        ("version", view.ref),
        ("entity", ", ".join(f"{n} ({k})" for n, k in view.keys)),
        ("table", view.table),
        ("times", view.time + (f", created {view.created}" if view.created else "")),
        ("lives", _ttl(view)),
        ("pushed", "yes" if view.pushed else "no"),
        ("versions", ", ".join(versions)),
    ]
    print_facts(facts, title=view.name)
    print_table(("feature", "type"), view.features)


@app.command()
def materialize(
    names: list[str] | None = VIEWS,
    *,
    start: str = typer.Option("", "--from", help="Event times from here; default: the last end."),
    end: str = typer.Option("", "--to", help="Event times up to here; default: now."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Bring the newest value of each entity online."""
    with _features() as features, spinner(quiet=as_json) as tell:
        done = features.materialize(
            names or (), start=_moment(start), end=_moment(end), on_progress=tell
        )
    if as_json:
        print_json(done)
        return
    rows = [
        (d.view, d.version, when(d.start) if d.start else "the beginning", when(d.end), d.entities,
         d.written)
        for d in done
    ]  # fmt: skip
    print_table(("view", "version", "from", "to", "entities", "changed"), rows, keep=1)


@app.command()
def history(
    *,
    entities: Path = typer.Option(
        ..., "--entities", help="Parquet or CSV with a column for each join key and the moments."
    ),
    features: list[str] = FEATURES,
    time: str = typer.Option("event_timestamp", "--time", help="The column with the moments."),
    out: Path = typer.Option(..., "--out", help="Parquet or CSV to write."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Join features to rows as they were known at each row's moment: a training set."""
    from triune.cli.frames import read_frame, write_frame

    asked = read_frame(entities)
    with _features() as store, spinner(quiet=as_json) as tell:
        tell(f"joining {len(asked)} rows")
        joined = store.history(asked, features or _all(store), moment=time)
    write_frame(joined, out)
    known = {str(c): int(joined[c].notna().sum()) for c in joined.columns if c not in asked.columns}
    if as_json:
        print_json({"out": out, "rows": len(joined), "known": known})
        return
    rows = [(name, count, f"{count / max(len(joined), 1):.1%}") for name, count in known.items()]
    print_table(("feature", "rows with a value", "share"), rows)
    typer.echo(f"{many(len(joined), 'row')} in {out}")


@app.command()
def get(
    *,
    entity: list[str] = typer.Option(
        [], "--entity", "-e", help="KEY=VALUE; give it again for further entities."
    ),
    features: list[str] = FEATURES,
    as_json: bool = JSON_OPTION,
) -> None:
    """Read features online, as serving does, with their age."""
    with _features() as store:
        rows = _entities(entity, store)
        begin = datetime.now(UTC)
        answer = store.get(rows, features or _all(store))
        took = (datetime.now(UTC) - begin).total_seconds() * 1e3
    count = max((len(values) for values in rows.values()), default=0)
    found = [
        {
            **{key: values[i] for key, values in rows.items()},
            "feature": name,
            "value": _value(values[i]),
            "status": answer.statuses[name.partition(":")[0]][i].name.lower().replace("_", " "),
            "event_time": _time(answer.event_times[name.partition(":")[0]][i]),
        }
        for i in range(count)
        for name, values in answer.columns.items()
    ]
    if as_json:
        print_json({"rows": found, "milliseconds": round(took, 3)})
        return
    table = [
        (*(one[key] for key in rows), one["feature"], one["value"], one["status"],
         _age(one["event_time"]))
        for one in found
    ]  # fmt: skip
    print_table((*rows, "feature", "value", "status", "known since"), table)


@app.command()
def push(
    name: str = typer.Argument(help="A feature view with a push source."),
    *,
    rows: Path = typer.Option(..., "--rows", help="Parquet, CSV or JSON lines."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Write rows online; a row older than what is there changes nothing."""
    from triune.cli.frames import read_table

    table = read_table(rows)
    with _features() as features:
        written = features.push(name, table)
    if as_json:
        print_json({"view": name, "rows": table.num_rows, "changed": written})
        return
    typer.echo(f"{written} of {many(table.num_rows, 'row')} changed something in {name}")


@app.command()
def clear(
    names: list[str] | None = VIEWS,
    *,
    dry_run: bool = typer.Option(False, "--dry-run", help="Only say what would be removed."),
    yes: bool = typer.Option(False, "--yes", help="Do not ask."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Remove the rows of feature views from the online store."""
    with _features() as features:
        views = [view.name for view in features.catalog.find(names or ())]
        if dry_run:
            gone: dict[str, int | None] = dict.fromkeys(views)
        else:
            if not (yes or as_json):
                typer.confirm(f"Remove every row of {', '.join(views)}?", abort=True)
            gone = dict(features.clear(views))
    if as_json:
        print_json({"removed": gone, "dry_run": dry_run})
        return
    for name, count in gone.items():
        typer.echo(f"{name}: {'all rows would go' if count is None else many(count, 'row')}")


@app.command("yaml")
def show_yaml() -> None:
    """Print a feature_store.yaml with which plain Feast uses the same store.

    A password of the registry's is left to the variable TRIUNE_POSTGRES_PASSWORD.
    """
    import yaml

    from triune.app import features as plugged
    from triune.data.features.repo import table

    with opened() as context:
        found = table(plugged.settings(context))
    path = re.sub(
        r"(://[^:/@]+:)[^@]*@", r"\1${TRIUNE_POSTGRES_PASSWORD}@", found["registry"]["path"]
    )
    found["registry"]["path"] = path
    typer.echo(yaml.safe_dump(found, sort_keys=False), nl=False)


@contextmanager
def _features() -> Iterator[Features]:
    with opened() as context:
        yield context.features


def _moment(text: str) -> datetime | None:
    found = moment(text)
    return None if found is None else datetime.fromtimestamp(found / 1e6, UTC)


def _all(store: Features) -> list[str]:
    return [view.name for view in store.catalog.find()]


def _entities(given: list[str], store: Features) -> dict[str, list[Any]]:
    """``KEY=VALUE`` options as a list of values for each join key, of the types it has."""
    kinds = {name: kind for view in store.catalog.find() for name, kind in view.keys}
    found: dict[str, list[Any]] = {}
    for one in given:
        key, sign, value = one.partition("=")
        if not sign or key not in kinds:
            known = ", ".join(kinds)
            raise typer.BadParameter(f"{one!r} is not KEY=VALUE with one of the keys {known}")
        found.setdefault(key, []).append(key_value(key, kinds[key], value))
    if len({len(values) for values in found.values()}) > 1:
        raise typer.BadParameter("give as many values for one key as for the others")
    return found


def key_value(key: str, kind: str, text: str) -> Any:
    """A join key's value as entities of that type are looked up by it."""
    try:
        return _KEYS.get(kind, str)(text)
    except (ValueError, KeyError):
        words = f"{key} is {kind}, and {text!r} is not"
        raise typer.BadParameter(words + _MEANT.get(kind, "")) from None


def _seconds(text: str) -> int:
    """A moment as an entity is looked up by it: whole seconds since 1970."""
    if text.lstrip("-").isdecimal():
        return int(text)
    return (moment(text) or 0) // 1_000_000


_KEYS: dict[str, Callable[[str], Any]] = {
    "INT32": int,
    "INT64": int,
    "BOOL": lambda text: {"true": True, "false": False}[text.lower()],
    "BYTES": bytes.fromhex,
    "UNIX_TIMESTAMP": _seconds,
}
"""How a join key of a type is read; all others are texts."""
_MEANT = {
    "BOOL": ": give true or false",
    "BYTES": ": give hexadecimal digits",
    "UNIX_TIMESTAMP": ": give seconds since 1970 or a time as 2026-03-01T12:00Z",
}


def _change(change: Change) -> tuple[object, ...]:
    used = ", ".join(sorted({use.release for use in change.used}))
    return (change.name, change.what, change.before, change.after, used)


def _view(view: View) -> dict[str, Any]:
    return {"ref": view.ref, **view.to_json()}


def _ttl(view: View) -> str:
    return f"{view.ttl_seconds / 3600:g} h" if view.ttl_seconds else "for ever"


def _value(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value


def _time(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else datetime.fromtimestamp(microseconds / 1e6, UTC)


def _age(at: datetime | None) -> str:
    return "" if at is None else when(at)
