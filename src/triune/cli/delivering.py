"""Delivery for as long as a command needs it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from triune.cli.opened import opened as services

if TYPE_CHECKING:
    from triune.delivery.service import Delivery


@contextmanager
def opened() -> Iterator[Delivery]:
    """The workspace's delivery; what it opened is closed at the end."""
    with services() as context:
        yield context.delivery
