"""What streams tell the ledger."""

from __future__ import annotations

from triune.core.ids import reference
from triune.ledger.envelope import Edge, Event, event

CONSUMED = "stream.consumed"
REPLAYED = "stream.replayed"


def ref_of(stream: str, partition: int, first: int, last: int) -> str:
    """``stream:<name>/<partition>@<first>-<last>``, both offsets included."""
    return reference("stream", f"{stream}/{partition}@{first}-{last}")


def consumed(
    stream: str,
    partition: int,
    first: int,
    last: int,
    *,
    topic: str,
    view: str,
    watermark_us: int,
    commit: str,
    workspace: str,
) -> Event:
    """Every message from ``first`` to ``last`` was applied, or is a dead letter."""
    ref = ref_of(stream, partition, first, last)
    return event(
        CONSUMED,
        ref,
        workspace=workspace,
        actor="service:streams",
        payload={
            "stream": stream,
            "topic": topic,
            "partition": partition,
            "first": first,
            "last": last,
            "view": view,
            "watermark_us": watermark_us,
        },
        edges=(Edge(ref, view, "features"), Edge(ref, commit, "commit")),
    )


def replayed(stream: str, offsets: dict[int, int], cleared: int, *, workspace: str) -> Event:
    """A stream was set back to these offsets, and so many rows were removed first."""
    return event(
        REPLAYED,
        f"service:stream-{stream}",
        workspace=workspace,
        payload={"stream": stream, "offsets": {str(k): v for k, v in offsets.items()},
                 "cleared": cleared},
    )  # fmt: skip
