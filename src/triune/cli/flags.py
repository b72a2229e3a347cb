"""``triune flags``: feature flags, in flagd's format and the ledger's keeping."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from triune.cli.opened import opened
from triune.cli.output import JSON_OPTION, print_facts, print_json, print_table, when

if TYPE_CHECKING:
    from triune.delivery.flags.changes import Change
    from triune.delivery.flags.model import Flag
    from triune.delivery.flags.service import Flags

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Feature flags: list, change, roll out, roll back, import.",
)

KEY = typer.Argument(help="The flag.")
REASON = typer.Option(..., "--reason", "-m", help="Why, in a few words; kept with the change.")
_EMPTY = "there are no flags; `triune flags set` makes one, `triune flags import` takes a file"


@app.command("list")
def list_flags(*, as_json: bool = JSON_OPTION) -> None:
    """List the flags."""
    with _flags() as flags:
        now = flags.current()
    if as_json:
        from triune.delivery.flags.document import of_flags

        print_json(of_flags(now.flags)["flags"])
        return
    rows = [
        (key, _state(flag), _default(flag), ", ".join(flag.variants), _rule(flag))
        for key, flag in sorted(now.flags.items())
    ]
    print_table(("flag", "state", "default", "variants", "rule"), rows, empty=_EMPTY)


@app.command()
def get(key: str = KEY, *, as_json: bool = JSON_OPTION) -> None:
    """Show one flag."""
    from triune.delivery.flags.document import of_flag

    with _flags() as flags:
        flag = flags.current().find(key)
        last = flags.history(key)[0]
    if as_json:
        print_json({"key": key, **of_flag(flag), "change": _plain(last)})
        return
    facts = [
        ("state", _state(flag)),
        ("default", _default(flag)),
        *((f"variant {name}", json.dumps(value)) for name, value in flag.variants.items()),
        ("rule", json.dumps(flag.targeting) if flag.targeting else "none"),
        *((f"metadata {name}", str(value)) for name, value in flag.metadata.items()),
        ("changed", f"{when(last.at)} by {last.actor}: {last.reason}"),
    ]
    print_facts(facts, title=key)


@app.command("set")
def set_flag(
    key: str = KEY,
    *,
    reason: str = REASON,
    variant: list[str] = typer.Option(
        [], "--variant", "-v", help="NAME=JSON, e.g. `on=true`; without any: on and off."
    ),
    default: str = typer.Option("", "--default", help="The variant that no rule decides."),
    targeting: str = typer.Option("", "--targeting", help="A rule, as JSON; `-`: standard input."),
    metadata: list[str] = typer.Option([], "--metadata", help='NAME=JSON, e.g. `owner="ads"`.'),
    off: bool = typer.Option(False, "--off", help="Make it disabled."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Make a flag, or change what is named of one."""
    with _flags() as flags:
        raw = _document(flags, key)
        if variant:
            raw["variants"] = _pairs(variant, "--variant")
        if default:
            raw["defaultVariant"] = default
        if targeting:
            text = sys.stdin.read() if targeting == "-" else targeting
            raw["targeting"] = _json(text, "--targeting")
        if metadata:
            raw["metadata"] = raw.get("metadata", {}) | _pairs(metadata, "--metadata")
        if off:
            raw["state"] = "DISABLED"
        from triune.delivery.flags.definitions import read

        flag = read({"flags": {key: raw}}, source=f"flag {key}").flags[key]
        _show(flags.set(flag, reason), as_json)


@app.command()
def enable(key: str = KEY, *, reason: str = REASON, as_json: bool = JSON_OPTION) -> None:
    """Switch a flag on."""
    with _flags() as flags:
        _show(flags.enable(key, reason), as_json)


@app.command()
def disable(key: str = KEY, *, reason: str = REASON, as_json: bool = JSON_OPTION) -> None:
    """Switch a flag off: every caller gets its own default."""
    with _flags() as flags:
        _show(flags.disable(key, reason), as_json)


@app.command()
def default(
    key: str = KEY,
    variant: str = typer.Argument(help="The variant."),
    *,
    reason: str = REASON,
    as_json: bool = JSON_OPTION,
) -> None:
    """Give a flag another default variant."""
    with _flags() as flags:
        _show(flags.default(key, variant, reason), as_json)


@app.command()
def rollout(
    key: str = KEY,
    shares: list[str] = typer.Argument(help="VARIANT=PERCENT, e.g. `on=25`; the rest: default."),
    *,
    reason: str = REASON,
    as_json: bool = JSON_OPTION,
) -> None:
    """Split the units that no rule matches, by bucket: who is in stays in while a share grows."""
    with _flags() as flags:
        _show(flags.roll_out(key, _shares(shares), reason), as_json)


@app.command()
def remove(key: str = KEY, *, reason: str = REASON, as_json: bool = JSON_OPTION) -> None:
    """Delete a flag; `rollback` brings it back."""
    with _flags() as flags:
        _show(flags.remove(key, reason), as_json)


@app.command()
def history(key: str = KEY, *, as_json: bool = JSON_OPTION) -> None:
    """Every change of a flag, the newest first."""
    with _flags() as flags:
        found = flags.history(key)
    if as_json:
        print_json([_plain(one) for one in found])
        return
    rows = [
        (str(one.number), when(one.at), one.actor, one.action, one.reason, _difference(one))
        for one in found
    ]
    print_table(("change", "at", "by", "what", "why", "difference"), rows)


