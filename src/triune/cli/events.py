"""``triune events``: what happened, filtered, followed, exported."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import typer

from triune.cli.moments import moment
from triune.cli.output import JSON_OPTION, here, print_json, print_table, screen, when
from triune.ledger import kinds
from triune.ledger.ports import Query, Stored

app = typer.Typer(add_completion=False)

_DAY = len("2026-01-31")


@app.command()
def events(
    *,
    kind: str = typer.Option("", "--kind", "-k", help="Only this kind; `rollout.*` for several."),
    subject: str = typer.Option("", "--subject", "-s", help="Only about this reference."),
    actor: str = typer.Option("", "--actor", help="Only by user:<name> or service:<name>."),
    since: str = typer.Option("", "--since", help="Only after this: 10m, 2h, 3d or an ISO time."),
    until: str = typer.Option("", "--until", help="Only before this: 10m, 2h, 3d or an ISO time."),
    limit: int = typer.Option(50, "--limit", "-n", min=0, help="The newest N; 0 for all."),
    follow: bool = typer.Option(False, "--follow", "-f", help="Go on with each new event."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Show what happened: filter, follow, export the ledger."""
    from triune.app.context import Context

    query = Query(
        kind=_kind(kind),
        subject=subject or None,
        actor=actor or None,
        since=moment(since),
        until=moment(until),
    )
    context = Context(here())
    try:
        after = context.ledger.last_sequence()
        shown = _newest(
            context.ledger.select(replace(query, newest_first=True, limit=limit or None))
        )
        if follow:
            for stored in shown:
                _print_line(stored, as_json)
            after = max([after, *(stored.sequence for stored in shown)])
            for stored in context.ledger.follow(replace(query, after=after)):
                _print_line(stored, as_json)
        elif as_json:
            print_json([as_dict(stored) for stored in shown])
        else:
            _print_table(shown)
    finally:
        context.close()


def as_dict(stored: Stored) -> dict[str, Any]:
    """An event as the object that ``--json`` prints; its time is in ISO 8601, UTC."""
    event = stored.event
    return {
        "sequence": stored.sequence,
        "id": event.id,
        "time": event.at.isoformat(),
        "kind": event.kind,
        "subject": event.subject,
        "actor": event.actor,
        "workspace": event.workspace,
        "version": event.version,
        "payload": event.payload,
        "causes": list(event.causes),
        "edges": [{"child": e.child, "parent": e.parent, "role": e.role} for e in event.edges],
    }


def brief(payload: Mapping[str, Any]) -> str:
    """A payload in a few words: its plain values, and how many things its tables hold."""
    words = []
    for key, value in payload.items():
        if isinstance(value, Mapping | list | tuple):
            if value:
                words.append(f"{key}: {len(value)}")
        elif value not in (None, ""):
            words.append(f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}")
    return ", ".join(words)


def _kind(text: str) -> str | None:
    if not text or text == "*":
        return None
    if not text.endswith("*"):
        kinds.check(text)
    elif not any(known.startswith(text[:-1]) for known in kinds.KINDS):
        raise typer.BadParameter(f"no event kind begins with {text[:-1]!r}", param_hint="--kind")
    return text


def _newest(backwards: Iterator[Stored]) -> list[Stored]:
    return list(backwards)[::-1]


def _print_table(shown: list[Stored]) -> None:
    """The events; in a terminal the day is named once when it is the same for all."""
    rows = [_cells(stored) for stored in shown]
    days = {time[:_DAY] for time, *_ in rows}
    header = "time"
    if len(days) == 1 and screen().is_terminal:
        (header,) = days
        rows = [(time[_DAY + 1 :], *rest) for time, *rest in rows]
    print_table(
        (header, "kind", "subject", "actor", "what"),
        rows,
        keep=3,
        first_out=("actor",),
        empty="no event matches; `triune events` without options shows the newest, and "
        "`triune loop` or `triune train` make some",
    )


def _cells(stored: Stored) -> tuple[str, ...]:
    event = stored.event
    return when(event.at), event.kind, event.subject, event.actor, brief(event.payload)


def _print_line(stored: Stored, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(as_dict(stored), ensure_ascii=False))
    else:
        typer.echo("  ".join(_cells(stored)))
