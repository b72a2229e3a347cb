"""Errors nobody meant to raise: the traceback goes into a file, and people get a sentence."""

from __future__ import annotations

import tempfile
import traceback
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from triune.core.errors import TriuneError, UsageError


def internal(error: Exception) -> TriuneError:
    """The error to show for an unexpected one, whose traceback is kept in a file."""
    words = " ".join(str(error).split())
    what = f"{type(error).__name__}: {words}" if words else type(error).__name__
    text = "".join(traceback.format_exception(error))
    path = _keep(text)
    if path is None:
        return TriuneError(
            "internal-error", f"unexpected {what}", hint=f"Report it with its traceback:\n{text}"
        )
    return TriuneError(
        "internal-error",
        f"unexpected {what}",
        context=str(path),
        hint=f"This is a defect of Triune. Report it with its traceback: `cat {path}`",
    )


def usage(message: str, command: str) -> UsageError:
    """A wrong command line, for programs."""
    return UsageError(
        "usage",
        f"wrong command line: {message}",
        context=command,
        hint=f"See its arguments: `{command} --help`.",
    )


def _keep(text: str) -> Path | None:
    """Where the traceback is now; None when no folder takes it."""
    from triune.core.files import OWNER_ONLY, write_atomic
    from triune.core.ids import new_id

    name = f"crash-{new_id()[-12:]}.log"
    for path in (*_in_workspace(name), Path(tempfile.gettempdir()) / f"triune-{name}"):
        try:
            write_atomic(path, text, mode=OWNER_ONLY)
        except OSError:
            continue
        return path
    return None


def _in_workspace(name: str) -> Iterator[Path]:
    from triune.cli.output import here

    with suppress(TriuneError, OSError):  # a crash outside a workspace, or in a folder that is gone
        yield here().logs / name
