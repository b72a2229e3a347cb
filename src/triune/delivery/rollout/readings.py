"""From cumulative counters to what happened in one tick, or why that is not known. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from triune.delivery.gateway.model import Stratum, Tally
from triune.delivery.rollout.model import Seen


@dataclass(frozen=True, slots=True)
class Contest:
    """The upstreams of the two arms that are compared."""

    control: str
    candidate: str


@dataclass(frozen=True, slots=True)
class Tick:
    """What both arms answered between two readings, by stratum; ``seconds`` long."""

    seconds: float
    control: Mapping[Stratum, Tally]
    candidate: Mapping[Stratum, Tally]

    def requests(self) -> tuple[int, int]:
        """Answers of control and candidate."""
        return _total(self.control, "requests"), _total(self.candidate, "requests")

    def errors(self) -> tuple[int, int]:
        """Errors among them."""
        return _total(self.control, "errors"), _total(self.candidate, "errors")


@dataclass(frozen=True, slots=True)
class Gap:
    """A tick of which nothing is known, and why."""

    why: str


def between(
    before: Seen | None, after: Seen | None, contest: Contest, seconds: float
) -> Tick | Gap:
    """The tick from one reading to the next.

    A gateway that was started anew has lost what it had counted since the last reading: that is
    a gap, however plausible the new numbers look.
    """
    if after is None:
        return Gap("the gateway gives no readings")
    if before is None:
        return Gap("there is no earlier reading to compare with")
    if before.epoch != after.epoch:
        return Gap("the gateway was started anew: its counters began again")
    control = _since(before, after, contest.control)
    candidate = _since(before, after, contest.candidate)
    if control is None or candidate is None:
        return Gap("a counter went back")
    return Tick(seconds, control, candidate)


def _since(before: Seen, after: Seen, upstream: str) -> Mapping[Stratum, Tally] | None:
    old, new = before.tallies, after.tallies
    found = {}
    for stratum in Stratum:
        key = (upstream, stratum)
        gone = _minus(new.get(key, Tally()), old.get(key, Tally()))
        if gone is None:
            return None
        found[stratum] = gone
    return found


def _minus(new: Tally, old: Tally) -> Tally | None:
    latency = {
        edge: count - old.latency.get(edge, 0)
        for edge, count in new.latency.items()
        if count != old.latency.get(edge, 0)
    }
    found = Tally(
        requests=new.requests - old.requests,
        errors=new.errors - old.errors,
        timeouts=new.timeouts - old.timeouts,
        degraded=new.degraded - old.degraded,
        latency=latency,
        abandoned=new.abandoned - old.abandoned,
    )
    numbers = (found.requests, found.errors, found.timeouts, found.degraded, found.abandoned)
    vanished = any(edge not in new.latency for edge, count in old.latency.items() if count)
    return None if vanished or min(*numbers, *latency.values()) < 0 else found


def _total(arm: Mapping[Stratum, Tally], what: str) -> int:
    return sum(int(getattr(tally, what)) for tally in arm.values())
