"""A shadow's answers beside those that users got: paired by request, compared, summed.

Only answers are compared that the live release itself gave (status 200, not the fallback's).
To each of them the shadow either answered too, which makes a pair, or it failed: another status,
its fallback, or no answer within the patience. What nobody can know, because a file had no room or
nobody read for a while, is lost and counts for neither side.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from math import exp, floor, log, nan
from pathlib import Path

import msgspec

from triune.core.clock import Clock
from triune.delivery.rollout.comparing import Rule, compare
from triune.delivery.rollout.samples import Places, Sample, SampleReader
from triune.ledger.envelope import microseconds

MOST_WAITING = 100_000
"""Answers of one arm that wait for the other's; beyond it the oldest are let go of."""
PATIENCE_SECONDS = 30.0
_BINS_PER_E = 25.0


class ShadowTick(msgspec.Struct, frozen=True):
    """What became known in one tick, or in all of them; ticks add up.

    ``pairs``: both arms answered; ``disagreements`` of them differ, in ``compared`` of them there
    were numbers, whose mean distances sum to ``distance_sum``. ``failures``: only the live one
    answered. ``skipped``: the live release did not answer itself. ``lost``: not known.
    ``slower``: pairs in which the shadow took longer. The two histograms are of the pairs'
    times: bin `bin_of` to count.
    """

    pairs: int = 0
    disagreements: int = 0
    failures: int = 0
    lost: int = 0
    skipped: int = 0
    malformed: int = 0
    slower: int = 0
    compared: int = 0
    distance_sum: float = 0.0
    distance_max: float = 0.0
    live_us: Mapping[int, int] = {}
    shadow_us: Mapping[int, int] = {}

    @property
    def trials(self) -> int:
        """Answers of the live release of which it is known what the shadow did."""
        return self.pairs + self.failures

    @property
    def distance(self) -> float:
        """The mean distance of the numbers of a pair; nan without any."""
        return self.distance_sum / self.compared if self.compared else nan

    def __add__(self, other: ShadowTick) -> ShadowTick:
        return ShadowTick(
            pairs=self.pairs + other.pairs,
            disagreements=self.disagreements + other.disagreements,
            failures=self.failures + other.failures,
            lost=self.lost + other.lost,
            skipped=self.skipped + other.skipped,
            malformed=self.malformed + other.malformed,
            slower=self.slower + other.slower,
            compared=self.compared + other.compared,
            distance_sum=self.distance_sum + other.distance_sum,
            distance_max=max(self.distance_max, other.distance_max),
            live_us=_merged(self.live_us, other.live_us),
            shadow_us=_merged(self.shadow_us, other.shadow_us),
        )


def bin_of(microseconds: float) -> int:
    """The bin of a time in the histograms; each is 4 % wide."""
    return floor(log(max(1.0, microseconds)) * _BINS_PER_E)


def edge_of(place: int) -> float:
    """The lower edge of a bin, in microseconds."""
    return exp(place / _BINS_PER_E)


def quantile(histogram: Mapping[int, int], q: float) -> float:
    """The lower edge of the bin in which a quantile lies, in microseconds; nan without counts."""
    wanted, seen = q * sum(histogram.values()), 0
    for place in sorted(histogram):
        seen += histogram[place]
        if seen >= wanted:
            return edge_of(place)
    return nan


def _merged(one: Mapping[int, int], other: Mapping[int, int]) -> dict[int, int]:
    found = dict(one)
    for place, count in other.items():
        found[place] = found.get(place, 0) + count
    return found


