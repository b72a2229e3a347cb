"""What Envoy counts for `Snapshot`, and how its admin interface's answer becomes tallies.

One histogram of answer times for each upstream, stratum and outcome. A tally's numbers are sums
over its bins, so that they always agree with each other: there is no counter beside them that
could be ahead or behind. Answers that broke off have no time; a second histogram counts those, and
a third the requests that callers gave up on.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from triune.delivery.gateway.model import DEGRADED_HEADER, Stratum, Tally

Json = dict[str, Any]

NAMESPACE = "triune"
"""Of the dynamic metadata that the Lua filter sets."""
DURATION = "%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%"
"""Microseconds from a request's first byte to its answer's last; null where there was no last."""
STATS_PATH = "/stats?usedonly&format=json&histogram_buckets=detailed&filter=" + quote(
    r"^triune\.(answer_us|broken|abandoned)\."
)
START_PATH = "/config_dump?mask=last_updated"
_TYPE = "type.googleapis.com/"
_TAGS = {
    "upstream": "%UPSTREAM_CLUSTER_RAW%",
    "stratum": f"%DYNAMIC_METADATA({NAMESPACE}:stratum)%",
    "status": "%RESPONSE_CODE%",
    "flags": "%RESPONSE_FLAGS%",
    "degraded": f"%RESP({DEGRADED_HEADER}):8%",
}
# "0" where the answer's last byte was sent, else nothing.
_ENDED = {"ended": "%COMMON_DURATION(DS_TX_END:DS_TX_END:us)%"}
_NAME = re.compile(
    r"triune\.(?P<kind>answer_us|broken|abandoned)\.upstream\.(?P<upstream>[^.]+)\.stratum\.(?P<stratum>[a-z]*)"
    r"\.status\.(?P<status>\d+)\.flags\.(?P<flags>[^.]+)\.degraded\.(?P<degraded>[^.]*)"
    r"(\.ended\.(?P<ended>\d*))?"
)
_TIMED_OUT = "UT"
# The upstream, not the caller, ended it: too late, connection lost, not HTTP, reset.
_UPSTREAM_FAILED = (_TIMED_OUT, "UC", "UPE", "UR", "LR", "UMSDR")
# The caller ended it: connection closed, or this one request reset.
_CALLER_LEFT = ("DC", "DR")
_NOT_DEGRADED = ("", "-", "false", "0")


def access_loggers() -> list[Json]:
    """The access loggers that count: each request is in one of them, once."""
    failed = {"response_flag_filter": {"flags": list(_UPSTREAM_FAILED)}}
    left = {"response_flag_filter": {"flags": list(_CALLER_LEFT)}}
    begun = [_status("GE", 200), _status("LE", 499)]
    unanswered = _status("EQ", 0)
    return [
        _logger("answer_us", "Microseconds", DURATION, _TAGS, _status("GE", 200)),
        # What is measured is of no interest here, only how often: any number will do.
        _logger(
            "broken",
            "Unspecified",
            "%RESPONSE_CODE%",
            _TAGS | _ENDED,
            {"and_filter": {"filters": [failed, *begun]}},
        ),
        _logger(
            "abandoned",
            "Unspecified",
            "%RESPONSE_CODE%",
            _TAGS | _ENDED,
            {"or_filter": {"filters": [unanswered, left]}},
        ),
    ]


def _logger(name: str, unit: str, value: str, tags: Mapping[str, str], which: Json) -> Json:
    stat = {"name": name, "tags": [{"name": n, "value_format": f} for n, f in tags.items()]}
    return {
        "name": "envoy.access_loggers.stats",
        "filter": which,
        "typed_config": {
            "@type": _TYPE + "envoy.extensions.access_loggers.stats.v3.Config",
            "stats_scope": {"prefix": "triune"},
            "histograms": [{"unit": unit, "value_format": value, "stat": stat}],
        },
    }


def _status(op: str, status: int) -> Json:
    value = {"default_value": status, "runtime_key": "unused"}
    return {"status_code_filter": {"comparison": {"op": op, "value": value}}}


def tallies(answer: Json) -> dict[tuple[str, Stratum], Tally]:
    """The tallies in the answer to `STATS_PATH`; requests that had no upstream are left out."""
    sums: dict[tuple[str, Stratum], _Sum] = {}
    for name, bins in _histograms(answer):
        found = _NAME.fullmatch(name)
        if found is None or found["ended"]:
            continue
        stratum = Stratum(found["stratum"] or Stratum.ANONYMOUS)
        total = sums.setdefault((found["upstream"], stratum), _Sum())
        count = sum(bins.values())
        if found["kind"] == "abandoned":
            total.abandoned += 0 if _failed(found) else count
            continue
        broken = found["kind"] == "broken"
        total.requests += count
        total.latency.update({} if broken else bins)
        total.errors += count if broken or int(found["status"]) >= 500 else 0
        total.timeouts += count if _late(found) else 0
        total.degraded += 0 if found["degraded"] in _NOT_DEGRADED else count
    return {key: total.tally() for key, total in sums.items()}


def _failed(found: re.Match[str]) -> bool:
    """Whether the upstream had failed when the caller left: then it is among the broken ones."""
    flags = set(found["flags"].split(","))
    return found["status"] != "0" and not flags.isdisjoint(_UPSTREAM_FAILED)


def _late(found: re.Match[str]) -> bool:
    return found["status"] == "504" or _TIMED_OUT in found["flags"].split(",")


def start(answer: Json) -> str:
    """When Envoy was started, to the millisecond, from the answer to `START_PATH`."""
    return str(answer["configs"][0]["last_updated"])


@dataclass(slots=True)
class _Sum:
    requests: int = 0
    errors: int = 0
    timeouts: int = 0
    degraded: int = 0
    abandoned: int = 0
    latency: Counter[float] = field(default_factory=Counter)

    def tally(self) -> Tally:
        latency = dict(sorted(self.latency.items()))
        return Tally(
            self.requests, self.errors, self.timeouts, self.degraded, latency, self.abandoned
        )


def _histograms(answer: Json) -> Iterator[tuple[str, dict[float, int]]]:
    for stats in answer["stats"]:
        for histogram in stats.get("histograms", {}).get("details", ()):
            bins = {_edge(bin_["lower_bound"]): bin_["count"] for bin_ in histogram["totals"]}
            yield histogram["name"], bins


def _edge(bound: float) -> float:
    """A bin's lower edge as it is meant: Envoy's have two digits and a rounding error."""
    return float(f"{bound:.1e}")
