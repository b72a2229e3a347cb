"""`triune.toml`: one fixture per mistake, and all mistakes at once."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from triune.core import config
from triune.core.errors import ConfigError

GOOD = """
[workspace]
name = "flights"

[datasets.flights]
path = "data/flights"
build = "flights.data:build"

[features.schedule]
function = "flights.features:schedule"
dataset = "flights"

[trainings.plain]
function = "flights.train:plain"
dataset = "flights"
features = ["schedule"]
model = "delay"
params = { C = 1.0, solver = "lbfgs" }

[endpoints."flights/delay"]
model = "delay"
deadline_ms = 20
inputs = [{ name = "hour", datatype = "FP64" }]
"""

MISTAKES = {
    "unknown-section": ("[workspaces]\nname = 'x'", "workspaces", "unknown key"),
    "unknown-key": ("[workspace]\nname = 'a'\nprofil = 'local'", "workspace.profil", "unknown key"),
    "missing-name": ("[workspace]\nprofile = 'local'", "workspace.name", "missing"),
    "bad-name": ("[workspace]\nname = 'Flights!'", "workspace.name", "not a valid name"),
    "bad-profile": (
        "[workspace]\nname = 'a'\nprofile = 'cloud'",
        "workspace.profile",
        'found "cloud"',
    ),
    "wrong-type": ("[workspace]\nname = 7", "workspace.name", "must be a text, found 7"),
    "bad-entry-point": (
        GOOD.replace("flights.train:plain", "flights/train.py"),
        "trainings.plain.function",
        "not an entry point",
    ),
    "path-outside": (
        GOOD.replace("data/flights", "../elsewhere"),
        "datasets.flights.path",
        "leaves the workspace",
    ),
    "absolute-path": (
        GOOD.replace("data/flights", "/data"),
        "datasets.flights.path",
        "leaves the workspace",
    ),
    "dangling-dataset": (
        GOOD.replace('dataset = "flights"\nfeatures', 'dataset = "fligths"\nfeatures'),
        "trainings.plain.dataset",
        "no dataset named 'fligths'",
    ),
    "dangling-feature": (
        GOOD.replace('["schedule"]', '["shedule"]'),
        "trainings.plain.features",
        "no feature view named 'shedule'",
    ),
    "unknown-service": (
        GOOD + "[services.envoi]\nport = 1",
        "services.envoi",
        "no service named 'envoi'",
    ),
    "port-out-of-range": (
        GOOD + "[services.envoy]\nport = 70000",
        "services.envoy.port",
        "must be 65535 or less, found 70000",
    ),
    "bad-datatype": (
        GOOD.replace('"FP64"', '"DOUBLE"'),
        "endpoints.flights/delay.inputs.0.datatype",
        'found "DOUBLE"',
    ),
    "no-workers": (
        GOOD.replace("deadline_ms = 20", "workers = 0"),
        "endpoints.flights/delay.workers",
        "must be 1 or more, found 0",
    ),
    "negative-deadline": (
        GOOD.replace("deadline_ms = 20", "deadline_ms = -1"),
        "endpoints.flights/delay.deadline_ms",
        "must be greater than 0, found -1",
    ),
    "dangling-loop": (
        GOOD
        + "[loop]\nendpoint='flights/delay'\nfirst='plain'\nbetter='b'\n"
        + "canary='plain'\nharmful='plain'\nbroken='plain'\nfailing='plain'",
        "loop.better",
        "no training named 'b'",
    ),
}


MENDS = {
    "text": (
        "[workspace]\nname = 7",
        "must be a text, found 7",
        'Write a text in quotes, e.g. `name = "..."`.',
    ),
    "date": ("[workspace]\nname = 2026-01-31", "must be a text, found 2026-01-31", "in quotes"),
    "choice": (
        "[workspace]\nname = 'a'\nprofile = 'cloud'",
        'is not one of the choices, found "cloud"',
        "Write `local` or `server`, in quotes.",
    ),
    "table": ("workspace = 3", "must be a table, found 3", "Write a table: `[workspace]`"),
    "tables": ("datasets = [1]", "must be a table, found [1]", "e.g. `[datasets.<name>]`"),
    "list": (
        GOOD.replace('["schedule"]', '"schedule"'),
        'must be a list, found "schedule"',
        'Write a list, e.g. `features = ["..."]`.',
    ),
    "inputs": (
        GOOD.replace('[{ name = "hour", datatype = "FP64" }]', '{ hour = "FP64" }'),
        'must be a list, found { hour = "FP64" }',
        'e.g. `inputs = [{ name = "...", datatype = "FP64" }]`.',
    ),
    "whole": (
        GOOD.replace("deadline_ms = 20", "workers = 1.5"),
        "must be a whole number, found 1.5",
        "e.g. `workers = 1`.",
    ),
    "number": (
        GOOD.replace("deadline_ms = 20", 'deadline_ms = "20"'),
        'must be a number, found "20"',
        "Write a number without quotes",
    ),
    "bool": (
        GOOD + "[services.envoy]\nenabled = 'no'",
        'must be true or false, found "no"',
        "Write `enabled = true` or `enabled = false`",
    ),
    "least": (
        GOOD.replace("deadline_ms = 20", "max_body_bytes = 1"),
        "must be 1024 or more, found 1",
        "Write a number that is 1024 or more.",
    ),
    "most": (
        GOOD + "[services.envoy]\nport = 70000",
        "must be 65535 or less, found 70000",
        "Write a number that is 65535 or less.",
    ),
    "empty": (GOOD.replace('"hour"', '""'), 'must not be empty, found ""', "at least 1"),
    "path": (
        GOOD.replace("data/flights", "/data"),
        'leaves the workspace, found "/data"',
        "Write a path relative to it.",
    ),
    "parameter": (
        GOOD.replace('solver = "lbfgs"', "solver = [1]"),
        "must be a text, a number, true or false, found [1]",
        "Write one value",
    ),
}


@pytest.mark.parametrize("name", MENDS)
def test_a_wrong_value_is_shown_with_the_way_to_mend_it(name: str) -> None:
    text, what, mend = MENDS[name]
    with pytest.raises(ConfigError) as caught:
        config.parse(tomllib.loads(text))
    found = [p for p in caught.value.problems if p.what == what]
    assert len(found) == 1, caught.value.problems
    assert mend in found[0].mend


def test_no_mistake_is_told_in_the_words_of_python() -> None:
    texts = [text for text, *_ in (*MISTAKES.values(), *MENDS.values())]
    for text in texts:
        with pytest.raises(ConfigError) as caught:
            config.parse(tomllib.loads(text))
        words = " ".join(f"{p.what} {p.mend}" for p in caught.value.problems)
        assert not any(odd in words for odd in ("tuple", "dictionary", "Input", "input should"))


def problems_of(text: str) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        config.parse(tomllib.loads(text))
    assert all(p.mend for p in caught.value.problems)
    return {p.key: p.what for p in caught.value.problems}


def test_a_good_file_is_read() -> None:
    read = config.parse(tomllib.loads(GOOD))
    assert read.workspace.profile is config.Profile.LOCAL
    assert read.trainings["plain"].params == {"C": 1.0, "solver": "lbfgs"}
    assert read.endpoints["flights/delay"].inputs[0].datatype is config.Datatype.FP64
    assert config.slug("flights/delay") == "flights-delay"


@pytest.mark.parametrize("name", MISTAKES)
def test_each_mistake_is_named_with_its_place(name: str) -> None:
    text, key, words = MISTAKES[name]
    found = problems_of(text)
    assert key in found, found
    assert words in found[key]


def test_all_mistakes_are_reported_at_once() -> None:
    found = problems_of(
        GOOD.replace('name = "flights"', 'name = "Flights"\nprofil = "x"')
        .replace("flights.train:plain", "nowhere")
        .replace('["schedule"]', '["shedule"]')
        + "[services.envoi]\nport = 0\n"
    )
    assert set(found) == {
        "workspace.name",
        "workspace.profil",
        "trainings.plain.function",
        "trainings.plain.features",
        "services.envoi.port",
        "services.envoi",
    }


def test_a_near_miss_is_suggested() -> None:
    with pytest.raises(ConfigError) as caught:
        config.parse(tomllib.loads("[workspace]\nname='a'\nprofil='local'"))
    assert caught.value.problems[0].mend == "Did you mean `profile`?"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "does not exist"),
        (b"[workspace\n", "not TOML"),
        (b"\xff\xfe", "not UTF-8"),
        (b'[workspace]\nname="a"\nname="b"\n', "not TOML"),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path: Path, content: bytes | None, words: str) -> None:
    if content is not None:
        (tmp_path / "triune.toml").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        config.load(tmp_path)
    assert words in caught.value.problems[0].what
    assert caught.value.problems[0].file == str(tmp_path / "triune.toml")
