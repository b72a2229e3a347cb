"""Lineage as a tree in the terminal: each node with the facts that matter for its kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.markup import escape
from rich.tree import Tree

from triune.cli.output import many, screen, when
from triune.core.ids import kind_of
from triune.ledger.envelope import Edge, Event
from triune.ledger.lineage import Lineage, Node

_MOST_FACTS = 12
_LONGEST = 200
_COLOURS = {
    "prediction": "magenta",
    "release": "green",
    "model": "cyan",
    "run": "yellow",
    "features": "blue",
    "dataset": "blue",
    "commit": "white",
    "environment": "white",
}


def print_tree(found: Lineage) -> None:
    """Print the ancestors of a node, and the gaps."""
    tree = Tree(_label(found.root), guide_style="dim")
    _grow(tree, found.root)
    console = screen()
    console.print(tree)
    if found.complete:
        console.print(
            f"complete: {many(sum(1 for _ in found.nodes()), 'node')}, no gap", style="green"
        )
        return
    for gap in found.gaps:
        words = f"[red]gap[/red] {escape(gap.ref)}: {escape(gap.what)}"
        console.print(words, soft_wrap=True)


def print_fed(events: Sequence[Event]) -> None:
    """Print what wrote the looked-up features, the newest of each view or partition."""
    if not events:
        return
    tree = Tree("its features were written by", guide_style="dim")
    for event in events:
        lines = "\n".join(f"[dim]{escape(line)}[/dim]" for line in facts(event))
        tree.add(f"[bold blue]{escape(event.subject)}[/]\n{lines}")
    screen().print(tree)


def _grow(tree: Tree, node: Node) -> None:
    for parent in node.parents:
        _grow(tree.add(_label(parent)), parent)


def _label(node: Node) -> str:
    colour = _COLOURS.get(kind_of(node.ref), "white")
    part = (
        f"[dim]{escape(node.role)}[/dim] " if node.role and node.role != kind_of(node.ref) else ""
    )
    lines = [f"{part}[bold {colour}]{escape(node.ref)}[/]"]
    if node.folded:
        lines[0] += " [dim](see above)[/dim]"
    elif node.event is None:
        lines[0] += " [red]not recorded[/red]"
    else:
        lines += [f"[dim]{escape(line)}[/dim]" for line in facts(node.event)]
    return "\n".join(lines)


def facts(event: Event) -> list[str]:
    """What an event says of its subject, in lines of ``key value`` pairs; tables one line each.

    Left out is what only repeats the reference, or that of a parent, which the tree shows.
    """
    plain: list[str] = [when(event.at), f"by {event.actor}"]
    tables: list[str] = []
    shown = {one for edge in event.edges for one in _spellings(edge.parent)}
    for key, value in event.payload.items():
        if _empty(value) or _repeats(event.subject, shown, key, value):
            continue
        if isinstance(value, Mapping):
            inner = [f"{name}={_short(v)}" for name, v in value.items() if not _empty(v)]
            tables += [f"{key}: {_brief(inner)}"] if inner else []
        elif isinstance(value, Sequence) and not isinstance(value, str):
            left = [_short(v) for v in value if str(v) not in shown]
            tables += [f"{key}: {_brief(left)}"] if left else []
        else:
            plain.append(f"{key} {_short(value)}")
    return [" · ".join(plain), *tables]


def _spellings(ref: str) -> set[str]:
    """How a payload may write a reference: whole, or without its kind."""
    return {ref, ref.partition(":")[2]}


def _repeats(subject: str, shown: set[str], key: str, value: Any) -> bool:
    text = str(value)
    if text in shown or text in _spellings(subject):
        return True
    name, _, tail = subject.partition(":")[2].partition("@")
    if key in {"name", "version"}:
        return text in {name, tail}
    return key == "digest" and bool(tail) and text.removeprefix("sha256:").startswith(tail)


def _brief(words: list[str]) -> str:
    """The words of a table, or how many there are where nobody would read them all."""
    if len(words) <= _MOST_FACTS:
        return " ".join(words)
    return f"{len(words)} entries (--json shows them)"


def _empty(value: Any) -> bool:
    return value is None or (isinstance(value, str | Sequence | Mapping) and not value)


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        named = value.get("name") or value.get("path")
        return str(named) if named else f"{{{len(value)}}}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{len(value)}]"
    text = " ".join(str(value).split())
    if text.startswith("sha256:"):
        return text[:19]
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def node_as_dict(node: Node) -> dict[str, Any]:
    """A node and what is above it, as ``--json`` prints it."""
    event = node.event
    described = None
    if event is not None:
        described = {
            "id": event.id,
            "time": event.at.isoformat(),
            "kind": event.kind,
            "actor": event.actor,
            "payload": event.payload,
        }
    return {
        "reference": node.ref,
        "role": node.role,
        "event": described,
        "folded": node.folded,
        "parents": [node_as_dict(parent) for parent in node.parents],
    }


def print_descendants(ref: str, edges: Iterable[Edge], *, limited: bool) -> None:
    """Print what was made from a node; predictions are counted, not listed."""
    children: dict[str, list[str]] = {}
    for edge in edges:
        known = children.setdefault(edge.parent, [])
        if edge.child not in known[-1:]:
            known.append(edge.child)
    tree = Tree(f"[bold]{escape(ref)}[/bold]", guide_style="dim")
    _grow_down(tree, ref, children, {ref})
    console = screen()
    console.print(tree)
    if limited:
        console.print("there are more; raise --limit to see them", style="dim")


def _grow_down(tree: Tree, ref: str, children: Mapping[str, list[str]], seen: set[str]) -> None:
    predictions = 0
    for child in dict.fromkeys(children.get(ref, [])):
        if kind_of(child) == "prediction":
            predictions += 1
            continue
        colour = _COLOURS.get(kind_of(child), "white")
        label = f"[{colour}]{escape(child)}[/]"
        if child in seen:
            tree.add(f"{label} [dim](see above)[/dim]" if child in children else label)
            continue
        seen.add(child)
        _grow_down(tree.add(label), child, children, seen)
    if predictions:
        tree.add(f"[dim]{many(predictions, 'prediction')}[/dim]")
