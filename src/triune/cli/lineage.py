"""``triune lineage``: what anything was made from, what was made from it, how complete it is."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import typer

from triune.cli.output import JSON_OPTION, here, print_json, print_table
from triune.core.errors import CheckFailed
from triune.core.ids import kind_of
from triune.ledger.envelope import Event
from triune.ledger.feeding import newest
from triune.ledger.lineage import Coverage, Lineage
from triune.ledger.service import Ledger

app = typer.Typer(add_completion=False)


class Format(StrEnum):
    """How lineage is shown."""

    TREE = "tree"
    JSON = "json"
    OPENLINEAGE = "openlineage"


@app.command()
def lineage(
    *,
    reference: str = typer.Argument(
        "", help="A reference such as run:<id>, or the id of a prediction or run."
    ),
    coverage: bool = typer.Option(
        False, "--coverage", help="Instead: the share of artifacts whose ancestry is complete."
    ),
    descendants: bool = typer.Option(
        False, "--descendants", help="Instead: what was made from it."
    ),
    form: Format = typer.Option(Format.TREE, "--format", help="tree, json or openlineage."),
    limit: int = typer.Option(1000, "--limit", min=1, help="At most so many descendants."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Show what anything was made from, or how complete it is."""
    from triune.app.context import Context

    if bool(reference) == coverage:
        raise typer.BadParameter("give a reference or --coverage, one of the two")
    chosen = Format.JSON if as_json else form
    context = Context(here())
    try:
        if coverage:
            _show_coverage(context.ledger.coverage(), chosen)
        elif descendants:
            _show_descendants(context.ledger, context.ledger.resolve(reference), chosen, limit)
        else:
            _show_ancestors(context.ledger, context.ledger.resolve(reference), chosen)
    finally:
        context.close()


def _show_ancestors(ledger: Ledger, ref: str, form: Format) -> None:
    if form is Format.OPENLINEAGE:
        print_json(_openlineage(ledger, ref))
        return
    found = ledger.lineage(ref)
    reads_features = any(kind_of(node.ref) == "features" for node in found.nodes())
    fed = newest(ledger.fed_by(ref)) if reads_features else []
    if form is Format.JSON:
        print_json(_as_dict(found, fed))
        return
    from triune.cli.lineage_tree import print_fed, print_tree

    print_tree(found)
    print_fed(fed)


def _as_dict(found: Lineage, fed: Sequence[Event]) -> dict[str, object]:
    from triune.cli.lineage_tree import node_as_dict

    return {
        "fed_by": [{"reference": one.subject, "time": one.at.isoformat()} for one in fed],
        "reference": found.root.ref,
        "complete": found.complete,
        "gaps": [{"reference": gap.ref, "what": gap.what} for gap in found.gaps],
        "tree": node_as_dict(found.root),
    }


def _openlineage(ledger: Ledger, ref: str) -> list[dict[str, object]]:
    from triune.ledger.lineage import RECORDED_BY
    from triune.ledger.openlineage import run_events

    ledger.lineage(ref)
    graph = ledger.graph(ref)
    refs = graph.reachable(ref)
    events = [stored.event for stored in ledger.about(refs, RECORDED_BY)]
    return list(run_events(events, {one: graph.parents(one) for one in refs}))


def _show_descendants(ledger: Ledger, ref: str, form: Format, limit: int) -> None:
    edges = ledger.descendants(ref, limit=limit)
    if form is not Format.TREE:
        rows = [{"child": e.child, "parent": e.parent, "role": e.role} for e in edges]
        print_json({"reference": ref, "edges": rows, "limited": len(edges) == limit})
        return
    from triune.cli.lineage_tree import print_descendants

    print_descendants(ref, edges, limited=len(edges) == limit)


def _show_coverage(found: Coverage, form: Format) -> None:
    if form is not Format.TREE:
        print_json(
            {
                "total": found.total,
                "complete": found.complete,
                "share": found.share,
                "incomplete": [
                    {
                        "reference": one.ref,
                        "gaps": [{"reference": gap.ref, "what": gap.what} for gap in one.gaps],
                    }
                    for one in found.incomplete
                ],
            }
        )
    elif found.share is None:
        typer.echo("nothing to cover yet: no dataset, feature view, run, model or release is known")
    else:
        typer.echo(f"{found.complete} of {found.total} artifacts complete: {found.share:.1%}")
        rows = [(one.ref, gap.ref, gap.what) for one in found.incomplete for gap in one.gaps]
        if rows:
            print_table(("artifact", "gap at", "what"), rows, wrap=True)
    if found.incomplete and form is not Format.TREE:
        raise typer.Exit(int(CheckFailed.exit_code))
    if found.incomplete:
        raise CheckFailed(
            "lineage-incomplete",
            f"{len(found.incomplete)} artifacts have gaps in their ancestry",
            hint="Record what is missing, or make the artifact again through Triune.",
        )