class Pairer:
    """Pairs the samples of two arms by request id, whichever comes first.

    Parameters
    ----------
    patience_s: how long a live answer waits for the shadow's, from when it was added
    since_us: of requests that began before it the shadow's answer may have been seen by somebody
        else; microseconds since 1970
    most_waiting: how many answers of an arm are kept waiting
    """

    def __init__(
        self,
        rule: Rule,
        *,
        patience_s: float = PATIENCE_SECONDS,
        since_us: int = 0,
        most_waiting: int = MOST_WAITING,
    ) -> None:
        self._rule = rule
        self._patience = patience_s
        self._since_us = since_us
        self._most = most_waiting
        self._live: dict[str, tuple[Sample, float]] = {}
        self._shadow: dict[str, tuple[Sample, float]] = {}
        self._begin()

    def _begin(self) -> None:
        self._counts: Counter[str] = Counter()
        self._sum, self._largest = 0.0, 0.0
        self._live_us: Counter[int] = Counter()
        self._shadow_us: Counter[int] = Counter()

    def add_live(self, samples: Iterable[Sample], now: float) -> None:
        """Take answers that users got; ``now`` in monotonic seconds. Of several to one request
        the first counts."""
        for sample in samples:
            other = self._shadow.pop(sample.request, None)
            if other is not None:
                self._pair(sample, other[0])
            elif self._live.setdefault(sample.request, (sample, now))[0] is sample:
                self._bound_live()

    def add_shadow(self, samples: Iterable[Sample], now: float) -> None:
        """Take the shadow's answers."""
        for sample in samples:
            other = self._live.pop(sample.request, None)
            if other is not None:
                self._pair(other[0], sample)
            elif self._shadow.setdefault(sample.request, (sample, now))[0] is sample:
                while len(self._shadow) > self._most:
                    del self._shadow[next(iter(self._shadow))]

    def gap(self, until_us: int) -> None:
        """Answers to requests that began before this moment may be missing through no fault of
        the shadow's."""
        self._since_us = max(self._since_us, until_us)

    def tick(self, now: float) -> ShadowTick:
        """What has become known since the call before."""
        due = now - self._patience
        for request in [r for r, (_, since) in self._live.items() if since < due]:
            self._missing(self._live.pop(request)[0])
        for request in [r for r, (_, since) in self._shadow.items() if since < due]:
            del self._shadow[request]
        tick = ShadowTick(
            **self._counts,
            distance_sum=self._sum,
            distance_max=self._largest,
            live_us=dict(self._live_us),
            shadow_us=dict(self._shadow_us),
        )
        self._begin()
        return tick

    def _bound_live(self) -> None:
        while len(self._live) > self._most:
            sample, _ = self._live.pop(next(iter(self._live)))
            self._counts["lost" if sample.good else "skipped"] += 1

    def _missing(self, live: Sample) -> None:
        if not live.good:
            self._counts["skipped"] += 1
        else:
            self._counts["lost" if live.began_us < self._since_us else "failures"] += 1

    def _pair(self, live: Sample, shadow: Sample) -> None:
        if not live.good:
            self._counts["skipped"] += 1
        elif not shadow.good:
            self._counts["failures"] += 1
        else:
            self._count_pair(live, shadow)

    def _count_pair(self, live: Sample, shadow: Sample) -> None:
        difference = compare(live, shadow, self._rule)
        self._counts["pairs"] += 1
        self._counts["disagreements"] += difference.differ
        self._counts["slower"] += shadow.duration_us > live.duration_us
        self._live_us[bin_of(live.duration_us)] += 1
        self._shadow_us[bin_of(shadow.duration_us)] += 1
        if difference.mean is not None:
            self._counts["compared"] += 1
            self._sum += difference.mean
            self._largest = max(self._largest, difference.largest)


class ShadowState(msgspec.Struct, frozen=True):
    """All that a comparison knows at the end of a look; what it needs to go on after a crash.

    Requests that began before ``started_us`` do not count; ``at_us`` is when the look ended.
    """

    started_us: int
    at_us: int
    total: ShadowTick = ShadowTick()
    live: Places = Places()
    shadow: Places = Places()

    @classmethod
    def begin(cls, at_us: int) -> ShadowState:
        """A comparison of the requests from now on; microseconds since 1970."""
        return cls(at_us, at_us)


class ShadowWatch:
    """Reads two arms' files of samples, look by look.

    What waits for its counterpart is only in memory. A watch that is given another state than it
    returned last, as the first one after a crash, goes on from that state: no pair is counted
    twice, and requests that were under way when the state was made are lost, not failures.
    """

    def __init__(
        self,
        live: Path,
        shadow: Path,
        rule: Rule,
        clock: Clock,
        *,
        patience_s: float = PATIENCE_SECONDS,
    ) -> None:
        self._paths = live, shadow
        self._rule = rule
        self._clock = clock
        self._patience = patience_s
        self._last: ShadowState | None = None

    def look(self, state: ShadowState) -> tuple[ShadowTick, ShadowState]:
        """What has become known since the state was made, and the state after.

        Raises
        ------
        Unavailable: (``samples-unreadable``).
        """
        if state is not self._last and state != self._last:
            self._resume(state)
        self._last = None  # should the rest fail, the next look resumes
        malformed = self._read(state.started_us)
        tick = self._pairer.tick(self._clock.monotonic()) + ShadowTick(malformed=malformed)
        self._last = ShadowState(
            state.started_us,
            microseconds(self._clock.now()),
            state.total + tick,
            self._live.places,
            self._shadow.places,
        )
        return tick, self._last

    def _resume(self, state: ShadowState) -> None:
        self._live = SampleReader(self._paths[0], state.live)
        self._shadow = SampleReader(self._paths[1], state.shadow)
        self._pairer = Pairer(
            self._rule,
            patience_s=self._patience,
            since_us=state.at_us,
            most_waiting=MOST_WAITING,
        )

    def _read(self, started_us: int) -> int:
        """Read both files to their ends, side by side, so that little waits for its counterpart;
        returns how many lines were malformed."""
        malformed, ends = 0, False
        while not ends:
            live, shadow = self._live.read(), self._shadow.read()
            now = self._clock.monotonic()
            self._pairer.gap(max(live.gap_us, shadow.gap_us))
            self._pairer.add_live((s for s in live.samples if s.began_us >= started_us), now)
            self._pairer.add_shadow(shadow.samples, now)
            malformed += live.malformed + shadow.malformed
            ends = not (live.more or shadow.more)
        return malformed
