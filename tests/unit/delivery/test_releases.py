"""Releases: immutable, complete, the same for the same ingredients."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.delivery import ENDPOINT, Stage, registered, staged
from triune.core.errors import Conflict, NotFound, Refused
from triune.core.files import write_json
from triune.delivery.release import Bundle, Pin, Serving, canonical, diff, name
from triune.delivery.releases import Releases
from triune.delivery.state import EndpointState


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with staged(tmp_path, with_envoy=False) as made:
        yield made


def test_a_release_holds_all_it_needs_and_says_what_it_was_made_of(stage: Stage) -> None:
    ref = stage.release("delay@1")
    release = stage.delivery.releases.get(ref)
    assert release.bundle.model == Pin("model:delay@1", stage.models.resolve("delay@1").digest)
    assert release.bundle.commit == "commit:abc"
    assert release.bundle.features == ("features:asof@123",)
    assert [item.name for item in release.bundle.serving.inputs] == ["x"]
    edges = {(edge.parent, edge.role) for edge in stage.ledger.parents([ref])}
    assert edges == {
        ("model:delay@1", "model"),
        ("commit:abc", "commit"),
        ("features:asof@123", "features"),
    }
    assert name(release.bundle) == ref


def test_the_same_ingredients_make_the_same_release_once(stage: Stage) -> None:
    first, second = stage.release("delay@1"), stage.release("delay@1")
    assert first == second
    assert len(stage.events("release.created")) == 1


def test_a_release_whose_making_was_killed_is_recorded_by_the_next_attempt(stage: Stage) -> None:
    stage.models.add("delay@1")
    stage.ledger.record([registered("delay@1")])
    bundle = stage.delivery.releases._bundle(ENDPOINT, stage.models.resolve("delay@1"))
    stage.delivery.releases._bundles.add(bundle)
    assert stage.events("release.created") == []
    stage.release("delay@1")
    assert len(stage.events("release.created")) == 1


def test_an_incomplete_lineage_is_refused_unless_forced(stage: Stage) -> None:
    stage.models.add("delay@1")
    releases = Releases(
        stage.workspace, stage.ledger, stage.models, lambda ref: ["run:1: no dataset"]
    )
    with pytest.raises(Refused, match="run:1: no dataset") as refused:
        releases.create(ENDPOINT, "delay@1")
    assert refused.value.reference == "release-ancestry-incomplete"
    assert stage.events("release.created") == []
    releases.create(ENDPOINT, "delay@1", force=True)
    (made,) = stage.events("release.created")
    assert made.payload["forced"] is True
    assert made.payload["missing"] == ["run:1: no dataset", "commit"]


def test_a_changed_bundle_is_refused(stage: Stage) -> None:
    ref = stage.release("delay@1")
    path = stage.delivery.releases.get(ref).path
    content = json.loads(path.read_bytes())
    content["serving"]["workers"] = 64
    path.chmod(0o644)
    write_json(path, content)
    with pytest.raises(Refused) as refused:
        stage.delivery.releases.get(ref)
    assert refused.value.reference == "release-tampered"


def test_a_bundle_under_a_forged_name_is_refused_by_the_ledgers_digest(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twelve digits can be forged with effort; the event has all of them."""
    ref = stage.release("delay@1")
    monkeypatch.setattr(
        stage.delivery.releases, "_event", lambda ref: {"digest": "sha256:" + "0" * 64}
    )
    with pytest.raises(Refused) as refused:
        stage.delivery.releases.get(ref)
    assert refused.value.reference == "release-tampered"


@pytest.mark.parametrize(
    ("ref", "reference"),
    [
        ("release:flights-delay@000000000000", "release-not-found"),
        ("../../triune", "path-leaves-folder"),
    ],
)
def test_what_is_not_a_release(stage: Stage, ref: str, reference: str) -> None:
    with pytest.raises((NotFound, Refused)) as error:
        stage.delivery.releases.get(ref)
    assert error.value.reference == reference


def test_a_release_of_an_undeclared_endpoint_is_not_made(stage: Stage) -> None:
    with pytest.raises(NotFound) as error:
        stage.release("delay@1", endpoint="flights/arrival")
    assert error.value.reference == "endpoint-not-declared"


def test_releases_are_listed_newest_first(stage: Stage) -> None:
    refs = [stage.release(f"delay@{n}") for n in (1, 2)]
    other = stage.release("delay@1", endpoint="flights")
    assert [found.ref for found in stage.delivery.releases.all()] == [other, *refs[::-1]]
    assert [found.ref for found in stage.delivery.releases.all("flights")] == [other]


def test_diff_names_every_setting_that_differs() -> None:
    before = Bundle("e", Pin("model:a@1", "sha256:1"), Serving(workers=1))
    after = Bundle("e", Pin("model:a@2", "sha256:1"), Serving(workers=2, fallback=before.model))
    assert [(c.key, c.before, c.after) for c in diff(before, after)] == [
        ("model.ref", "model:a@1", "model:a@2"),
        ("serving.fallback.digest", None, "sha256:1"),
        ("serving.fallback.ref", None, "model:a@1"),
        ("serving.workers", 1, 2),
    ]
    assert diff(before, before) == ()


def test_the_canonical_text_does_not_depend_on_order() -> None:
    pin = Pin("model:a@1", "sha256:1")
    left = Bundle("e", pin, Serving(), flags={"a": 1, "b": 2})
    right = Bundle("e", pin, Serving(), flags={"b": 2, "a": 1})
    assert canonical(left) == canonical(right)


def test_endpoints_that_would_share_files_are_told_apart(stage: Stage) -> None:
    stage.store.save(EndpointState("a/b"))
    with pytest.raises(Conflict) as taken:
        stage.store.load("a-b")
    assert taken.value.reference == "endpoint-name-taken"


def test_a_broken_state_file_is_named(stage: Stage) -> None:
    path = stage.workspace.state / "endpoints" / "flights-delay.json"
    path.parent.mkdir(parents=True)
    path.write_text("{")
    with pytest.raises(Refused) as broken:
        stage.store.load(ENDPOINT)
    assert broken.value.reference == "endpoint-state-broken"
