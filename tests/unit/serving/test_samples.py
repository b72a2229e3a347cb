"""Answers kept for comparison: what a line holds, what is refused, what the caller sees of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.requests import InProcess, Sums, good_inputs
from triune.core.config import Datatype
from triune.models.serving import samples
from triune.models.serving.samples import Line, Picks, keep
from triune.models.serving.tensors import TensorSpec, Values

MARKED = {"x-triune-shadow": "1", "x-request-id": "c26319b7-2491-4312-b8b7-d9e24bc7c843"}


class Failing(Sums):
    """A model that raises for every row."""

    def predict(self, inputs: Sequence[Values], rows: int) -> list[Values]:
        raise RuntimeError("told to fail")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def asked(server: InProcess, *headers: dict[str, str], rows: int = 1) -> list[dict[str, Any]]:
    """What a server kept of some requests, one for each set of headers."""
    path = server.spec.samples
    assert path is not None
    for given in headers:
        server.ask(body={"inputs": good_inputs(rows)}, headers=given)
    server.application.__rsgi_del__(None)
    return lines(path) if path.exists() else []


def test_only_marked_requests_are_kept(tmp_path: Path) -> None:
    server = InProcess(samples=tmp_path / "arms" / "samples.jsonl")
    (line,) = asked(server, {}, MARKED, {"x-request-id": "another"})
    assert line.keys() == {"r", "t", "s", "u", "l", "p"}
    assert (line["r"], line["s"]) == (MARKED["x-request-id"], 200)
    assert (line["l"], line["p"]) == (["0"], [6.25])
    assert line["u"] > 0
    assert line["t"] > 1_700_000_000_000_000
    assert (tmp_path / "arms" / "samples.jsonl").stat().st_mode & 0o777 == 0o600


def test_without_a_file_nothing_is_kept() -> None:
    server = InProcess()
    assert server.ask(body={"inputs": good_inputs()}, headers=MARKED).status == 200
    assert b"triune_serving_samples_total" in server.ask("GET", "/metrics").body


@pytest.mark.parametrize(
    "request_id", [None, "", "a" * 65, "two words", '","s":200', "ü", "a\n", "../x"]
)
def test_a_request_id_that_is_none_is_not_written(tmp_path: Path, request_id: str | None) -> None:
    headers = {"x-triune-shadow": "1"}
    if request_id is not None:
        headers["x-request-id"] = request_id
    server = InProcess(samples=tmp_path / "s")
    assert asked(server, headers) == []
    assert dropped(server) == {"request-id": 1}


def dropped(server: InProcess) -> dict[str, int]:
    """The counters of samples that were not kept, those that are not zero."""
    text = server.ask("GET", "/metrics").body.decode()
    found = {}
    for line in text.splitlines():
        if line.startswith("triune_serving_samples_dropped_total{"):
            reason, _, value = line.partition('reason="')[2].partition('"} ')
            found[reason] = int(value)
    return {reason: count for reason, count in found.items() if count}


def test_refusals_and_failures_are_kept_without_an_answer(tmp_path: Path) -> None:
    server = InProcess(Failing(), samples=tmp_path / "s")
    server.ask(body=b"", headers=MARKED)
    refused, failed = asked(server, MARKED)
    assert (refused["s"], failed["s"]) == (400, 500)
    assert not {"l", "p", "y"} & (refused.keys() | failed.keys())


def test_an_answer_of_the_fallback_is_told_apart(tmp_path: Path) -> None:
    server = InProcess(Failing(), fallback=Sums(), samples=tmp_path / "s")
    (line,) = asked(server, MARKED)
    assert (line["s"], line["g"], line["p"]) == (200, "error", [6.25])


def test_a_long_answer_is_cut_to_its_first_rows_and_a_digest(tmp_path: Path) -> None:
    server = InProcess(samples=tmp_path / "s")
    first, second = asked(server, MARKED, MARKED, rows=40)
    assert first["l"] == [str(row) for row in range(16)]
    assert first["p"] == [6.25] * 32
    assert first["h"] == second["h"]
    assert len(first["h"]) == 16


SPECS = {
    "label": TensorSpec("label", Datatype.INT64),
    "text": TensorSpec("label", Datatype.BYTES),
    "score": TensorSpec("score", Datatype.FP64),
    "probabilities": TensorSpec("probabilities", Datatype.FP64, 3),
    "prediction": TensorSpec("prediction", Datatype.FP64),
    "predict": TensorSpec("predict", Datatype.FP64, 0),
    "predicted text": TensorSpec("predict", Datatype.BYTES, 0),
    "predicted flag": TensorSpec("predict", Datatype.BOOL, 0),
}


@pytest.mark.parametrize(
    ("outputs", "main", "picks"),
    [
        (["label", "score"], "label", Picks(label=0, probabilities=1)),
        (["label", "score", "probabilities"], "probabilities", Picks(label=0, probabilities=1)),
        (["text", "probabilities"], "label", Picks(label=0, probabilities=1, width=3)),
        (["label"], "label", Picks(label=0)),
        (["prediction"], "prediction", Picks(values=0)),
        (["predict"], "predict", Picks(values=0)),
        (["predicted text"], "predict", Picks(label=0)),
        (["predicted flag"], "predict", Picks(label=0)),
    ],
)
def test_what_is_compared_of_each_kind_of_model(
    outputs: list[str], main: str, picks: Picks
) -> None:
    assert Picks.of([SPECS[name] for name in outputs], main) == picks


def test_the_longest_line_is_below_4_kib() -> None:
    line = Line("r" * 64, 2**53, 200, 2**40, 999, degraded="deadline", dropped=2**40)
    keep(
        line,
        Picks(label=0, probabilities=1),
        [["\x01" * 24] * 20, [-2.2250738585072014e-308] * 90],
    )
    assert 3000 < len(samples._encode(line)) + 1 < 4096
    assert _labels(["é" * 500])[0].startswith("é" * 15 + "~")


def test_long_labels_that_differ_at_the_end_differ() -> None:
    first, second = (_labels(["a" * 30 + end for _ in range(2)]) for end in ("x", "y"))
    assert first[0] == first[1] != second[0]


def _labels(given: list[str]) -> list[str]:
    line = Line("r", 0, 200, 0)
    keep(line, Picks(label=0), [given])
    assert line.labels is not None
    return line.labels


def test_a_label_that_is_no_utf_8_is_dropped_and_fails_nobody(tmp_path: Path) -> None:
    server = InProcess(samples=tmp_path / "s")
    taken = server.application._samples
    assert taken is not None
    from triune.models.serving.engine import Answer

    taken.take("one", 200, 0.1, Answer(server.engine.primary, [["\ud800"], [0.5]]))
    taken.close()
    assert dropped(server) == {"backlog": 1}


def test_a_backlog_that_the_disk_does_not_take_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples, "PENDING", 3)
    monkeypatch.setattr(samples, "GATHER_SECONDS", 60.0)
    server = InProcess(samples=tmp_path / "s")
    kept = asked(server, *([MARKED] * 10))
    counted = dropped(server)
    assert counted.keys() == {"backlog"}
    assert len(kept) + counted["backlog"] == 10
    assert 3 <= len(kept) <= 4


def test_later_lines_tell_how_many_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = InProcess(samples=tmp_path / "s")
    server.application._row.dropped("full", 3)
    server.application._row.dropped("request-id", 5)
    (line,) = asked(server, MARKED)
    assert line["d"] == 3
