"""What every live display does: shown while its block runs, in a terminal only."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.live import Live


class Shown:
    """A context manager over ``_live``, which is None where nothing is to be shown."""

    _live: Live | None

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live:
            self._live.stop()
