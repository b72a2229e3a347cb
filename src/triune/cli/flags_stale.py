"""``triune flags stale``: flags against the code."""

from __future__ import annotations

from datetime import UTC, datetime

import typer

from triune.cli.opened import opened
from triune.cli.output import JSON_OPTION, here, print_json, print_table


def stale(
    *,
    days: int = typer.Option(
        30, "--days", min=0, help="Off, or one answer for everybody, for as many days or more."
    ),
    as_json: bool = JSON_OPTION,
) -> None:
    """Hold the flags against the code of the repository, and say what could go."""
    from triune.delivery.flags.stale import report

    now = datetime.now(UTC)
    with opened() as context:
        found = report(context.flags, here().root, days=days, at=now)
    if as_json:
        rows = [
            {
                "key": one.key,
                "stale": one.stale,
                "since": one.since,
                "words": one.words,
                "uses": [use.place for use in one.uses],
                "next": one.next,
            }
            for one in found
        ]
        print_json(rows)
        return
    print_table(
        ("flag", "stale", "days", "why", "where", "next"),
        [
            (
                one.key, one.stale, (now - one.since).days if one.since else "", one.words,
                ", ".join(use.place for use in one.uses), one.next,
            )
            for one in found
        ],
        wrap=True,
        empty="nothing is stale",
    )  # fmt: skip
