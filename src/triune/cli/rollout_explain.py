"""`triune rollout explain`: sentences, the table of evidence, the e-value over the looks."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

from triune.cli import rollout_view as words
from triune.cli.output import print_facts, print_table, screen
from triune.cli.rollout_looks import points
from triune.cli.rollout_watch import look_as_dict

if TYPE_CHECKING:
    from triune.delivery.rollout.view import RolloutView
    from triune.ledger.envelope import Event

_WIDEST = 100
_HEIGHT = 12


def show(view: RolloutView, sentences: Sequence[str], looks: Sequence[Event]) -> None:
    """For people."""
    console = screen()
    width = min(console.width, _WIDEST)
    for line in sentences:
        whole = not console.is_terminal
        typer.echo(line if whole else textwrap.fill(line, width, break_on_hyphens=False))
    if view.looks:
        typer.echo()
        print_table(words.COLUMNS, words.metric_rows(view), first_out=words.FIRST_OUT)
    if view.shadow:
        typer.echo()
        print_facts(words.shadow_rows(view))
    seen = points(looks)
    if len(seen) > 1:
        from triune.cli import rollout_plot as plot

        colour = console.is_terminal and console.color_system is not None
        typer.echo()
        area = plot.Area(width, _HEIGHT, colour, view.started)
        typer.echo(plot.e_values(seen, area, view.needed), color=colour or None)


def as_dict(view: RolloutView, sentences: Sequence[str], looks: Sequence[Event]) -> dict[str, Any]:
    """For programs: the sentences, the rollout as it stands, every look."""
    return {
        "endpoint": view.endpoint,
        "rollout": view.rollout,
        "sentences": list(sentences),
        "view": words.as_dict(view),
        "looks": [look_as_dict(event) for event in looks],
    }
