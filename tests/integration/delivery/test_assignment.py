"""The gateway's bucket is Python's: on a million texts, through headers, and while weights rise."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateways import (
    EnvoyRig,
    Silent,
    echo_process,
    edited,
    listening,
    server,
    split,
    upstream,
)
from tests.support.ports import free_port
from tests.support.upstream import Upstream as Server
from triune.core.assignment import TOTAL, bucket, buckets
from triune.core.waiting import wait_until
from triune.delivery.client import HttpClient
from triune.delivery.gateway.backends import envoy_bootstrap
from triune.delivery.gateway.model import Mirror, Route, Stratum, Table, Target

ENDPOINT = "flights/delay"
PATH = f"/{ENDPOINT}/x"

# Answers a request's body, salt and units each behind its length, with the units' buckets.
BATCH = """
function envoy_on_request(handle)
  local body = handle:body()
  local bytes = body:getBytes(0, body:length())
  local place, found = 1, {}
  local function text()
    local a, b, c, d = byte(bytes, place, place + 3)
    local length = ((a * 256 + b) * 256 + c) * 256 + d
    place = place + 4 + length
    return string.sub(bytes, place - length, place - 1)
  end
  local salt = text()
  while place <= #bytes do
    found[#found + 1] = bucket(salt, text())
  end
  handle:respond({[":status"] = "200"}, table.concat(found, " "))
end
"""

ALPHABETS = (
    "abcdefghijklmnopqrstuvwxyz0123456789-_./:@",
    "".join(map(chr, range(32))) + "\x7f\x80\x9f",
    "äöüßéñçøλжбあか字漢글한אع\u200d\u0301\ufeff\uffff",
    "🚀🙂👩‍🔬𝔘\U0010ffff",
)

pytestmark = pytest.mark.engine


class Failing(Server):
    """Answers everything with 500."""

    def answer(
        self, method: str, path: str, body: bytes, headers: dict[str, str]
    ) -> tuple[int, dict[str, Any]]:
        return 500, {"error": "model-failed"}


@pytest.fixture
def envoy(tmp_path: Path) -> Iterator[EnvoyRig]:
    made = EnvoyRig(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def echo(envoy: EnvoyRig) -> int:
    """The port of a process that answers everything."""
    return echo_process(envoy.processes, envoy.folder)


@pytest.mark.slow
def test_a_million_texts_have_the_same_bucket_in_lua(envoy: EnvoyRig) -> None:
    port = batch_process(envoy)
    chance = random.Random(20_26)
    differing: list[tuple[str, str]] = []
    count = 0
    with HttpClient("127.0.0.1", port, timeout=60) as client:
        for salt in salts(chance, 20):
            units = texts(chance, 50_000)
            answer = client.request("POST", "/", packed([salt, *units]))
            found = [int(word) for word in answer.body.split()]
            ours = buckets(salt, units).tolist()
            assert len(found) == len(ours)
            count += len(found)
            differing += [(salt, u) for u, x, y in zip(units, found, ours, strict=True) if x != y]
    assert count == 1_000_000
    assert differing == []


def test_units_in_headers_reach_the_arm_of_their_bucket(envoy: EnvoyRig, echo: int) -> None:
    """A hundred arms of a hundred buckets each: the arm tells the bucket's hundred."""
    names = [f"arm-{number}" for number in range(100)]
    arms = tuple(upstream(name, echo, name) for name in names)
    targets = tuple(Target(arm.name, 100) for arm in arms)
    envoy.gateway.apply(Table(arms, (Route(ENDPOINT, targets),)))
    chance = random.Random(7)
    legal = "".join(ALPHABETS[n] for n in (0, 2, 3)) + ' "%,;=\t'
    units = [
        "".join(chance.choices(legal, k=int(chance.expovariate(0.05)) + 1)).strip() or "u"
        for _ in range(3_000)
    ]
    units[:3] = ["x" * 8_000, "字" * 2_000, "0"]
    found = envoy.arms(PATH, units)
    assert found == [f"arm-{bucket(ENDPOINT, unit) // 100}" for unit in units]


@pytest.mark.slow
def test_while_a_candidate_rises_nobody_comes_back(envoy: EnvoyRig, echo: int) -> None:
    units = [f"user-{number}" for number in range(10_000)]
    places = buckets(ENDPOINT, units).tolist()
    reached: set[str] = set()
    for weight in (100, 500, 2_500, 5_000):
        envoy.gateway.apply(
            split({"new": echo, "old": echo}, ENDPOINT, new=weight, old=TOTAL - weight)
        )
        found = envoy.arms(PATH, units)
        assert found == ["new" if place < weight else "old" for place in places]
        now = {unit for unit, arm in zip(units, found, strict=True) if arm == "new"}
        assert reached <= now
        reached = now


def test_requests_without_a_unit_are_random_and_counted_apart(envoy: EnvoyRig, echo: int) -> None:
    envoy.gateway.apply(split({"new": echo, "old": echo}, ENDPOINT, new=3_000, old=7_000))
    envoy.arms(PATH, [f"user-{number}" for number in range(100)])
    anonymous = envoy.arms(PATH, [""] * 2_000)
    news = anonymous.count("new")
    assert abs(news - 600) < 5 * 20.5  # five standard deviations
    known = sum(bucket(ENDPOINT, f"user-{number}") < 3_000 for number in range(100))

    def told() -> dict[tuple[str, Stratum], int]:
        tallies = envoy.gateway.snapshot().tallies
        return {key: tally.requests for key, tally in tallies.items()}

    wait_until(lambda: sum(told().values()) == 2_100, timeout=10, what="all are counted")
    assert told() == {
        ("up-new", Stratum.UNIT): known,
        ("up-old", Stratum.UNIT): 100 - known,
        ("up-new", Stratum.ANONYMOUS): news,
        ("up-old", Stratum.ANONYMOUS): 2_000 - news,
    }


def test_a_unit_stays_with_an_arm_that_is_down(envoy: EnvoyRig, echo: int) -> None:
    """A failed connection is tried again at the same arm, never at another."""
    ports = {"new": free_port(), "old": echo}
    envoy.gateway.apply(split(ports, ENDPOINT, new=5_000, old=5_000))
    for unit in (f"user-{number}" for number in range(20)):
        expected = 503 if bucket(ENDPOINT, unit) < 5_000 else 200
        assert envoy.call(PATH, x_triune_unit=unit).status == expected


def test_no_request_is_lost_while_weights_and_mirrors_change(envoy: EnvoyRig, echo: int) -> None:
    """Every answer is 200 and from the arm of one of the tables (`EnvoyRig.arms` checks it)."""
    units = [f"user-{number}" for number in range(3_000)]
    envoy.gateway.apply(mirrored(echo, 0, 0))
    with ThreadPoolExecutor(2) as callers:
        asked = [callers.submit(envoy.arms, PATH, units) for _ in range(2)]
        changes = 0
        while not all(future.done() for future in asked):
            changes += 1
            envoy.gateway.apply(mirrored(echo, changes % 2 * 5_000, changes % 3 * 1_000))
        answers = [arm for future in asked for arm in future.result()]
    assert changes > 10
    assert set(answers) == {"new", "old"}
    assert len(answers) == 2 * len(units)


def test_a_caller_cannot_choose(envoy: EnvoyRig) -> None:
    """Not by the bucket, once or twice, not by the request's id; the first of two units counts."""
    first, second = server("new"), server("old")
    with listening(first, second):
        ports = {"new": first.port, "old": second.port}
        envoy.gateway.apply(split(ports, "flights", new=5_000, old=5_000))
        expected = "new" if bucket("flights", "N14228") < 5_000 else "old"
        for forged in (
            b"x-triune-bucket: 0\r\n",
            b"x-triune-bucket: 9999\r\nx-triune-bucket: 0\r\n",
            b"X-Request-Id: mine\r\nx-triune-shadow: 1\r\nx-triune-stratum: anonymous\r\n",
            b"x-triune-unit: another\r\n",
        ):
            assert envoy.arms("/flights/echo", ["N14228"] * 5, forged) == [expected] * 5
        seen = first.seen + second.seen
    assert len({headers["x-request-id"] for headers in seen}) == len(seen) == 20
    assert not [h for h in seen if {"x-triune-bucket", "x-triune-shadow"} & set(h)]


def test_mirrored_requests_are_marked_on_both_sides(envoy: EnvoyRig) -> None:
    live, mirror = server("live"), server("mirror")
    with listening(live, mirror):
        arms = (upstream("live", live.port, "live"), upstream("mirror", mirror.port, "shadow"))
        whole = (Target("up-live", TOTAL),)
        envoy.gateway.apply(
            Table(arms, (Route("flights", whole, mirror=Mirror("up-mirror", 2_500)),))
        )
        assert envoy.arms("/flights/echo", [f"user-{n}" for n in range(1_000)]) == ["live"] * 1_000
        marked = {h["x-request-id"]: h for h in live.seen if h.get("x-triune-shadow") == "1"}
        wait_until(lambda: len(mirror.seen) == len(marked), timeout=10, what="all are mirrored")
        copies = {h["x-request-id"]: h for h in mirror.seen}
    assert copies.keys() == marked.keys()
    assert all(h["x-triune-shadow"] == "1" for h in mirror.seen)
    assert all(copies[name]["x-triune-unit"] == h["x-triune-unit"] for name, h in marked.items())
    assert len([h for h in live.seen if "x-triune-shadow" in h]) == len(marked)
    assert abs(len(marked) - 250) < 5 * 13.7  # five standard deviations


@pytest.mark.parametrize("share", [0, TOTAL])
def test_a_mirror_gets_nothing_or_all(envoy: EnvoyRig, share: int) -> None:
    live, mirror = server("live"), server("mirror")
    with listening(live, mirror):
        arms = (upstream("live", live.port), upstream("mirror", mirror.port, "shadow"))
        route = Route("flights", (Target("up-live", TOTAL),), mirror=Mirror("up-mirror", share))
        envoy.gateway.apply(Table(arms, (route,)))
        envoy.arms("/flights/echo", [""] * 100)
        expected = 100 if share else 0
        wait_until(lambda: len(mirror.seen) == expected, timeout=10, what="all are mirrored")
        assert len([h for h in live.seen if "x-triune-shadow" in h]) == expected


@pytest.mark.parametrize("kind", ["hangs", "dead", "fails"])
def test_a_mirror_never_harms_who_asks(envoy: EnvoyRig, kind: str) -> None:
    """Nor does it keep more than a bounded number of requests; afterwards all is given back."""
    live = server("live")
    hanging, failing = (one(free_port(), "r", "own", "m") for one in (Silent, Failing))
    port = {"hangs": hanging.port, "dead": free_port(), "fails": failing.port}[kind]
    with listening(live, hanging, failing):
        arms = (upstream("live", live.port, "live"), upstream("mirror", port, "shadow"))
        whole = (Target("up-live", TOTAL),)
        route = Route("flights", whole, timeout_s=5.0, mirror=Mirror("up-mirror", TOTAL))
        envoy.gateway.apply(Table(arms, (route,)))
        assert envoy.arms("/flights/echo", [""] * 1_000) == ["live"] * 1_000
        assert envoy.gateway.in_flight("up-mirror") <= 512
        wait_until(
            lambda: envoy.gateway.in_flight("up-mirror") == 0, timeout=20, what="mirrors end"
        )
        assert envoy.gateway.counters("up-live").total == 1_000
        assert envoy.gateway.counters("up-mirror").total == 0
        assert {name for name, _ in envoy.gateway.snapshot().tallies} == {"up-live"}


def mirrored(port: int, weight: int, share: int) -> Table:
    """A candidate of that weight before stable, and a mirror of that share."""
    arms = tuple(upstream(name, port, name) for name in ("new", "old", "mirror"))
    targets = (Target("up-new", weight), Target("up-old", TOTAL - weight))
    return Table(arms, (Route(ENDPOINT, targets, mirror=Mirror("up-mirror", share)),))


def batch_process(envoy: EnvoyRig) -> int:
    """Start an Envoy with the gateway's own Lua code that answers whole bodies; its port."""
    port, admin = free_port(), free_port()
    folder = envoy.folder / "batch"
    spec = envoy_bootstrap.process(folder, admin, port, workers=1, name="batch")
    with edited(folder) as (listener, manager):
        listener["per_connection_buffer_limit_bytes"] = 1 << 26
        source = manager["http_filters"][0]["typed_config"]["default_source_code"]
        source["inline_string"] += BATCH
        del manager["local_reply_config"]
    envoy.processes.ensure(spec)
    return port


def packed(parts: Sequence[str]) -> bytes:
    encoded = [part.encode() for part in parts]
    return b"".join(struct.pack(">I", len(data)) + data for data in encoded)


def texts(chance: random.Random, count: int) -> list[str]:
    """Texts of many alphabets: some empty, most short, a few of some kilobytes."""
    pool = "".join("".join(chance.choices(a, k=chance.randint(1, 40))) for a in ALPHABETS * 500)
    anything = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    pool += "".join(map(chr, chance.choices(anything, k=20_000)))
    lengths = [int(chance.expovariate(1 / 15)) for _ in range(count)]
    lengths[:5] = [0, 1, 2_000, 3_000, 5_000]
    starts = (chance.randrange(len(pool) - 6_000) for _ in lengths)
    return [pool[start : start + n] for start, n in zip(starts, lengths, strict=True)]


def salts(chance: random.Random, count: int) -> list[str]:
    return [ENDPOINT, "", *texts(chance, 100)[2:count]]
