"""`report.html`: what happened, on one page that needs no network.

`build` gathers what is known (`gather`) from the ledger, the runs' journals and the records of
the traffic, and lays it out (`render`) with charts drawn as SVG (`charts`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from triune.app.report.facts import LoopFacts, from_state

if TYPE_CHECKING:
    from triune.app.context import Context

__all__ = ["LoopFacts", "build", "from_state"]


def build(ctx: Context, loop: LoopFacts | None, out: Path, *, endpoint: str = "") -> Path:
    """Write the report of a loop, or of an endpoint's newest traffic; returns ``out``.

    ``endpoint`` defaults to the loop's, then to the only one there is.

    Raises
    ------
    NotFound: (``report-nothing-to-show``) it is not clear which endpoint is meant.
    """
    from triune.app.report.gather import Gatherer
    from triune.app.report.render import to_html
    from triune.core.errors import NotFound
    from triune.core.files import write_atomic

    config = ctx.workspace.config
    chosen = endpoint or (config.loop.endpoint if config.loop else "")
    if not chosen and len(config.endpoints) == 1:
        chosen = next(iter(config.endpoints))
    if chosen not in config.endpoints:
        raise NotFound(
            "report-nothing-to-show",
            f"there is no endpoint {chosen!r}" if chosen else "no endpoint was named",
            hint=f"Known: {', '.join(config.endpoints) or 'none'}.",
        )
    report = Gatherer(ctx, loop, chosen).report()
    write_atomic(out, to_html(report))
    return out
