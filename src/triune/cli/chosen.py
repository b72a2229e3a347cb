"""The workspace that the running command was told to use; empty for the current folder's."""

from __future__ import annotations

from contextvars import ContextVar

chosen: ContextVar[str] = ContextVar("workspace", default="")
