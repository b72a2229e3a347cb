"""Evaluating a boolean flag with a targeting rule and a split, beside what a user would pick.

    .venv/bin/python bench/flags.py [--rounds 5] [--seconds 0.5] [--json]

Ours by its own call and through the OpenFeature SDK; GrowthBook's Python SDK; the OpenFeature
provider of flagd in process, from a file. One thread, a new unit at each call; evaluations a
second, the best of the rounds, taken in turn.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from growthbook import GrowthBook
from openfeature import api
from openfeature.contrib.provider.flagd import FlagdProvider
from openfeature.contrib.provider.flagd.config import ResolverType
from openfeature.evaluation_context import EvaluationContext

from triune.delivery.flags.definitions import read
from triune.delivery.flags.evaluator import Evaluator
from triune.delivery.flags.model import Kind
from triune.delivery.flags.provider import TriuneProvider

DOCUMENT = {
    "flags": {
        "checkout": {
            "state": "ENABLED",
            "variants": {"on": True, "off": False},
            "defaultVariant": "off",
            "targeting": {
                "if": [
                    {"==": [{"var": "country"}, "de"]},
                    {"fractional": [["on", 50], ["off", 50]]},
                    "off",
                ]
            },
        }
    }
}
FEATURES = {
    "checkout": {
        "defaultValue": False,
        "rules": [
            {
                "condition": {"country": "de"},
                "variations": [True, False],
                "weights": [0.5, 0.5],
                "coverage": 1,
                "hashAttribute": "id",
                "key": "checkout",
            }
        ],
    }
}
Call = Callable[[str], object]


def ours() -> Call:
    flags, about = Evaluator(read(DOCUMENT).flags.values()), {"country": "de"}
    return lambda unit: flags.evaluate(
        "checkout", False, kind=Kind.BOOLEAN, targeting_key=unit, attributes=about
    )


def growthbook() -> Call:
    about = {"id": "", "country": "de"}
    book = GrowthBook(attributes=about, features=FEATURES)

    def call(unit: str) -> object:
        about["id"] = unit
        book.attributes = about
        return book.is_on("checkout")

    return call


def through_sdk(domain: str) -> Call:
    client, about = api.get_client(domain), {"country": "de"}
    return lambda unit: client.get_boolean_value("checkout", False, EvaluationContext(unit, about))


def a_second(call: Call, seconds: float) -> float:
    count, begin = 0, time.perf_counter()
    while (passed := time.perf_counter() - begin) < seconds:
        for number in range(count, count + 500):
            call(str(number))
        count += 500
    return count / passed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "flags.json"
        file.write_text(json.dumps(DOCUMENT))
        evaluator = Evaluator(read(DOCUMENT).flags.values())
        api.set_provider(TriuneProvider(lambda: evaluator), domain="triune")
        flagd = FlagdProvider(
            resolver_type=ResolverType.FILE, offline_flag_source_path=str(file)
        )  # fmt: skip
        api.set_provider_and_wait(flagd, domain="flagd")
        calls = {
            "triune": ours(),
            "triune through OpenFeature": through_sdk("triune"),
            "GrowthBook": growthbook(),
            "flagd's provider through OpenFeature": through_sdk("flagd"),
        }
        for unit in map(str, range(500)):
            answers = {name: call(unit) for name, call in calls.items()}
            same = answers["triune"].value  # type: ignore[attr-defined]
            assert answers["triune through OpenFeature"] == same
            assert answers["flagd's provider through OpenFeature"] == same
        best = dict.fromkeys(calls, 0.0)
        for _ in range(asked.rounds):
            for name, call in calls.items():
                best[name] = max(best[name], a_second(call, asked.seconds))
        api.shutdown()
    if asked.json:
        print(json.dumps(best))
        return
    for name, rate in best.items():
        print(f"{name:40} {rate:10,.0f}/s")
    print(f"own call: {best['triune'] / best['GrowthBook']:.1f}x GrowthBook, "
          f"{best['triune'] / best[list(best)[3]]:.1f}x flagd's provider; through the SDK "
          f"{best[list(best)[1]] / best[list(best)[3]]:.1f}x that provider")  # fmt: skip


if __name__ == "__main__":
    main()
