"""What pipelines tell the ledger."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from triune.core.ids import reference
from triune.data.pipelines.model import Facts, Piece, StageState
from triune.data.pipelines.ports import Told
from triune.ledger.envelope import Edge, Event, event

FINISHED = "stage.finished"


def ref_of(facts: Facts) -> str:
    """``stage:<name>@<12 hex>`` of all that it read, did and made."""
    told = [
        facts.command,
        sorted((piece.path, piece.hash) for piece in facts.deps),
        sorted((piece.path, piece.hash) for piece in facts.outs),
        facts.params,
    ]
    key = hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()
    return reference("stage", f"{facts.name}@{key[:12]}")


def finished(
    facts: Facts,
    *,
    state: StageState,
    why: Sequence[str],
    seconds: float,
    inputs: Sequence[str],
    reads: Told | None,
    commit: str,
    workspace: str,
) -> Event:
    """A stage's outputs are there: it ran, or they came from the cache. ``reads`` is what it was
    seen to read when it ran; None when nobody here saw it."""
    ref = ref_of(facts)
    edges = [Edge(ref, one, "input") for one in sorted(set(inputs))]
    edges += [Edge(ref, one, role) for one, role in (reads.inputs if reads else ())]
    return event(
        FINISHED,
        ref,
        workspace=workspace,
        payload={
            "name": facts.name,
            "state": state.value,
            "command": list(facts.command),
            "params": dict(facts.params),
            "deps": [_piece(piece) for piece in facts.deps],
            "outs": [_piece(piece) for piece in facts.outs],
            "why": list(why),
            "seconds": round(seconds, 3),
            **({} if reads is None else {"reads": dict(reads.reads)}),
        },
        edges=(*edges, Edge(ref, commit, "commit")),
    )


def reads_of(earlier: Event) -> Told:
    """What an earlier event of the stage tells of its reads."""
    known = ("input", "commit")
    inputs = tuple((edge.parent, edge.role) for edge in earlier.edges if edge.role not in known)
    return Told(inputs, earlier.payload["reads"])


def _piece(piece: Piece) -> dict[str, object]:
    return {"path": piece.path, "hash": piece.hash, "bytes": piece.bytes}
