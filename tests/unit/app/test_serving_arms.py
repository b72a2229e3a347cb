"""A release in a place becomes a model server's spec and process."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.support.delivery import ENDPOINT, Stage, staged
from triune.app.serving_arms import ModelExamples, ServingArms, WorkspaceTests
from triune.core.entrypoints import EntryPointError
from triune.core.files import read_json, write_json
from triune.core.process import HttpReady
from triune.core.workspace import Workspace
from triune.delivery.smoke import SmokeTest
from triune.delivery.state import Arm, Colour
from triune.models.serving.spec import load


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with staged(tmp_path, with_envoy=False) as made:
        yield made


def test_the_server_gets_all_of_the_release(stage: Stage) -> None:
    release = stage.delivery.releases.get(stage.release("delay@1"))
    arm = Arm(release.ref, Colour.GREEN, 4711, "arm-flights-delay-green")
    key = stage.root / "signing.pub"
    process = ServingArms(stage.workspace, stage.delivery.releases, key).process(release, arm)
    assert process.name == "arm-flights-delay-green"
    assert process.ready == HttpReady("http://127.0.0.1:4711/v2/health/ready")
    spec = load(Path(process.argv[-1]))
    assert (spec.endpoint, spec.model_name) == (ENDPOINT, "flights-delay")
    assert (spec.release, spec.arm, spec.port) == (release.ref, "green", 4711)
    assert (spec.model.digest, spec.model.public_key) == (release.bundle.model.digest, key)
    assert spec.model.path == stage.models.folder / "delay@1"
    assert [(item.name, item.width) for item in spec.inputs] == [("x", 1)]
    again = ServingArms(stage.workspace, stage.delivery.releases, key).process(release, arm)
    assert again == process


def test_prometheus_is_told_of_an_arm_until_it_is_forgotten(stage: Stage) -> None:
    run = stage.workspace.run_folder
    arms = ServingArms(stage.workspace, stage.delivery.releases, stage.root / "signing.pub")
    near = "arm-flights-delay-green-blue"  # another endpoint's, of nearly the same name
    for model in ("delay@1", "delay@2"):
        release = stage.delivery.releases.get(stage.release(model))
        green = Arm(release.ref, Colour.GREEN, 4711, "arm-flights-delay-green")
        arms.process(release, green)
    arms.process(release, Arm(release.ref, Colour.BLUE, 4712, near))
    assert read_json(run / "targets" / "arm-flights-delay-green.json") == [
        {
            "targets": ["127.0.0.1:4711"],
            "labels": {"endpoint": ENDPOINT, "release": release.ref, "arm": "green"},
        }
    ]
    assert len(list((run / "arms").iterdir())) == 3
    for _ in range(2):
        arms.forget(green)
        assert [path.stem for path in (run / "targets").iterdir()] == [near]
        (left,) = (run / "arms").iterdir()
        assert left.stem.startswith(near)


def test_an_example_has_exactly_the_columns_that_callers_send(stage: Stage) -> None:
    ref = stage.release("delay@1")
    examples = ModelExamples(stage.delivery.releases)
    release = stage.delivery.releases.get(ref)
    assert examples(release) == {}
    place = stage.models.folder / "delay@1" / "example.json"
    write_json(place, {"inputs": {"x": [1.5, 2.5], "unused": ["a", "b"]}})
    assert examples(release) == {"x": [1.5, 2.5]}
    write_json(place, {"inputs": {"unused": ["a", "b"]}})
    assert examples(release) == {"x": [0.0, 0.0]}


@pytest.fixture
def own(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Sequence[SmokeTest]]:
    """The tests of an endpoint with this ``smoke`` setting; a module `own_smoke` is there."""
    monkeypatch.setattr("sys.path", [*sys.path])
    code = stage.root / "src"
    code.mkdir()
    (code / "own_smoke.py").write_text("def fit(endpoint):\n    assert False, 'unfit'\n")

    def tests(entry: str) -> Sequence[SmokeTest]:
        config = stage.root / "triune.toml"
        line = f'smoke = ["{entry}"]\nsmoke_latency_ms'
        config.write_text(config.read_text().replace("smoke_latency_ms", line, 1))
        release = stage.delivery.releases.get(stage.release("delay@1"))
        return WorkspaceTests(Workspace(stage.root))(release)

    return tests


def test_the_workspaces_own_tests_are_loaded_by_name(
    own: Callable[[str], Sequence[SmokeTest]],
) -> None:
    (test,) = own("own_smoke:fit")
    assert test.name == "fit"
    with pytest.raises(AssertionError, match="unfit"):
        test.run(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("entry", ["own_smoke:absent", "nowhere_smoke:fit"])
def test_a_test_that_does_not_load_is_an_error(
    own: Callable[[str], Sequence[SmokeTest]], entry: str
) -> None:
    with pytest.raises(EntryPointError):
        own(entry)
