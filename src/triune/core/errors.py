"""The one family of errors, and the exit code each kind ends a command with.

Every error has a *reference*: a stable kebab-case name that is documented in
``docs/reference/errors.md`` and that scripts may match on. A message says what happened,
``context`` where, and ``hint`` how to mend it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any


class ExitCode(IntEnum):
    """What a command's exit status means; documented in ``docs/reference/errors.md``."""

    OK = 0
    INTERNAL = 1
    USAGE = 2
    CONFIG = 3
    MISSING_ENGINE = 4
    NOT_FOUND = 5
    REFUSED = 6
    UNAVAILABLE = 7
    CHECK_FAILED = 8
    CONFLICT = 9
    INTERRUPTED = 130


class TriuneError(Exception):
    """The root of all errors that Triune raises on purpose.

    Parameters
    ----------
    reference: stable kebab-case name, e.g. ``"model-unsigned"``
    message: one sentence, what happened
    context: where: a file, an id, an address
    hint: the next step that mends it
    """

    exit_code: ExitCode = ExitCode.INTERNAL

    def __init__(
        self, reference: str, message: str, *, context: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message)
        self.reference = reference
        self.message = message
        self.context = context
        self.hint = hint

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles whole, whatever a kind of error takes to be made."""
        return _again, (type(self), self.args, self.__dict__)

    def as_dict(self) -> dict[str, Any]:
        """The error as the object that ``--json`` prints."""
        return {
            "error": self.reference,
            "message": self.message,
            "context": self.context,
            "hint": self.hint,
            "exit_code": int(self.exit_code),
        }


def _again(kind: type[TriuneError], args: tuple[Any, ...], facts: dict[str, Any]) -> TriuneError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(facts)
    return error


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a configuration file."""

    file: str
    key: str
    what: str
    mend: str


class ConfigError(TriuneError):
    """The configuration is wrong; ``problems`` holds every mistake, not just the first."""

    exit_code = ExitCode.CONFIG

    def __init__(self, problems: Sequence[Problem]) -> None:
        count = len(problems)
        super().__init__(
            "config-invalid",
            f"{count} problem{'s' if count != 1 else ''} in the configuration",
            context=problems[0].file if problems else None,
            hint="Mend each of them, then run `triune check`.",
        )
        self.problems = tuple(problems)

    def as_dict(self) -> dict[str, Any]:
        problems = [
            {"file": p.file, "key": p.key, "what": p.what, "mend": p.mend} for p in self.problems
        ]
        return super().as_dict() | {"problems": problems}


class UsageError(TriuneError):
    """The command line itself is wrong."""

    exit_code = ExitCode.USAGE


class MissingEngine(TriuneError):
    """A program or package that a part needs is not installed."""

    exit_code = ExitCode.MISSING_ENGINE


class NotFound(TriuneError):
    """What was asked for does not exist."""

    exit_code = ExitCode.NOT_FOUND


class Refused(TriuneError):
    """Triune will not do it: integrity, safety or policy forbids it."""

    exit_code = ExitCode.REFUSED


class Unavailable(TriuneError):
    """An engine that should answer does not, or a resource has run out."""

    exit_code = ExitCode.UNAVAILABLE


class CheckFailed(TriuneError):
    """Something was checked and does not hold."""

    exit_code = ExitCode.CHECK_FAILED


class Conflict(TriuneError):
    """Another process or another state is in the way."""

    exit_code = ExitCode.CONFLICT
