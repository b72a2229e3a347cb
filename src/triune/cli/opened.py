"""The workspace's services for as long as a command needs them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from triune.cli.output import here

if TYPE_CHECKING:
    from triune.app.context import Context


@contextmanager
def opened() -> Iterator[Context]:
    """The services of the workspace; what the command opened of them is closed at the end."""
    from triune.app.context import Context

    with closing(Context(here())) as context:
        yield context
