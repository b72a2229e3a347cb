"""Whatever table is given, the loader answers with a config or a list of problems."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from triune.core import config
from triune.core.errors import ConfigError

KEYS = st.sampled_from(
    ["workspace", "datasets", "features", "trainings", "endpoints", "services", "loop", "name",
     "path", "function", "dataset", "model", "inputs", "datatype", "port", "a", "é", ""]
)  # fmt: skip
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8))
TABLES = st.dictionaries(
    KEYS,
    st.recursive(
        LEAVES,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
        max_leaves=12,
    ),
    max_size=6,
)


@given(TABLES)
def test_any_table_gives_a_config_or_problems(table: dict[str, Any]) -> None:
    try:
        config.parse(table)
    except ConfigError as error:
        assert error.problems
        assert all(p.what and p.mend for p in error.problems)
