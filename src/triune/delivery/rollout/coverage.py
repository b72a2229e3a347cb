"""A cohort's counts, and whether equally much is known of both arms. Pure.

An outcome often comes long after its prediction, and often one kind of outcome comes sooner than
the other. So arms are compared within cohorts, whose predictions are of the same age, and only when
equally much is known of both: then whatever decides which outcomes are known acts on both alike.

Definition
    Given how many of a cohort are labelled, the number ``x`` among the candidate's is
    hypergeometric when label and arm are independent. With n_a, n_b served, N = n_a + n_b and
    K labelled, ::

        s = x - n_b K / N,    w = n_a n_b / N,    v = w K (N - K) / (N (N - 1))

    has mean 0 and variance v, and s / w is the difference of the coverages. A cohort matches when
    ``|s| <= tolerance w + z sqrt(v)``, z = 2.576 (1 %). That alone would let a lasting difference
    pass when each cohort is small; so the sums S, W, V must also keep
    ``|S| <= tolerance W + bound(V)`` with the two-sided normal mixture boundary at 1 %. They go
    over all cohorts with enough labels, judged or held back: summed over the judged ones alone they
    would be small however much the arms differ, because those that do not match are left out.

Guarantee
    While the true coverages differ by at most the tolerance, a cohort is held back by chance about
    1 % of the time, and the sums ever hold all of them back in about 1 % of all rollouts, however
    long (normal approximation; the variance is taken as a proxy). Until the sums have noticed it,
    a difference of the tolerance and of what chance explains goes unseen. The tolerance moves the
    arms' wrong rates against each other by at most about tolerance / coverage, and by that much
    only if all labels that one arm alone lacks are of one kind.

Assumption
    Which outcomes become known may depend on the outcome and on the time, but alike in both arms.
    Where one arm's wrong predictions alone become known more often, the share labelled shows it
    late or not at all, and it looks like harm.

Source
    Mantel and Haenszel (1959) for s and v; Howard, Ramdas, McAuliffe and Sekhon (2021).
"""

from __future__ import annotations

from math import sqrt

import msgspec

from triune.stats import normal_mixture

_Z = 2.576
_ALPHA = 0.01
_TUNED_FOR = 100.0


class Count(msgspec.Struct, array_like=True):
    """One arm's predictions: how many, how many with an outcome, how many of these wrong, and the
    sum of their squared errors (of a probability: of its Brier score)."""

    served: int = 0
    labelled: int = 0
    wrong: int = 0
    squares: float = 0.0

    def __add__(self, other: Count) -> Count:
        return Count(
            self.served + other.served,
            self.labelled + other.labelled,
            self.wrong + other.wrong,
            self.squares + other.squares,
        )

    @property
    def coverage(self) -> float:
        """Labelled over served; 0 when nothing was served."""
        return self.labelled / self.served if self.served else 0.0


class Cohort(msgspec.Struct, array_like=True):
    """The predictions of control (a) and candidate (b) made from ``start_us`` until before
    ``end_us``, microseconds since 1970."""

    start_us: int
    end_us: int
    a: Count = msgspec.field(default_factory=Count)
    b: Count = msgspec.field(default_factory=Count)

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """Labelled of both arms, wrong of both: a row for `triune.stats.harm.step`."""
        return self.a.labelled, self.b.labelled, self.a.wrong, self.b.wrong

    @property
    def one_arm(self) -> bool:
        """Whether only one arm was asked, or none."""
        return self.a.served == 0 or self.b.served == 0

    def copy(self) -> Cohort:
        """One that can be counted on without changing this."""
        return Cohort(self.start_us, self.end_us, self.a + Count(), self.b + Count())

    def joined(self, later: Cohort) -> Cohort:
        """This and a later one as one."""
        return Cohort(self.start_us, later.end_us, self.a + later.a, self.b + later.b)


class Drift(msgspec.Struct, frozen=True, array_like=True):
    """How far coverages lie apart: the sums of s, w and v over cohorts."""

    s: float = 0.0
    w: float = 0.0
    v: float = 0.0

    @classmethod
    def of(cls, cohort: Cohort) -> Drift:
        """A cohort's part, of which both arms were asked."""
        n_a, n_b = cohort.a.served, cohort.b.served
        total, labelled = n_a + n_b, cohort.a.labelled + cohort.b.labelled
        w = n_a * n_b / total
        v = w * labelled * (total - labelled) / (total * (total - 1))
        return cls(cohort.b.labelled - n_b * labelled / total, w, v)

    def __add__(self, other: Drift) -> Drift:
        return Drift(self.s + other.s, self.w + other.w, self.v + other.v)


def matches(cohort: Cohort, tolerance: float) -> bool:
    """Whether both arms' outcomes are equally well known in a cohort, as far as it shows."""
    part = Drift.of(cohort)
    return abs(part.s) <= tolerance * part.w + _Z * sqrt(part.v)


def matching(drift: Drift, tolerance: float) -> bool:
    """Whether they are over all cohorts that had enough labels."""
    chance = normal_mixture.bound(drift.v, _ALPHA, _TUNED_FOR, one_sided=False)
    return abs(drift.s) <= tolerance * drift.w + chance
