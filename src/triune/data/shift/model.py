"""The nouns of comparing tables."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """How the values of a column are compared."""

    NUMBER = "number"
    TIME = "time"
    CATEGORY = "category"
    NESTED = "nested"
    OTHER = "other"
    EMPTY = "empty"

    @property
    def sentence(self) -> str:
        return _KINDS[self]


_KINDS = {
    Kind.NUMBER: "Numbers, compared as floating point.",
    Kind.TIME: "Dates and moments; without a zone they count as UTC.",
    Kind.CATEGORY: "Texts, booleans and enumerations, compared value by value.",
    Kind.NESTED: "Lists, structures and maps: not compared.",
    Kind.OTHER: "Bytes, times of day, intervals and the like: not compared.",
    Kind.EMPTY: "No value says what it holds.",
}


class Level(StrEnum):
    """How much the distribution of a column moved, by its PSI."""

    SAME = "same"
    CHANCE = "chance"
    SMALL = "small"
    MODERATE = "moderate"
    LARGE = "large"
    UNKNOWN = "unknown"

    @property
    def sentence(self) -> str:
        return _LEVELS[self]


_LEVELS = {
    Level.SAME: "Nothing that is counted differs.",
    Level.CHANCE: "Within what two samples of one distribution differ by.",
    Level.SMALL: "More than chance, PSI below 0.1.",
    Level.MODERATE: "PSI from 0.1 to 0.25.",
    Level.LARGE: "PSI of 0.25 or more.",
    Level.UNKNOWN: "One of the tables has no rows.",
}


class SchemaKind(StrEnum):
    """What became of a column."""

    ADDED = "added"
    REMOVED = "removed"
    RETYPED = "retyped"


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """A column that is new, gone or of another type; types are DuckDB's."""

    column: str
    change: SchemaKind
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class NumberFacts:
    """A column of numbers in one version.

    ``count`` rows, of which the share ``missing`` has no number (null, NaN, infinite or beyond
    1e150); the rest describes those that have one. ``std`` divides by n - 1; quantiles are
    interpolated linearly. All are of every row, and None where there is nothing to compute from.
    """

    count: int
    missing: float | None
    mean: float | None
    std: float | None
    min: float | None
    p05: float | None
    p25: float | None
    p50: float | None
    p75: float | None
    p95: float | None
    max: float | None


@dataclass(frozen=True, slots=True)
class TimeFacts:
    """A column of moments in one version: ``min`` and ``max`` in ISO 8601, UTC."""

    count: int
    missing: float | None
    min: str | None
    max: str | None


@dataclass(frozen=True, slots=True)
class CategoryFacts:
    """A column of categories in one version."""

    count: int
    missing: float | None
    distinct: int


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts in bins of equal width; the outer bins also hold what lies beyond.

    ``edges`` has one number more than there are bins; for moments seconds since 1970.
    """

    edges: tuple[float, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Spread:
    """The distributions of numbers or moments.

    ``ks`` and ``ks_p`` are None when a side has no value; ``sampled`` says from how many values of
    either version they are.
    """

    histogram: Histogram | None
    ks: float | None
    ks_p: float | None
    sampled: tuple[int, int]


@dataclass(frozen=True, slots=True)
class ValueShare:
    """A value and its share of all rows in both versions; None where there are no rows."""

    value: str
    before: float | None
    after: float | None


@dataclass(frozen=True, slots=True)
class Shares:
    """The distributions of categories.

    ``top`` are the values with the largest share in either version, ``rest`` all others together;
    ``new`` and ``vanished`` name a few of the values that are only in one of them, of all
    ``new_count`` and ``vanished_count``.
    """

    top: tuple[ValueShare, ...]
    rest: ValueShare
    new: tuple[str, ...]
    new_count: int
    vanished: tuple[str, ...]
    vanished_count: int


Facts = NumberFacts | TimeFacts | CategoryFacts


@dataclass(frozen=True, slots=True)
class ColumnShift:
    """One column in both versions.

    ``psi`` is over the deciles of the version before (or the values) and a bin for missing ones;
    ``psi_chance`` is what two samples of one distribution stay below in 95 of 100 cases.
    """

    name: str
    kind: Kind
    level: Level
    psi: float | None
    psi_chance: float | None
    before: Facts
    after: Facts
    detail: Spread | Shares


@dataclass(frozen=True, slots=True)
class Skipped:
    """A column whose values were not compared."""

    column: str
    why: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Why a table could not be compared; the keys are those of every error's JSON."""

    error: str
    message: str
    context: str | None
    hint: str | None
    exit_code: int


@dataclass(frozen=True, slots=True)
class TableShift:
    """A table in both versions; ``columns`` that moved furthest come first."""

    before: str
    after: str
    rows_before: int | None = None
    rows_after: int | None = None
    schema: tuple[SchemaChange, ...] = ()
    columns: tuple[ColumnShift, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    unreadable: Unreadable | None = None

    @property
    def name(self) -> str:
        return self.after if self.before == self.after else f"{self.before} to {self.after}"
