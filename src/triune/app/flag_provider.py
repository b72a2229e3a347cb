"""The door to flags for a workspace's own code: ``triune.flag_provider()``."""

from __future__ import annotations

from pathlib import Path

from triune.core.ids import digest_bytes
from triune.core.workspace import find
from triune.delivery.flags.cache import Cache, cache_file
from triune.delivery.flags.live.provider import LiveProvider
from triune.delivery.flags.live.service import LiveFlags
from triune.operations.services.addresses import Addresses

_FOLDER = Path("~/.cache/triune/flags")


def flag_provider(
    url: str | None = None, *, workspace: Path | None = None, cache: Path | None = None
) -> LiveProvider:
    """A provider for the OpenFeature SDK whose flags follow every change within a second.

    It evaluates in this process, and never raises there. While the flag server is away the last
    good flags are in force, also in a process that starts then.

    Parameters
    ----------
    url: the flag server, e.g. ``http://127.0.0.1:8013``; default: the workspace's
    workspace: a folder inside the workspace; default: the current one
    cache: the file that keeps the last good flags; default: in the workspace, or for a ``url``
        below ``~/.cache/triune/flags``

    Raises
    ------
    NotFound: (``workspace-not-found``) without ``url``, outside of a workspace.
    """
    if url is not None:
        kept = Cache(cache or _FOLDER.expanduser() / f"{digest_bytes(url.encode())[7:23]}.json")
        return LiveProvider(LiveFlags(lambda: url, kept))
    found = find(workspace)
    addresses = Addresses(found)
    kept = Cache(cache or cache_file(found.state, "clients"))
    return LiveProvider(LiveFlags(lambda: addresses.flags_url, kept))
