"""Keeps the tests of one `xdist_group` on one worker.

pytest-xdist 3.8 notes a group in ``_nodeid``, where pytest 9.2 does not look any more: without this
the tests of a group are silently spread over all workers.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from _pytest.nodeid import coerce_node_id


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    yield
    for item in items:
        grouped = getattr(item, "_nodeid", item.nodeid)
        if grouped != item.nodeid:
            item._id = coerce_node_id(grouped)
