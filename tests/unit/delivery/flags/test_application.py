"""The flag server over HTTP: routes, limits, who may ask, streams, metrics."""

from __future__ import annotations

import gzip
import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.flag_servers import SPLIT, Served, flag, heard, said, serving
from triune.core.waiting import wait_until
from triune.delivery.flags.server import application, streams

EVALUATE = "/ofrep/v1/evaluate/flags"
BODY = {"context": {"targetingKey": "u1"}}


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving(flag(), flag("a/b c", "on"), flag("split", targeting=SPLIT)) as made:
        yield made


def ask(served: Served, method: str, path: str, **more: Any) -> httpx.Response:
    return httpx.request(method, served.url + path, **more)


def test_one_flag_and_all_of_them(served: Served) -> None:
    one = ask(served, "POST", f"{EVALUATE}/new-ui", json=BODY)
    assert (one.status_code, one.json()["value"]) == (200, False)
    odd = ask(served, "POST", f"{EVALUATE}/a%2Fb%20c", json=BODY)
    assert (odd.json()["key"], odd.json()["value"]) == ("a/b c", True)
    every = ask(served, "POST", EVALUATE, json=BODY)
    assert len(every.json()["flags"]) == 3
    known = {"If-None-Match": every.headers["ETag"]}
    again = ask(served, "POST", EVALUATE, json=BODY, headers=known)
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", EVALUATE, 405),
        ("GET", f"{EVALUATE}/new-ui", 405),
        ("POST", f"{EVALUATE}/none", 404),
        ("GET", "/nowhere", 404),
        ("DELETE", "/flags/v1/stream", 405),
        ("POST", f"{EVALUATE}/split", 400),
    ],
)
def test_every_refusal_is_json(served: Served, method: str, path: str, status: int) -> None:
    found = ask(served, method, path)
    assert found.status_code == status
    assert found.json()["errorDetails"]
    assert ("Allow" in found.headers) is (status == 405)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example:80"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "localhost:1"}, 200),
        ({"Host": "[::1]"}, 200),
        ({"Origin": "http://localhost:3000"}, 200),
    ],
)
def test_pages_of_other_sites_may_not_ask(
    served: Served, headers: dict[str, str], status: int
) -> None:
    for method, path in (("GET", "/flags/v1/configuration"), ("POST", f"{EVALUATE}/new-ui")):
        found = ask(served, method, path, headers=headers)
        assert found.status_code == status
        assert "access-control-allow-origin" not in found.headers


def test_a_huge_body_is_refused_however_it_is_sent(served: Served) -> None:
    huge = b" " * (application.MAX_BODY_BYTES + 1)
    for content in (huge, iter([huge])):
        found = ask(served, "POST", f"{EVALUATE}/new-ui", content=content)
        assert (found.status_code, list(found.json())) == (413, ["errorDetails"])
    assert ask(served, "POST", f"{EVALUATE}/new-ui", json=BODY).status_code == 200


def test_a_body_that_is_not_what_its_headers_say_is_refused(served: Served) -> None:
    odd = {"Content-Encoding": "gzip"}
    found = ask(served, "POST", f"{EVALUATE}/new-ui", content=b"abcd", headers=odd)
    assert (found.status_code, list(found.json())) == (400, ["errorDetails"])
    packed = gzip.compress(b" " * (application.MAX_BODY_BYTES + 1))
    found = ask(served, "POST", f"{EVALUATE}/new-ui", content=packed, headers=odd)
    assert found.status_code == 413


def test_the_configuration_is_a_file_of_flagds_with_its_version(served: Served) -> None:
    found = ask(served, "GET", "/flags/v1/configuration")
    assert found.json()["flags"].keys() == {"new-ui", "a/b c", "split"}
    health = ask(served, "GET", "/healthz").json()
    assert found.headers["ETag"] == f'"{health["version"]}"'
    known = {"If-None-Match": found.headers["ETag"]}
    assert ask(served, "GET", "/flags/v1/configuration", headers=known).status_code == 304


def test_before_there_are_flags_everything_says_so() -> None:
    with serving() as empty:
        for method, path in (
            ("POST", f"{EVALUATE}/new-ui"),
            ("POST", EVALUATE),
            ("GET", "/flags/v1/configuration"),
            ("GET", "/flags/v1/stream"),
            ("GET", "/healthz"),
        ):
            found = ask(empty, method, path)
            assert (found.status_code, found.headers["Retry-After"]) == (503, "1")
            assert "no flags yet" in found.json()["errorDetails"]
        empty.publish(flag())
        assert ask(empty, "GET", "/healthz").status_code == 200


def test_a_stream_begins_with_everything_and_goes_on_with_changes() -> None:
    with serving(flag()) as served, said(served.port) as stream:
        first = heard(stream, "\n\n")
        assert "event: configuration" in first
        assert "text/event-stream" in first
        second = served.publish(flag(default="on"))
        assert f"event: change\nid: {second}\n" in heard(stream, "data: ")
        with said(served.port, {"Last-Event-ID": second}) as current:
            assert ": heartbeat\n" in heard(current, "\n\n")
            third = served.publish(flag(), flag("other"))
            assert f"id: {third}" in heard(current, "data: ")
        with said(served.port, {"Last-Event-ID": second}) as resumed:
            assert f"event: change\nid: {third}\n" in heard(resumed, "data: ")
        with said(served.port, {"Last-Event-ID": "000000000000"}) as stranger:
            assert "event: configuration" in heard(stranger, "data: ")


def test_there_are_so_many_streams_and_no_more() -> None:
    with serving(flag(), max_streams=1) as served:
        with said(served.port) as first:
            heard(first, "\n\n")
            found = ask(served, "GET", "/flags/v1/stream")
            assert (found.status_code, found.headers["Retry-After"]) == (429, "5")

        def free() -> bool:
            with said(served.port) as another:
                return "200 OK" in heard(another, "\r\n")

        wait_until(free, timeout=10, what="the place of who has gone")


def test_a_heartbeat_comes_when_nothing_else_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "HEARTBEAT_SECONDS", (0.01, 0.02))
    with serving(flag()) as served, said(served.port) as stream:
        heard(stream, ": heartbeat")


def test_who_does_not_read_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "PATIENCE_SECONDS", 0.2)
    with serving(flag()) as served, said(served.port) as stream:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        gauges = served.server.gauges

        def cut() -> bool:
            long = {"text": "x" * 2_000_000 + str(gauges.changes)}
            served.publish(flag(metadata=long))
            return gauges.cut == 1

        wait_until(cut, timeout=20, what="the stream's end", longest_pause=0.01)
        wait_until(lambda: gauges.streams == 0, timeout=5, what="no stream")


def test_every_metric_is_documented(served: Served) -> None:
    ask(served, "POST", f"{EVALUATE}/new-ui", json=BODY)
    text = ask(served, "GET", "/metrics").text
    names = set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))
    page = (Path(__file__).parents[4] / "docs/reference/flags.md").read_text()
    assert {name for name in names if name not in page} == set()
    line = f'triune_flags_requests_total{{route="{EVALUATE}/{{key}}",code="200"}}'
    assert line in text
    assert 'triune_flags_evaluations_total{result="STATIC"}' in text
    assert json.loads(ask(served, "GET", "/healthz").text)["version"] in text
