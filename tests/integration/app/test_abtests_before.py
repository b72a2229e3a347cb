"""Values from before a test, by the feature store: CUPED on the real thing."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from tests.support.abtest_facts import DECLARED, METRICS
from tests.support.services import MakeWorkspace, make_workspace
from triune.app import abtests
from triune.app.context import Context
from triune.core.errors import Refused
from triune.delivery.abtest.exposing import exposure
from triune.delivery.flags.model import Flag

__all__ = ["make_workspace"]

DEFINITIONS = """
from datetime import timedelta
from feast import Entity, FeatureView, Field, FileSource
from feast.types import Float64
from feast.value_type import ValueType

user = Entity(name="user", join_keys=["user"], value_type=ValueType.INT64)
city = Entity(name="city", join_keys=["city"], value_type=ValueType.STRING)
spent = FileSource(name="spent", path="data/spent/spent.parquet", timestamp_field="t")
spending = FeatureView(
    name="spending", entities=[user], ttl=timedelta(days=0), source=spent,
    schema=[Field(name="last_month", dtype=Float64)],
)
both = FeatureView(
    name="both", entities=[user, city], ttl=timedelta(days=0), source=spent,
    schema=[Field(name="everywhere", dtype=Float64)],
)
"""
TOML = """
[datasets.spent]
path = "data/spent"
[feature_store]
definitions = ["shop"]
"""
USERS = 600
CUPED = replace(METRICS[1], covariate="spending:last_month", high=None)
DECLARED_SO = replace(DECLARED, unit="user", metrics=(METRICS[0], CUPED))


@pytest.fixture
def context(make_workspace: MakeWorkspace) -> Iterator[Context]:
    workspace = make_workspace("shop", TOML)
    root = workspace.root
    sys.modules.pop("shop", None)
    (root / "src").mkdir()
    (root / "src" / "shop.py").write_text(DEFINITIONS)
    (root / "data" / "spent").mkdir(parents=True)
    now, draw = datetime.now(UTC), random.Random(4)
    rows = [
        {"user": user, "city": "x", "t": now + timedelta(hours=hours), "last_month": amount,
         "everywhere": 0.0}
        for user in range(USERS)
        for hours, amount in ((-9, draw.uniform(0, 100)), (9, -1e6))
    ]  # fmt: skip
    pd.DataFrame(rows).to_parquet(root / "data" / "spent" / "spent.parquet")
    for command in (
        ["init", "-q"], ["add", "src", "triune.toml"],
        ["-c", "user.email=a@b", "-c", "user.name=n", "commit", "-qm", "begin"],
    ):  # fmt: skip
        subprocess.run(["git", "-C", str(root), *command], check=True)
    made = Context(workspace)
    made.data.add("spent")
    made.features.apply()
    yield made
    made.close()


def test_what_was_known_before_makes_the_interval_narrower(context: Context) -> None:
    before = abtests.Before(context)
    now = round(datetime.now(UTC).timestamp() * 1e6)
    asked = {"3": now, "nobody": now, "99999": now, "4": now}
    table = pd.read_parquet(context.workspace.root / "data" / "spent" / "spent.parquet")
    spent = table[table["last_month"] >= 0].set_index("user")["last_month"]
    assert before(asked, ["spending:last_month"]) == {
        "3": (spent[3],),
        "nobody": (0.0,),
        "99999": (0.0,),
        "4": (spent[4],),
    }
    with pytest.raises(Refused) as unfit:
        before(asked, ["both:everywhere"])
    assert unfit.value.reference == "test-covariate-unfit"

    context.flags.set(Flag("new-ui", True, {"on": True, "off": False}, "off"), "a page")
    run = context.abtests.start(DECLARED_SO, "to see")
    context.ledger.record(
        [
            exposure(run, str(user), run.declaration.variant_of(str(user)) or "", "x")
            for user in range(USERS)
        ]
    )
    outcomes, draw = abtests.outcomes(context), random.Random(5)
    for user in range(USERS):
        outcomes.happened(str(user), "order", spent[user] + draw.gauss(0, 5))
    context.ledger.flush()
    standing = context.abtests.status(run.name)
    assert context.abtests.compare(standing).agrees
    (row,) = [c for c in standing.analysis.comparisons if c.metric == "revenue"]
    assert row.n_control + row.n_candidate == USERS
    assert row.noise_left < 0.1  # 1 - rho^2 is 0.03
