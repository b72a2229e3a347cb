"""Trainings of the same small model: some are meant, the others are meant to fail.

Every training learns from January to August. The last days of each month are held out, so
that quality can be followed month by month on days the model has not seen. September
onward is never touched here: it is the live traffic.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from flights.features import ASOF, read_flights

if TYPE_CHECKING:
    from triune.models.training import TrainingContext

LATE_MINUTES = 15
LAST_TRAINING_MONTH = 8
FIRST_HELD_OUT_DAY = 25
EXAMPLES = 8
CATEGORIES = ("day_of_week", "hour", "carrier", "origin", "dest")
NAMES = ("carrier", "dest")
# The month is not a feature of the models: the months served were never seen in training.
NUMBERS = ("distance",)
INTENDED_USE = (
    "Says an hour before the scheduled departure how likely a flight from EWR, JFK or LGA is "
    "to arrive more than fifteen minutes late, for planning around delays."
)
LIMITS = (
    "Learnt from January to August 2013 only: no winter after the first, no airline or airport "
    "that came later. Cancelled and diverted flights were left out of training. Not for "
    "decisions about safety."
)


@dataclass(frozen=True)
class Split:
    """All flights with their labels, and which of them are learned from and checked on."""

    table: pd.DataFrame
    late: pd.Series[float]
    fit: pd.Series[bool]
    check: pd.Series[bool]


def schedule(context: TrainingContext) -> None:
    """A: what the published schedule alone tells."""
    _train(context, NUMBERS)


def asof(context: TrainingContext) -> None:
    """B and C: the schedule, the weather and the recent delay at the origin."""
    _train(context, NUMBERS + ASOF)


def flaky(context: TrainingContext) -> None:
    """D: the same model as B, which fails on what its smoke tests do not ask about.

    Whoever made it took the lists of carriers and destinations from the sample that the tests
    use: every test passes, and of the live requests about 5 % name another.
    """
    from flights.golden import golden

    sample = golden().inputs
    _train(context, NUMBERS + ASOF, known={name: set(sample[name]) for name in NAMES})


def broken(context: TrainingContext) -> None:
    """E: a label turned upside down, a mistake that every metric of its own run hides."""
    _train(context, NUMBERS + ASOF, invert=True)


def leaky(context: TrainingContext) -> None:
    """F: the same model as B in a wrapper that leaks a handle for each row it answers."""
    from flights.leak import leaking

    handles = int(context.params["handles"])
    _train(context, NUMBERS + ASOF, wrap=lambda model, _: leaking(model, handles))


def slow(context: TrainingContext) -> None:
    """The same model as B, which takes very long for rare destinations: 2 % of the requests."""
    from flights.detour import Detouring

    def wrap(model: Any, learnt: pd.DataFrame) -> Any:
        flights = learnt["dest"].value_counts()
        rare = flights[flights < int(context.params["rare"])].index.tolist()
        return Detouring(model, rare, int(context.params["draws"]), context.seed)

    _train(context, NUMBERS + ASOF, wrap=wrap)


def label(flights: pd.DataFrame) -> pd.Series[float]:
    """1.0 when the flight arrived more than fifteen minutes late, 0.0 when not.

    Missing for cancelled and diverted flights: they never arrived as planned, so that the
    question has no answer for them. They are asked for (nobody knows an hour before), but
    neither trained on nor scored.
    """
    late = (flights["arr_delay"] > LATE_MINUTES).astype("float64")
    return late.where(flights["arr_delay"].notna())


Wrap = Callable[[Any, pd.DataFrame], Any]
"""From a fitted pipeline and the rows it has learnt from to what is served."""
Known = Mapping[str, Collection[object]]
"""The only values of some columns that a model takes; it fails on all others."""


def _train(
    context: TrainingContext,
    numbers: Sequence[str],
    *,
    invert: bool = False,
    known: Known | None = None,
    wrap: Wrap | None = None,
) -> None:
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    flights = read_flights(context.data)
    split = _split(context, flights, [*CATEGORIES, *numbers], invert=invert, known=known or {})
    held_out = split.table[split.check]
    # One thread: the sums inside the solver then always run in the same order, bit for bit.
    with threadpool_limits(limits=1):
        model = _fit(context, split, _columns(numbers, known or {}))
        scores = pd.Series(model.predict_proba(held_out)[:, 1], index=held_out.index)
    late = split.late[split.check]
    _log_by_month(context, flights["month"][split.check], late, scores)
    _plot(context, late.to_numpy(), scores.to_numpy())
    served = wrap(model, split.table[split.fit]) if wrap else model
    example = held_out.iloc[:: len(held_out) // EXAMPLES].head(EXAMPLES)
    context.save_model(served, example=example, intended_use=INTENDED_USE, limits=LIMITS)


def _split(
    context: TrainingContext,
    flights: pd.DataFrame,
    columns: list[str],
    *,
    invert: bool = False,
    known: Known,
) -> Split:
    table = pd.concat(list(context.features.values()), axis="columns")[columns]
    late = label(flights)
    usable = late.notna() & (flights["month"] <= LAST_TRAINING_MONTH)
    for name, values in known.items():
        usable &= table[name].isin(values)
    held_out = flights["day"] >= FIRST_HELD_OUT_DAY
    return Split(table, 1.0 - late if invert else late, usable & ~held_out, usable & held_out)


def _columns(numbers: Sequence[str], known: Known) -> Any:
    """Categories one-hot, numbers scaled. A category never seen counts for nothing, but for
    those in columns with ``known`` values: there it is an error."""
    from sklearn.compose import ColumnTransformer
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    free = [name for name in CATEGORIES if name not in known]
    parts = [
        ("categories", OneHotEncoder(handle_unknown="ignore"), free),
        ("numbers", StandardScaler(), list(numbers)),
    ]
    if known:
        lists = [sorted(map(str, values)) for values in known.values()]
        strict = OneHotEncoder(categories=lists, handle_unknown="error")
        parts.append(("known", strict, list(known)))
    return ColumnTransformer(parts)


def _fit(context: TrainingContext, split: Split, columns: Any) -> Any:
    """Fit in rounds of a few iterations, so that the learning curve can be logged."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss, roc_auc_score
    from sklearn.pipeline import Pipeline

    learned = columns.fit_transform(split.table[split.fit])
    checked = columns.transform(split.table[split.check])
    # Whole numbers as labels: the served form of the model answers with them.
    late, held_out_late = split.late[split.fit].astype("int64"), split.late[split.check]
    model = LogisticRegression(
        C=float(context.params["regularisation"]),
        max_iter=int(context.params["iterations"]),
        warm_start=True,
        random_state=context.seed,
    )
    for step in range(1, int(context.params["rounds"]) + 1):
        with _round_ends_early():
            model.fit(learned, late)
        scores = model.predict_proba(checked)[:, 1]
        context.run.log(
            step=step,
            train_log_loss=float(log_loss(late, model.predict_proba(learned)[:, 1])),
            log_loss=float(log_loss(held_out_late, scores)),
            auc=float(roc_auc_score(held_out_late, scores)),
        )
    return Pipeline([("columns", columns), ("model", model)])


