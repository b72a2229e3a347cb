"""Fixtures of the tests about services."""

from tests.support.services import make_workspace, supervisor, workspace

__all__ = ["make_workspace", "supervisor", "workspace"]
