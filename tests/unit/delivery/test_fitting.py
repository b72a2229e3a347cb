"""Feature types held against an endpoint's inputs when a release is made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.delivery import ENDPOINT, Stage, registered, staged
from triune.core.config import Datatype, InputTable
from triune.core.errors import Refused
from triune.data.features.kinds import FEATURES, KEYS
from triune.delivery.fitting import ASKED_BY, TAKES, refuse_misfits
from triune.delivery.ports import Pinned
from triune.delivery.releases import Releases

ONLINE = """
[endpoints."flights/delay".online]
entities = { who = "who" }
features = ["v"]
"""
DECLARED = """inputs = [
    { name = "x", datatype = "FP64" },
    { name = "who", datatype = "BYTES" },
    { name = "seen", datatype = "@SEEN@" },
]"""


def pinned(kind: str, key: str = "STRING") -> Pinned:
    return Pinned(("features:v@1",), (), {"seen": "v:seen"}, {"seen": kind}, {"who": key})


def inputs(seen: Datatype, who: Datatype = Datatype.BYTES, width: int = 1) -> list[InputTable]:
    return [
        InputTable(name="seen", datatype=seen, width=width),
        InputTable(name="who", datatype=who),
    ]


@pytest.mark.parametrize("kind", sorted(FEATURES))
@pytest.mark.parametrize("datatype", list(Datatype))
def test_every_type_either_feeds_an_input_or_is_refused_by_name(
    kind: str, datatype: Datatype
) -> None:
    if kind in TAKES[datatype]:
        refuse_misfits("e", pinned(kind), {"who": "who"}, inputs(datatype))
        return
    with pytest.raises(Refused) as refused:
        refuse_misfits("e", pinned(kind), {"who": "who"}, inputs(datatype))
    assert refused.value.reference == "release-feature-unfit"
    assert f"feature v:seen is {kind}" in refused.value.message
    assert f"'seen' ({datatype.value})" in refused.value.message
    assert "seen" in (refused.value.hint or "")


@pytest.mark.parametrize("key", sorted(KEYS))
@pytest.mark.parametrize("datatype", list(Datatype))
def test_every_key_is_either_held_by_an_input_or_refused(key: str, datatype: Datatype) -> None:
    given = inputs(Datatype.FP64, datatype)
    if datatype in ASKED_BY.get(key, ()):
        refuse_misfits("e", pinned("FLOAT", key), {"who": "who"}, given)
        return
    with pytest.raises(Refused, match=f"join key who is {key}") as refused:
        refuse_misfits("e", pinned("FLOAT", key), {"who": "who"}, given)
    assert refused.value.reference == "release-feature-unfit"


def test_a_wide_input_and_a_key_that_nothing_holds_are_told_together() -> None:
    with pytest.raises(Refused) as refused:
        refuse_misfits("e", pinned("FLOAT"), {}, inputs(Datatype.FP32, width=3))
    assert "input 'seen' (FP32, 3 wide)" in refused.value.message
    assert "join key who (STRING) is asked by no input" in refused.value.message


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with staged(tmp_path, with_envoy=False) as made:
        yield made


def releases(stage: Stage, seen: str, kind: str) -> Releases:
    config = stage.root / "triune.toml"
    text = config.read_text().replace(
        'inputs = [{ name = "x", datatype = "FP64" }]', DECLARED.replace("@SEEN@", seen)
    )
    config.write_text(text + ONLINE)
    again = Stage(stage.root, with_envoy=False)
    again.models.add("delay@1")
    again.ledger.record([registered("delay@1")])
    return Releases(
        again.workspace, again.ledger, again.models, lambda ref: [], lambda asked: pinned(kind)
    )


def test_a_release_whose_feature_fits_is_made(stage: Stage) -> None:
    made = releases(stage, "INT64", "UNIX_TIMESTAMP").create(ENDPOINT, "delay@1")
    assert made.bundle.serving.online is not None
    assert made.bundle.serving.online.features == {"seen": "v:seen"}


def test_a_release_whose_feature_cannot_feed_its_input_is_refused(stage: Stage) -> None:
    with pytest.raises(Refused) as refused:
        releases(stage, "FP32", "STRING").create(ENDPOINT, "delay@1", force=True)
    told = refused.value
    assert told.reference == "release-feature-unfit"
    assert told.message == (
        "what is looked up does not fit the endpoint's inputs: "
        "feature v:seen is STRING, and cannot feed input 'seen' (FP32)"
    )
    assert told.context == '[endpoints."flights/delay"]'
    assert told.hint == (
        "Give feature and input types that fit. Declare input 'seen' as BYTES, "
        "or feature seen as one of Bool, Float32, Float64, Int32, Int64."
    )
    assert stage.events("release.created") == []