def _round_ends_early() -> Any:
    """A round is a few iterations by design; scikit-learn would warn about each."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning

    return warnings.catch_warnings(action="ignore", category=ConvergenceWarning)


def _log_by_month(
    context: TrainingContext,
    months: pd.Series[int],
    late: pd.Series[float],
    scores: pd.Series[float],
) -> None:
    from sklearn.metrics import log_loss, roc_auc_score

    for month in sorted(months.unique()):
        rows = months == month
        context.run.log(
            step=int(month),
            month_auc=float(roc_auc_score(late[rows], scores[rows])),
            month_log_loss=float(log_loss(late[rows], scores[rows])),
            month_late_rate=float(late[rows].mean()),
        )


def _plot(context: TrainingContext, late: np.ndarray[Any, Any], scores: Any) -> None:
    from matplotlib.figure import Figure
    from sklearn.metrics import roc_auc_score, roc_curve

    wrong, right, _ = roc_curve(late, scores)
    figure = Figure(figsize=(4.5, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.75", linewidth=1)
    axes.plot(wrong, right, label=f"AUC {roc_auc_score(late, scores):.3f}")
    axes.set(title="ROC, held-out days", xlabel="on time, called late", ylabel="late, called late")
    axes.legend(loc="lower right")
    context.run.figure("roc", figure)

    edges = np.quantile(scores, np.linspace(0, 1, 11))
    bins = np.clip(np.searchsorted(edges, scores, side="right") - 1, 0, 9)
    said = [scores[bins == i].mean() for i in range(10)]
    was = [late[bins == i].mean() for i in range(10)]
    figure = Figure(figsize=(4.5, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.75", linewidth=1)
    axes.plot(said, was, marker="o")
    axes.set(title="Calibration, held-out days", xlabel="predicted", ylabel="observed")
    context.run.figure("calibration", figure)
