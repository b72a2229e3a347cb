"""Where a loop goes on after it was killed, and what it says about that."""

from __future__ import annotations

from pathlib import Path

from triune.app.loop import model
from triune.app.loop.model import LoopState, Step


def interrupted(*steps: Step, basis: str = "b") -> LoopState:
    state = LoopState(id="old", basis=basis, started=1.0)
    for step in steps:
        state = state.done(step, {"of": step.value}, 1.5)
    return state


def test_the_first_loop_starts_clean() -> None:
    beginning = model.begin(None, "b", running=False)
    assert not beginning.resumed
    assert "first loop" in beginning.words
    assert beginning.state.facts == {}


def test_an_interrupted_loop_keeps_its_runs_and_models_and_nothing_live() -> None:
    old = interrupted(Step.UP, Step.DATA, Step.TRAIN, Step.REGISTER, Step.SERVE)
    beginning = model.begin(old, "b", running=True)
    assert beginning.resumed
    assert beginning.state.id == "old"
    assert set(beginning.state.facts) == {"train", "register"}
    assert "Resuming loop old" in beginning.words


def test_a_changed_basis_starts_clean_and_says_so() -> None:
    beginning = model.begin(interrupted(Step.TRAIN), "other", running=True)
    assert not beginning.resumed
    assert beginning.state.id != "old"
    assert "changed" in beginning.words


def test_a_loop_killed_too_early_starts_clean() -> None:
    beginning = model.begin(interrupted(Step.UP, Step.DATA), "b", running=True)
    assert not beginning.resumed
    assert "before anything could be kept" in beginning.words


def test_a_finished_loop_is_not_resumed() -> None:
    old = LoopState(id="old", basis="b", started=1.0, facts={"train": {}}, finished=True)
    assert not model.begin(old, "b", running=True).resumed


def test_the_state_survives_the_disk(tmp_path: Path) -> None:
    state = interrupted(Step.DATA, Step.TRAIN)
    model.save(tmp_path / "loop.json", state)
    assert model.load(tmp_path / "loop.json") == state
    assert model.load(tmp_path / "nothing.json") is None


def test_every_step_has_a_sentence() -> None:
    assert set(model.SENTENCES) == set(Step)


def test_a_loop_stops_only_what_it_started() -> None:
    assert model.begin(None, "b", running=False).state.owns_services
    assert not model.begin(None, "b", running=True).state.owns_services


def test_the_services_of_a_killed_loop_are_still_its_own() -> None:
    for old in (interrupted(Step.TRAIN), interrupted(Step.UP)):
        assert model.begin(old, "b", running=True).state.owns_services
    guest = LoopState(id="old", basis="b", started=1.0, owns_services=False)
    assert not model.begin(guest, "b", running=True).state.owns_services


def test_kept_runs_of_another_dataset_version_are_dropped() -> None:
    state = LoopState(id="l", basis="b", started=1.0)
    state = state.done(Step.TRAIN, {"first": {"run": "1", "dataset": "dataset:d@1"}}, 1.0)
    state = state.done(Step.REGISTER, {"first": {"model": "m@1"}}, 1.0)
    same = state.done(Step.DATA, {"versions": {"d": "dataset:d@1"}}, 1.0).without_outdated()
    assert set(same.facts) == {"train", "register", "data"}
    other = state.done(Step.DATA, {"versions": {"d": "dataset:d@2"}}, 1.0).without_outdated()
    assert set(other.facts) == {"data"}
