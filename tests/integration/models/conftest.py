"""One tiny workspace for the whole module: trained once, looked at by many tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.tiny_workspace import commit_all, tiny_workspace
from triune.app.context import Context
from triune.app.train import Trained, train
from triune.core.workspace import Workspace


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    made = tiny_workspace(tmp_path_factory.mktemp("models") / "tiny")
    context = Context(made)
    context.data.add("points")
    context.close()
    commit_all(made.root, "version the data")
    return made


@pytest.fixture(scope="module")
def context(workspace: Workspace) -> Iterator[Context]:
    made = Context(workspace)
    yield made
    made.close()


@pytest.fixture(scope="module")
def trained(context: Context) -> Trained:
    """A run of the training ``fit``, registered."""
    return train(context, "fit")