@app.command()
def rollback(
    key: str = KEY,
    *,
    to: int = typer.Option(0, "--to", help="As it was after this change; default: the one before."),
    reason: str = REASON,
    as_json: bool = JSON_OPTION,
) -> None:
    """Make a flag what it was before."""
    with _flags() as flags:
        _show(flags.roll_back(key, reason, to=to or None), as_json)


@app.command("import")
def import_flags(
    file: Path = typer.Argument(help="A file of flagd's, in JSON; `-`: standard input."),
    *,
    reason: str = typer.Option("", "--reason", "-m", help="Why; default: the file's name."),
    prune: bool = typer.Option(False, "--prune", help="Remove flags that the file has not."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Only show what would change."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Make the flags what a file of flagd's says, all or nothing."""
    raw = _file(file)
    with _flags() as flags:
        done = flags.take(
            raw, reason or f"import of {file}", source=str(file), prune=prune, dry_run=dry_run
        )
    if as_json:
        print_json([_plain(one) for one in done])
        return
    rows = [(one.key, _what(one), _difference(one)) for one in done]
    title = "would change" if dry_run else "changed"
    print_table(("flag", title, "difference"), rows, empty="nothing changes")


@app.command()
def export() -> None:
    """Print all flags as a file of flagd's."""
    from triune.delivery.flags.document import of_flags

    with _flags() as flags:
        print_json(of_flags(flags.current().flags))


@app.command()
def lint(
    file: Path = typer.Argument(help="A file of flagd's, in JSON; `-`: standard input."),
    *,
    as_json: bool = JSON_OPTION,
) -> None:
    """Say every mistake of a file of flagd's at once; nothing is changed."""
    from triune.delivery.flags.definitions import read

    found = read(_file(file), source=str(file)).flags
    if as_json:
        print_json({"flags": len(found), "mistakes": 0})
    else:
        typer.echo(f"{file}: {len(found)} flags, no mistakes")


@contextmanager
def _flags() -> Iterator[Flags]:
    with opened() as context:
        yield context.flags


def _document(flags: Flags, key: str) -> dict[str, Any]:
    """The flag as it is, or a new one that is off for everybody."""
    from triune.delivery.flags.document import of_flag

    known = flags.current().flags.get(key)
    if known is not None:
        return of_flag(known)
    variants = {"on": True, "off": False}
    return {"state": "ENABLED", "variants": variants, "defaultVariant": "off"}


def _file(path: Path) -> Any:
    from triune.core.errors import ConfigError, NotFound, Problem

    try:
        return json.loads(sys.stdin.read() if str(path) == "-" else path.read_text())
    except OSError as error:
        raise NotFound(
            "flags-file-missing",
            f"{path} cannot be read: {error.strerror}",
            hint="Give the path of a JSON file.",
        ) from None
    except ValueError as error:
        problem = Problem(str(path), "", f"is no JSON: {error}", "Write JSON.")
        raise ConfigError([problem]) from None


def _json(text: str, option: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no JSON: {error}", param_hint=option) from None


def _pairs(words: list[str], option: str) -> dict[str, Any]:
    found = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"{word!r} is no NAME=JSON: `on=true`", param_hint=option)
        found[name] = _json(text, option)
    return found


def _shares(words: list[str]) -> dict[str, float]:
    found = {}
    for word in words:
        name, _, text = word.partition("=")
        try:
            found[name] = float(text.removesuffix("%"))
        except ValueError:
            what = f"{word!r} is no VARIANT=PERCENT: `on=25`"
            raise typer.BadParameter(what, param_hint="SHARES") from None
    return found


def _show(change: Change | None, as_json: bool) -> None:
    if as_json:
        print_json(None if change is None else _plain(change))
    elif change is None:
        typer.echo("it is so already")
    else:
        typer.echo(f"{change.key}: {_difference(change)} (change {change.number})")


def _plain(change: Change) -> dict[str, Any]:
    from triune.delivery.flags.document import of_flag

    return {
        "key": change.key,
        "number": change.number,
        "action": change.action,
        "reason": change.reason,
        "actor": change.actor,
        "at": change.at,
        "before": None if change.before is None else of_flag(change.before),
        "after": None if change.after is None else of_flag(change.after),
    }


def _what(change: Change) -> str:
    if change.before is None:
        return "made"
    return "removed" if change.after is None else "changed"


def _difference(change: Change) -> str:
    """What is different afterwards, in a line."""
    from triune.delivery.flags.document import of_flag

    if change.before is None or change.after is None:
        return _what(change)
    before, after = of_flag(change.before), of_flag(change.after)
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return "; ".join(
        f"{name} {json.dumps(before.get(name))} -> {json.dumps(after.get(name))}" for name in names
    )


def _state(flag: Flag) -> str:
    return "on" if flag.enabled else "off"


def _default(flag: Flag) -> str:
    return flag.default or "the caller's"


def _rule(flag: Flag) -> str:
    return json.dumps(flag.targeting) if flag.targeting else ""
