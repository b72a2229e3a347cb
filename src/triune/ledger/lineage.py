"""What anything was made from, and whether that record is complete. Pure: no I/O.

An artifact is *complete* when it was recorded by an event of its own, has an edge to each of
the parents its kind must have and to each that its event told, and all its parents are complete.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from triune.core.ids import kind_of
from triune.ledger.envelope import Edge, Event
from triune.ledger.reading import unseen


@dataclass(frozen=True, slots=True)
class Rule:
    """What must be known of one kind of node.

    ``recorded_by``: the kinds of event that record it, the most telling last;
    ``parents``: the kinds of parent it cannot be complete without.
    """

    recorded_by: tuple[str, ...]
    parents: tuple[str, ...] = ()


RULES: dict[str, Rule] = {
    "dataset": Rule(("dataset.versioned",)),
    "commit": Rule(("commit.recorded",)),
    "environment": Rule(("environment.recorded",)),
    "stage": Rule(("stage.finished",), ("commit",)),
    "features": Rule(("features.defined", "feature_view.applied"), ("dataset", "commit")),
    "materialisation": Rule(("features.materialized",), ("features", "dataset")),
    "stream": Rule(("stream.consumed",), ("features", "commit")),
    "run": Rule(("run.started", "run.finished"), ("dataset", "commit", "environment")),
    "model": Rule(("model.registered",), ("run",)),
    "release": Rule(("release.created",), ("model", "commit")),
    "prediction": Rule(("prediction.served",), ("release",)),
}
_DEEPEST = 100
RECORDED_BY = tuple(kind for rule in RULES.values() for kind in rule.recorded_by)
ARTIFACTS = (
    "dataset",
    "stage",
    "features",
    "materialisation",
    "stream",
    "run",
    "model",
    "release",
)
"""The kinds whose completeness is counted; predictions are far too many and follow theirs."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that is not known: of which node, and what."""

    ref: str
    what: str


@dataclass(frozen=True, slots=True)
class Node:
    """A reference in a tree of ancestors.

    ``role`` is its part in making the node above, empty at the root; ``event`` describes it;
    ``folded`` marks a node whose parents are not shown here: they are where it occurs first, or
    lie deeper than 100 levels.
    """

    ref: str
    role: str
    event: Event | None
    parents: tuple[Node, ...] = ()
    folded: bool = False


@dataclass(frozen=True)
class Lineage:
    """A node with all its ancestors, and the gaps in what is known of them."""

    root: Node
    gaps: tuple[Gap, ...]

    @property
    def complete(self) -> bool:
        return not self.gaps

    def nodes(self) -> Iterator[Node]:
        """Every node once, the root first."""
        seen: set[str] = set()
        waiting = deque([self.root])
        while waiting:
            node = waiting.popleft()
            if node.ref not in seen and not node.folded:
                seen.add(node.ref)
                yield node
            waiting.extend(node.parents)


@dataclass(frozen=True)
class Graph:
    """Edges, and the event that describes each node."""

    edges: Sequence[Edge]
    events: Mapping[str, Event]
    _parents: dict[str, list[Edge]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        parents: dict[str, list[Edge]] = {}
        for edge in sorted(self.edges, key=lambda e: (e.role, e.parent)):
            parents.setdefault(edge.child, []).append(edge)
        object.__setattr__(self, "_parents", parents)

    def parents(self, ref: str) -> list[Edge]:
        """Edges to what this node was made from, sorted by role."""
        return self._parents.get(ref, [])

    def own_gaps(self, ref: str) -> list[Gap]:
        """What is not known of this node itself."""
        rule = RULES.get(kind_of(ref))
        if rule is None:
            return [Gap(ref, f"{kind_of(ref) or ref!r} is not a kind of node")]
        gaps = []
        event = self.events.get(ref)
        if event is None:
            gaps.append(Gap(ref, f"no {' or '.join(rule.recorded_by)} event records it"))
        there = {edge.parent for edge in self.parents(ref)}
        told = {edge.parent for edge in event.edges if edge.child == ref} if event else set()
        gaps += [
            Gap(ref, f"that it was made from {parent} was told, and is not there any more")
            for parent in sorted(told - there)
        ]
        gaps += [Gap(ref, what) for what in unseen(event)] if event else []
        known = {kind_of(parent) for parent in there}
        gaps += [
            Gap(ref, f"no {kind} is known that it was made from")
            for kind in rule.parents
            if kind not in known
        ]
        return gaps

    def gaps(self, ref: str) -> tuple[Gap, ...]:
        """What is not known of this node and of all its ancestors."""
        return tuple(gap for one in self.reachable(ref) for gap in self.own_gaps(one))

    def reachable(self, ref: str) -> list[str]:
        """The node and all its ancestors, each once, near ones first."""
        seen = {ref: None}
        waiting = deque([ref])
        while waiting:
            for edge in self.parents(waiting.popleft()):
                if edge.parent not in seen:
                    seen[edge.parent] = None
                    waiting.append(edge.parent)
        return list(seen)

    def lineage(self, ref: str) -> Lineage:
        """The tree of a node's ancestors; a node met again is folded."""
        return Lineage(self._node(ref, "", set(), 0), self.gaps(ref))

    def _node(self, ref: str, role: str, seen: set[str], depth: int) -> Node:
        event = self.events.get(ref)
        edges = self.parents(ref)
        if ref in seen or depth > _DEEPEST:
            return Node(ref, role, event, folded=bool(edges))
        seen.add(ref)
        parents = tuple(self._node(e.parent, e.role, seen, depth + 1) for e in edges)
        return Node(ref, role, event, parents)


@dataclass(frozen=True, slots=True)
class Incomplete:
    """An artifact whose ancestry is not complete, and why."""

    ref: str
    gaps: tuple[Gap, ...]


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many artifacts there are, how many are complete, and which are not."""

    total: int
    complete: int
    incomplete: tuple[Incomplete, ...]

    @property
    def share(self) -> float | None:
        """Complete artifacts over all; None when there are none."""
        return self.complete / self.total if self.total else None


def describing(events: Iterable[Event]) -> dict[str, Event]:
    """The most telling event of each subject, out of events in the order of the log."""
    rank = {kind: place for rule in RULES.values() for place, kind in enumerate(rule.recorded_by)}
    found: dict[str, Event] = {}
    for event in events:
        known = found.get(event.subject)
        rule = RULES.get(kind_of(event.subject))
        if rule is None or event.kind not in rule.recorded_by:
            continue
        if known is None or rank[event.kind] >= rank[known.kind]:
            found[event.subject] = event
    return found


def counts(ref: str, event: Event | None) -> bool:
    """Whether an artifact takes part in coverage: of runs, only those that finished well."""
    if kind_of(ref) != "run":
        return kind_of(ref) in ARTIFACTS
    return event is not None and event.payload.get("status") == "finished"


def coverage(refs: Iterable[str], graph: Graph) -> Coverage:
    """Coverage over these references, of which some may not count."""
    own = {}
    for one in {*refs, *(e.parent for e in graph.edges)}:
        own[one] = graph.own_gaps(one)
    artifacts = sorted(ref for ref in set(refs) if counts(ref, graph.events.get(ref)))
    incomplete = []
    for ref in artifacts:
        gaps = tuple(gap for one in graph.reachable(ref) for gap in own[one])
        if gaps:
            incomplete.append(Incomplete(ref, gaps))
    return Coverage(len(artifacts), len(artifacts) - len(incomplete), tuple(incomplete))
