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
    beginning = model.begin(None, "b")
    assert not beginning.resumed
    assert "first loop" in beginning.words
    assert beginning.state.facts == {}


def test_an_interrupted_loop_keeps_its_runs_and_models_and_nothing_live() -> None:
    old = interrupted(Step.UP, Step.DATA, Step.TRAIN, Step.REGISTER, Step.SERVE)
    beginning = model.begin(old, "b")
    assert beginning.resumed
    assert beginning.state.id == "old"
    assert set(beginning.state.facts) == {"train", "register"}
    assert "Resuming loop old" in beginning.words


def test_a_changed_basis_starts_clean_and_says_so() -> None:
    beginning = model.begin(interrupted(Step.TRAIN), "other")
    assert not beginning.resumed
    assert beginning.state.id != "old"
    assert "changed" in beginning.words


def test_a_loop_killed_too_early_starts_clean() -> None:
    beginning = model.begin(interrupted(Step.UP, Step.DATA), "b")
    assert not beginning.resumed
    assert "before anything could be kept" in beginning.words


def test_a_finished_loop_is_not_resumed() -> None:
    old = LoopState(id="old", basis="b", started=1.0, facts={"train": {}}, finished=True)
    assert not model.begin(old, "b").resumed


def test_the_state_survives_the_disk(tmp_path: Path) -> None:
    state = interrupted(Step.DATA, Step.TRAIN)
    model.save(tmp_path / "loop.json", state)
    assert model.load(tmp_path / "loop.json") == state
    assert model.load(tmp_path / "nothing.json") is None


def test_every_step_has_a_sentence() -> None:
    assert set(model.SENTENCES) == set(Step)
