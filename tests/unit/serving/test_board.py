"""Counters shared by processes, and their text for Prometheus."""

from __future__ import annotations

import os

from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

from tests.support.requests import InProcess, good_inputs
from triune.models.serving.board import Board, Cell


def in_child(board: Board, statuses: list[int]) -> None:
    """Count in a forked process that then dies without a word."""
    pid = os.fork()
    if pid == 0:
        row = board.take_row()
        for status in statuses:
            row.begin()
            row.end(status, 0.003, 2)
        row.begin()
        os._exit(9)
    os.waitpid(pid, 0)


def test_a_successor_counts_on_and_forgets_what_was_in_flight() -> None:
    board = Board(1)
    in_child(board, [200, 200, 400])
    in_child(board, [200])
    assert board.total(Cell.ROWS) == 8
    assert board.total(Cell.IN_FLIGHT) == 1
    board.take_row()
    assert board.total(Cell.IN_FLIGHT) == 0
    assert board.total(Cell.ROWS) == 8


def test_workers_have_rows_of_their_own() -> None:
    board = Board(2)
    board.take_row().end(200, 0.1, 1)
    in_child(board, [200])
    assert [board.row(index)[Cell.ROWS] for index in range(2)] == [1, 2]
    assert board.total(Cell.ROWS) == 3


def test_both_formats_say_the_same_and_parse() -> None:
    server = InProcess()
    for rows in (1, 2):
        assert server.ask(body={"inputs": good_inputs(rows)}).status == 200
    assert server.ask(body=b"").status == 400
    plain = server.ask("GET", "/metrics")
    asked = server.ask("GET", "/metrics", headers={"accept": "application/openmetrics-text"})
    assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert asked.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    for families in (
        list(prometheus(plain.body.decode())),
        list(open_metrics(asked.body.decode())),
    ):
        samples = {
            (sample.name, sample.labels.get("code", "")): sample.value
            for family in families
            for sample in family.samples
        }
        assert samples["triune_serving_requests_total", "200"] == 2
        assert samples["triune_serving_requests_total", "400"] == 1
        assert samples["triune_serving_rows_total", ""] == 3
        assert samples["triune_serving_latency_seconds_count", ""] == 3
        assert samples["triune_serving_in_flight", ""] == 0
        assert samples["triune_serving_memory_bytes", ""] > 1e6
        model = next(f for f in families if f.name == "triune_serving_model").samples[0]
        assert model.labels["model"] == "model:tiny@3"
        assert model.labels["form"] == "sums"
