"""How much worse the candidate's units fare by themselves, before there is a candidate.

Units stay with their arm, so what is lasting in them stays too: when one user in a hundred meets
half of all errors, the arm that happens to hold them looks worse for ever, and every test against
"no difference" rejects in the end. But who will be in which arm is known beforehand, and how they
fared too.

Definition
    From a time before the candidate: unit u made ``n_u`` requests with ``k_u`` events, of all ``N``
    and ``K``, ``p = K/N``. What lasts between units has the size

        S = sum_u [ (k_u - p n_u)^2 - p (1-p) n_u ],   at least 0

    which is unbiased for the sum of squares of the units' lasting excess. Hashing sends the
    share ``w`` of the requests to the candidate at random, so the log odds ratio delta between
    its units and the others has mean 0 and the variance

        tau^2 = S / ( w (1-w) (K (1-p))^2 ).

    That is the prior. The split that will really be made was seen in the same time: its log odds
    ratio d has the sampling variance s^2 (Woolf, half an event added). Both together:

        delta ~ Normal( d tau^2 / (tau^2 + s^2),  tau^2 s^2 / (tau^2 + s^2) ).

Use
    ``high`` (at 99.5 %) is added to what the harm test tolerates, ``low`` to what the no-harm test
    must exclude. Where units are alike S is about 0, and so is both.

Assumptions
    The units of the time before are those of the rollout, and what lasted then goes on. A normal
    approximation. Nothing is known without events: then nothing is added.

Source
    Empirical Bayes for the balance of a randomised assignment, given the assignment; the moment
    estimate of S as DerSimonian and Laird (1986); Woolf (1955).

>>> import numpy as np
>>> alike = Units(np.full(1000, 100), np.full(1000, 1), np.arange(1000) < 100)
>>> offset(alike).high
0.0
>>> heavy = Units(np.full(1000, 100), np.where(np.arange(1000) < 10, 50, 1), np.arange(1000) < 100)
>>> offset(heavy).high > 1.5
True
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Z = 2.576
"""The normal quantile at 99.5 %."""


@dataclass(frozen=True, slots=True)
class Units:
    """Units before a rollout, arrays of one length.

    Parameters
    ----------
    n, k: requests and events of each unit, integers
    candidate: whether it will be with the candidate, booleans; the others will be with control
    """

    n: NDArray[np.integer[Any]]
    k: NDArray[np.integer[Any]]
    candidate: NDArray[np.bool_]


class Offset(NamedTuple):
    """The log odds ratio of the candidate's units against control's, without any candidate:
    at most ``low <= 0`` and at least ``high >= 0`` with 99.5 % each."""

    low: float
    high: float


NONE = Offset(0.0, 0.0)


def offset(units: Units) -> Offset:
    """What the split itself may cause; `NONE` without events, or with an arm without requests."""
    n, k = units.n.astype("float64"), units.k.astype("float64")
    requests, events = float(n.sum()), float(k.sum())
    mine, bad = float(n[units.candidate].sum()), float(k[units.candidate].sum())
    if not 0.0 < events < requests or not 0.0 < mine < requests:
        return NONE
    rate, share = events / requests, mine / requests
    lasting = float(((k - rate * n) ** 2 - rate * (1.0 - rate) * n).sum())
    if lasting <= 0.0:
        return NONE
    prior = lasting / (share * (1.0 - share) * (events * (1.0 - rate)) ** 2)
    cells = [x + 0.5 for x in (bad, mine - bad, events - bad, requests - mine - events + bad)]
    found = math.log(cells[0] * cells[3] / (cells[1] * cells[2]))
    sampling = sum(1.0 / cell for cell in cells)
    mean = found * prior / (prior + sampling)
    reach = Z * math.sqrt(prior * sampling / (prior + sampling))
    return Offset(min(0.0, mean - reach), max(0.0, mean + reach))
