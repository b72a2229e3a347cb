"""``triune flags``: feature flags, in flagd's format and the ledger's keeping."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from triune.cli import flags_plans, flags_stale
from triune.cli.flags_words import (
    KEY,
    REASON,
    action,
    approved_by,
    difference,
    plain,
    show,
    states,
    waiting,
)
from triune.cli.moments import later
from triune.cli.opened import opened
from triune.cli.output import JSON_OPTION, many, print_facts, print_json, print_table, when

if TYPE_CHECKING:
    from triune.delivery.flags.changes import Change
    from triune.delivery.flags.model import Flag
    from triune.delivery.flags.plans import Plan
    from triune.delivery.flags.service import Flags

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Feature flags: list, change, roll out, roll back, import, approve, schedule.",
)
AT = typer.Option("", "--at", help="When, in place of now: `2026-12-24T08:00Z`, with its zone.")
IN = typer.Option("", "--in", help="In how long, in place of now: `90s`, `30m`, `2h`, `3d`, `1w`.")
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
    """Show one flag, and what waits to be done to it."""
    from triune.delivery.flags.document import of_flag

    with opened() as context:
        now = context.flags.current()
        flag, approvals = now.find(key), now.state(key).approvals
        last = context.flags.history(key)[0]
        open_plans = [p for p in context.flag_plans.all() if p.key == key and not p.outcome]
    if as_json:
        known = {"key": key, **of_flag(flag), "approvals": approvals, "change": plain(last)}
        print_json({**known, "plans": [plain(one) for one in open_plans]})
        return
    facts = [
        ("state", _state(flag)),
        ("default", _default(flag)),
        *((f"variant {name}", json.dumps(value)) for name, value in flag.variants.items()),
        ("rule", json.dumps(flag.targeting) if flag.targeting else "none"),
        *((f"metadata {name}", str(value)) for name, value in flag.metadata.items()),
        *([("protected", f"a change takes {many(approvals, 'approval')}")] if approvals else []),
        ("changed", f"{when(last.at)} by {last.actor}: {last.reason}"),
        *((one.id, f"{difference(one)} ({waiting(one)})") for one in open_plans),
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
    at: str = AT,
    within: str = IN,
    as_json: bool = JSON_OPTION,
) -> None:
    """Make a flag, or change what is named of one."""
    fields: dict[str, Any] = {}
    if variant:
        fields["variants"] = _pairs(variant, "--variant")
    if default:
        fields["defaultVariant"] = default
    if targeting:
        text = sys.stdin.read() if targeting == "-" else targeting
        fields["targeting"] = _json(text, "--targeting")
    if metadata:
        fields["metadata"] = _pairs(metadata, "--metadata")
    if off:
        fields["state"] = "DISABLED"
    with _flags() as flags:
        show(flags.edit(key, fields, reason, at=later(at, within)), as_json)


@app.command()
def enable(
    key: str = KEY,
    *,
    reason: str = REASON,
    at: str = AT,
    within: str = IN,
    as_json: bool = JSON_OPTION,
) -> None:
    """Switch a flag on."""
    with _flags() as flags:
        show(flags.enable(key, reason, at=later(at, within)), as_json)


@app.command()
def disable(
    key: str = KEY,
    *,
    reason: str = REASON,
    at: str = AT,
    within: str = IN,
    force: bool = typer.Option(
        False, "--force", help="Now, also when it is protected; kept with the change."
    ),
    as_json: bool = JSON_OPTION,
) -> None:
    """Switch a flag off: every caller gets its own default."""
    moment = later(at, within)
    if force and moment is not None:
        raise typer.BadParameter("what is forced is done now", param_hint="--force")
    with _flags() as flags:
        show(flags.disable(key, reason, at=moment, force=force), as_json)


@app.command()
def default(
    key: str = KEY,
    variant: str = typer.Argument(help="The variant."),
    *,
    reason: str = REASON,
    at: str = AT,
    within: str = IN,
    as_json: bool = JSON_OPTION,
) -> None:
    """Give a flag another default variant."""
    with _flags() as flags:
        show(flags.default(key, variant, reason, at=later(at, within)), as_json)


@app.command()
def rollout(
    key: str = KEY,
    shares: list[str] = typer.Argument(help="VARIANT=PERCENT, e.g. `on=25`; the rest: default."),
    *,
    reason: str = REASON,
    at: str = AT,
    within: str = IN,
    as_json: bool = JSON_OPTION,
) -> None:
    """Split the units that no rule matches, by bucket: who is in stays in while a share grows."""
    with _flags() as flags:
        show(flags.roll_out(key, _shares(shares), reason, at=later(at, within)), as_json)


@app.command()
def remove(key: str = KEY, *, reason: str = REASON, as_json: bool = JSON_OPTION) -> None:
    """Delete a flag; `rollback` brings it back."""
    with _flags() as flags:
        show(flags.remove(key, reason), as_json)


@app.command()
def history(key: str = KEY, *, as_json: bool = JSON_OPTION) -> None:
    """Every change of a flag, the newest first, with who asked for it and who approved."""
    with _flags() as flags:
        found = flags.history(key)
    if as_json:
        print_json([plain(one) for one in found])
        return
    rows = [
        (
            str(one.number), when(one.at), one.actor, approved_by(one), action(one),
            one.reason, difference(one),
        )
        for one in found
    ]  # fmt: skip
    columns = ("change", "at", "by", "approved by", "what", "why", "difference")
    print_table(columns, rows, first_out=("approved by",))


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
        show(flags.roll_back(key, reason, to=to or None), as_json)


@app.command("import")
def import_flags(
    file: Path = typer.Argument(help="A file of flagd's, in JSON; `-`: standard input."),
    *,
    reason: str = typer.Option("", "--reason", "-m", help="Why; default: the file's name."),
    prune: bool = typer.Option(False, "--prune", help="Remove flags that the file has not."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Only show what would change."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Make the flags what a file of flagd's says, all or nothing; of protected ones propose it."""
    raw = _file(file)
    with _flags() as flags:
        done = flags.take(
            raw, reason or f"import of {file}", source=str(file), prune=prune, dry_run=dry_run
        )
    if as_json:
        print_json([plain(one) for one in done])
        return
    rows = [(one.key, _what(one, dry_run), difference(one)) for one in done]
    print_table(("flag", "what", "difference"), rows, empty="nothing changes")


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


