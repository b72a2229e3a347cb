"""What a gateway must do; every backend passes ``tests/contract/delivery``."""

from __future__ import annotations

from typing import Protocol

from triune.delivery.gateway.model import Counters, Snapshot, Table


class Gateway(Protocol):
    """Routes callers to upstreams. No change of the table loses a request.

    A caller that applies tables from several processes holds a lock of its own around
    "read what is wanted, apply it", so that an older table never replaces a newer one.
    """

    def apply(self, table: Table) -> None:
        """Make the table live; it is live for new requests when this returns.

        New upstreams are there before a route names them. Upstreams that are no longer in
        the table stay, unrouted, until `prune`. Applying a table again changes nothing.

        Raises
        ------
        Unavailable: (``gateway-unreachable``, ``gateway-not-live``) the gateway does not
            answer or did not take the table in time. It may still do so later: apply again.
        """
        ...

    def prune(self, table: Table) -> None:
        """Forget upstreams that are not in the table. Their requests must have ended."""
        ...

    def in_flight(self, upstream: str) -> int:
        """Requests that wait for this upstream's answer now, mirrored ones too; 0 when it is
        not known."""
        ...

    def counters(self, upstream: str) -> Counters:
        """What this upstream answered so far; zeros when it is not known.

        Raises
        ------
        Unavailable: (``gateway-unreachable``).
        """
        ...

    def snapshot(self) -> Snapshot:
        """Every upstream's tallies, in one reading; upstreams never asked are left out.

        All tallies are of the same moment, which may be a fraction of a second ago: a request
        is wholly in a snapshot or not at all, so its numbers always agree with each other.
        Within an epoch no number ever falls.

        Raises
        ------
        Unavailable: (``gateway-unreachable``).
        """
        ...
