"""Training sets: what DuckDB joins is what a plain loop over all rows finds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from triune.core.errors import Refused
from triune.data.features import asof
from triune.data.features.asof import Source

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
SECONDS = st.integers(0, 30)
KNOWN = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(0, 1), SECONDS, SECONDS | st.none(),
              st.none() | st.integers(-5, 5)),
    min_size=1, max_size=30,
)  # fmt: skip
ASKED = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 1), SECONDS), max_size=20)


def at(second: int | None) -> datetime | None:
    return None if second is None else EPOCH + timedelta(seconds=second)


def naive(
    known: list[tuple[Any, ...]], asked: tuple[str, int, int], ttl: int, created: bool
) -> Any:
    """The value of the winning row, by looking at every one."""
    best: tuple[Any, ...] | None = None
    for place, (k, n, second, made, value) in enumerate(known):
        late = second > asked[2] or (ttl and asked[2] - second > ttl)
        if (k, n) != asked[:2] or late:
            continue
        order = (second, (made is not None, made or 0) if created else 0, place)
        if best is None or order > best[0]:
            best = (order, value)
    return None if best is None else best[1]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(KNOWN, ASKED, st.sampled_from([0, 1, 7]), st.booleans(), st.booleans())
def test_a_training_set_is_what_a_plain_loop_finds(
    tmp_path: Path, known: list[Any], asked: list[Any], ttl: int, created: bool, naive_times: bool
) -> None:
    table = pd.DataFrame(known, columns=["k", "n", "t", "made", "value"])
    table["t"] = pd.to_datetime([at(s) for s in table["t"]], utc=True)
    table["made"] = pd.to_datetime(
        [at(None if pd.isna(s) else int(s)) for s in table["made"]], utc=True
    )
    if naive_times:
        table["t"] = table["t"].dt.tz_localize(None)
    table["value"] = table["value"].astype("float64")
    path = tmp_path / "known.parquet"
    table.to_parquet(path, index=False)
    entities = pd.DataFrame(asked, columns=["who", "n", "second"])
    entities["when"] = pd.to_datetime([at(s) for s in entities["second"]], utc=True)
    source = Source(
        str(path), "t", {"k": "who", "n": "n"}, {"value": "seen"},
        "made" if created else None, ttl * 1_000_000_000,
    )  # fmt: skip
    joined = asof.join(entities, "when", [source])
    pd.testing.assert_frame_equal(joined[list(entities.columns)], entities)
    wanted = [naive(known, one, ttl, created) for one in asked]
    found = [None if pd.isna(value) else value for value in joined["seen"]]
    assert found == wanted


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(KNOWN, SECONDS, SECONDS)
def test_the_newest_row_of_each_entity_in_a_time(
    tmp_path: Path, known: list[Any], first: int, last: int
) -> None:
    table = pd.DataFrame(known, columns=["k", "n", "t", "made", "value"])
    table["t"] = pd.to_datetime([at(s) for s in table["t"]], utc=True)
    path = tmp_path / "known.parquet"
    table.drop(columns="made").to_parquet(path, index=False)
    source = Source(str(path), "t", {"k": "k", "n": "n"}, {"value": "value"})
    found = {
        (row["k"], row["n"]): (row["event_us"], row["value"])
        for row in asof.latest(source, at(first), at(last)).to_pylist()
    }
    wanted: dict[Any, Any] = {}
    for k, n, second, _, value in known:
        moment = round((EPOCH + timedelta(seconds=second)).timestamp() * 1e6)
        if first <= second <= last and moment >= wanted.get((k, n), (0,))[0]:
            wanted[k, n] = (moment, value)
    assert found == wanted


def test_a_table_that_is_missing_broken_or_of_other_columns_is_named(tmp_path: Path) -> None:
    entities = pd.DataFrame({"k": ["a"], "t": [EPOCH]})
    missing, broken, other = (tmp_path / f"{name}.parquet" for name in ("m", "b", "o"))
    broken.write_bytes(b"PAR1 and then nothing")
    pd.DataFrame({"k": [1], "t": [EPOCH], "x": [1.0]}).to_parquet(other)
    for path, reference in ((missing, asof.MISSING), (broken, asof.BROKEN), (other, asof.BROKEN)):
        with pytest.raises(Refused) as caught:
            asof.join(entities, "t", [Source(str(path), "t", {"k": "k"}, {"y": "y"})])
        assert caught.value.reference == reference
        assert caught.value.context == str(path)


@pytest.mark.parametrize(
    ("entities", "word"),
    [
        (pd.DataFrame({"k": ["a"]}), "lack t"),
        (pd.DataFrame({"t": [EPOCH]}), "lack k"),
        (pd.DataFrame({"k": ["a"], "t": ["soon"]}), "does not hold times"),
        (pd.DataFrame({"k": ["a", "b"], "t": [EPOCH, None]}), "missing in 1 rows"),
    ],
)
def test_entity_rows_that_do_not_fit_are_refused(
    tmp_path: Path, entities: pd.DataFrame, word: str
) -> None:
    path = tmp_path / "x.parquet"
    pd.DataFrame({"k": ["a"], "t": [EPOCH], "y": [1.0]}).to_parquet(path)
    with pytest.raises(Refused, match=word) as caught:
        asof.join(entities, "t", [Source(str(path), "t", {"k": "k"}, {"y": "y"})])
    assert caught.value.reference == "feature-entities-unfit"
