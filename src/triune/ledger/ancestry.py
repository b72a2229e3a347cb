"""Reading lineage out of a store: one node's, or the coverage of all."""

from __future__ import annotations

from triune.core.errors import NotFound
from triune.core.ids import kind_of
from triune.ledger import lineage
from triune.ledger.lineage import Coverage, Gap, Graph, Lineage
from triune.ledger.ports import Query, Store

_BARE_KINDS = ("prediction", "run")


def graph(store: Store, ref: str) -> Graph:
    """A node, its ancestors and the events that describe them, in two queries."""
    edges = store.ancestors(ref)
    refs = list({ref, *(edge.parent for edge in edges)})
    return Graph(edges, lineage.describing(s.event for s in store.about(refs, lineage.RECORDED_BY)))


def of(store: Store, ref: str) -> Lineage:
    """The lineage of a reference.

    Raises
    ------
    NotFound: (``lineage-unknown``) no event and no edge mentions it.
    """
    found = graph(store, ref)
    if not found.edges and not found.events and not store.descendants(ref, limit=1):
        raise _unknown(ref)
    return found.lineage(ref)


def missing(store: Store, ref: str) -> tuple[Gap, ...]:
    """What is not known of a reference and its ancestors; empty when it is complete."""
    return graph(store, ref).gaps(ref)


def coverage(store: Store) -> Coverage:
    """Complete artifacts over all artifacts, with those that are not, and why."""
    refs = [ref for kind in lineage.RULES if kind != "prediction" for ref in store.references(kind)]
    kinds = [
        k for name, rule in lineage.RULES.items() if name != "prediction" for k in rule.recorded_by
    ]
    events = (stored.event for kind in kinds for stored in store.select(Query(kind=kind)))
    known = Graph(store.parents(refs), lineage.describing(events))
    return lineage.coverage(refs, known)


def resolve(store: Store, text: str) -> str:
    """The reference somebody means: a reference, or the bare id of a prediction, run or event.

    Raises
    ------
    NotFound: (``lineage-unknown``) nothing in the ledger has that id.
    """
    if kind_of(text):
        return text
    for kind in _BARE_KINDS:
        ref = f"{kind}:{text}"
        if store.parents([ref]) or store.about([ref], lineage.RULES[kind].recorded_by):
            return ref
    event = store.get(text)
    if event is None:
        raise _unknown(text)
    return event.subject


def _unknown(text: str) -> NotFound:
    return NotFound(
        "lineage-unknown",
        f"the ledger knows nothing of {text!r}",
        hint="Give a reference such as run:<id> or model:<name>@<version>, or a prediction's id;"
        " `triune events` shows them.",
    )
