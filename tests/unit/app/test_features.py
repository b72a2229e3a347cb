"""What a release pins of the feature store."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from triune.app.features import pinned
from triune.core.errors import Refused


def test_one_input_is_not_fed_by_two_views() -> None:
    first, second = SimpleNamespace(name="one"), SimpleNamespace(name="two")
    catalog = SimpleNamespace(features=lambda _: [(first, "age"), (second, "age")])
    context = SimpleNamespace(features=SimpleNamespace(catalog=catalog))
    with pytest.raises(Refused, match="'age' is looked up in one and two") as caught:
        pinned(cast(Any, context), ["one", "two"])
    assert caught.value.reference == "release-online-unfit"
