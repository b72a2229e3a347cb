"""What a run or stage was seen to read, and what of it no version records. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from triune.ledger.envelope import Event

_NAMED = 5
_WATCHED = ("run.finished", "stage.finished")


def unseen(event: Event) -> list[str]:
    """What is not known of the reads of a watched run or stage, one sentence each."""
    if event.kind not in _WATCHED or "reads" not in event.payload:
        return []
    reads = event.payload["reads"]
    if reads is None:
        return ["what it read was not told before it ended"]
    return list(_sentences(reads))


def _sentences(reads: dict[str, Any]) -> Iterator[str]:
    if reads.get("failed"):
        yield f"what it read could not be told apart: {reads['failed']}"
    if reads.get("capture") != "kernel":
        yield "this machine does not show what libraries and children read, only what Python did"
    if reads.get("lost"):
        yield f"{reads['lost']} of its reads could not be seen"
    files = reads.get("unversioned", [])
    for one in files[:_NAMED]:
        yield f"it read {one['path']}: {one['why']}"
    more = len(files[_NAMED:]) + reads.get("more", 0)
    if more:
        yield f"it read {more} more files that no version records"
    for peer in reads.get("connections", []):
        yield f"it was connected to {peer}, and nobody knows what came from there"