for command in (
    *(flags_plans.protect, flags_plans.proposals, flags_plans.approve, flags_plans.reject),
    *(flags_plans.scheduled, flags_plans.unschedule, flags_stale.stale),
):
    app.command()(command)


@contextmanager
def _flags() -> Iterator[Flags]:
    with opened() as context:
        yield context.flags


def _file(path: Path) -> Any:
    from triune.core.errors import ConfigError, NotFound, Problem

    try:
        return _loaded(sys.stdin.read() if str(path) == "-" else path.read_text())
    except OSError as error:
        raise NotFound(
            "flags-file-missing",
            f"{path} cannot be read: {error.strerror}",
            hint="Give the path of a JSON file.",
        ) from None
    except (ValueError, RecursionError) as error:
        problem = Problem(str(path), "", f"is no JSON: {error}", "Write JSON.")
        raise ConfigError([problem]) from None


def _loaded(text: str) -> Any:
    """JSON as the standard has it: without NaN and Infinity, which Python would take."""

    def refuse(word: str) -> None:
        raise ValueError(f"{word} is no JSON")

    return json.loads(text, parse_constant=refuse)


def _json(text: str, option: str) -> Any:
    try:
        return _loaded(text)
    except (ValueError, RecursionError) as error:
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


def _what(done: Change | Plan, dry_run: bool) -> str:
    from triune.delivery.flags.plans import Plan

    before, after = states(done)
    word = "changed"
    if before is None or after is None:
        word = "made" if before is None else "removed"
    if isinstance(done, Plan):
        return f"would be proposed: {word}" if dry_run else f"proposed as {done.id}: {word}"
    return f"would be {word}" if dry_run else word


def _state(flag: Flag) -> str:
    return "on" if flag.enabled else "off"


def _default(flag: Flag) -> str:
    return flag.default or "the caller's"


def _rule(flag: Flag) -> str:
    return json.dumps(flag.targeting) if flag.targeting else ""
