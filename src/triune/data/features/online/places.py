"""Which place an address means."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from triune.core.errors import Refused
from triune.data.features.online.ports import Place


def place(url: str, *, timeout: float = 5.0) -> Place:
    """The place of ``sqlite:///path``, ``redis://…`` (one node) or ``redis+cluster://…``.

    Nothing is connected to yet. ``timeout`` in seconds, for each round trip.

    Raises
    ------
    Refused: (``online-address-unknown``) another scheme.
    """
    scheme = urlsplit(url).scheme
    if scheme == "sqlite":
        from triune.data.features.online.sqlite import SqlitePlace

        return SqlitePlace(Path(unquote(url.removeprefix("sqlite:///"))), timeout=timeout)
    if scheme == "redis":
        from triune.data.features.online.valkey import ValkeyPlace

        return ValkeyPlace(url, timeout=timeout)
    if scheme == "redis+cluster":
        from triune.data.features.online.cluster import ClusterPlace

        return ClusterPlace(url, timeout=timeout)
    raise Refused(
        "online-address-unknown",
        f"{scheme or 'an address without a scheme'} is no online store",
        hint="Known are sqlite:///path, redis://host:port/0 and redis+cluster://host:port.",
    )
