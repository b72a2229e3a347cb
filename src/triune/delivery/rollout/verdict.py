"""The verdict of any automatic judgement."""

from __future__ import annotations

from enum import StrEnum


class Verdict(StrEnum):
    """Missing data is never `PASS`."""

    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    NOT_YET = "not yet"
