"""What long work is doing, in one line that is overwritten."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def spinner(*, quiet: bool) -> Iterator[Callable[[str], None]]:
    """Tells on standard error what is being done; ``quiet``, as with ``--json``, tells nothing."""
    if quiet:
        yield lambda _: None
        return
    from rich.console import Console

    with Console(stderr=True).status("") as line:
        yield line.update
