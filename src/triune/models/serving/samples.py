"""Answers kept for comparison: what a shadow phase's two arms said, by request id.

The gateway marks a request with ``x-triune-shadow``, on its way to the arm that answers and on
the mirrored copy. A server that was given a file (``ServingSpec.samples``) keeps one line for
each marked request in it; all workers append to the same file (`triune.models.serving.shared`).

The caller has its answer before anything is done here; the event loop only makes the line and
hands it to a thread, so a disk that stalls or is full costs samples, never answers.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from queue import Empty, SimpleQueue
from typing import Any

import msgspec

from triune.core.config import Datatype
from triune.models.serving.board import Row
from triune.models.serving.engine import Answer, Bound
from triune.models.serving.shared import BATCH_BYTES, SharedFile
from triune.models.serving.tensors import TensorSpec, Values

SHADOW_HEADER = "x-triune-shadow"
REQUEST_HEADER = "x-request-id"

PENDING = 2048
"""The most lines that wait for the disk; further ones are dropped."""
GATHER_SECONDS = 0.05
"""How long lines are gathered for one write."""
CLOSE_SECONDS = 2.0
ROWS, NUMBERS, LABEL = 16, 32, 24
"""What is kept of an answer: rows, numbers in all, characters of a label. With these a line is
below 4 KiB whatever the model says."""

_is_request = re.compile(r"[0-9A-Za-z-]{1,64}").fullmatch
_TEXTS = (Datatype.BYTES, Datatype.BOOL)


class Line(msgspec.Struct, omit_defaults=True, gc=False):
    """One answer; the short names are those in the file (``docs/reference/serving.md``)."""

    request: str = msgspec.field(name="r")
    time_us: int = msgspec.field(name="t")
    status: int = msgspec.field(name="s")
    duration_us: int = msgspec.field(name="u")
    instance: int = msgspec.field(name="i", default=0)
    degraded: str | None = msgspec.field(name="g", default=None)
    dropped: int = msgspec.field(name="d", default=0)
    labels: list[str] | None = msgspec.field(name="l", default=None)
    probabilities: Sequence[float] | None = msgspec.field(name="p", default=None)
    width: int = msgspec.field(name="w", default=1)
    values: Sequence[float] | None = msgspec.field(name="y", default=None)
    digest: str | None = msgspec.field(name="h", default=None)


_encode: Callable[[Any], bytes] = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Picks:
    """Where in a model's outputs the things worth comparing are; None where it has none.
    ``width`` is the number of probabilities of a row."""

    label: int | None = None
    probabilities: int | None = None
    values: int | None = None
    width: int = 1

    @classmethod
    def of(cls, outputs: Sequence[TensorSpec], main: str) -> Picks:
        """A classifier's labels and probabilities; of other models the main output."""
        places = {spec.name: place for place, spec in enumerate(outputs)}
        label = places.get("label")
        probabilities = places.get("score", places.get("probabilities"))
        if probabilities is not None:
            return cls(label, probabilities, width=outputs[probabilities].width)
        if label is not None:
            return cls(label)
        place = places[main]
        return cls(label=place) if outputs[place].datatype in _TEXTS else cls(values=place)


def keep(line: Line, picks: Picks, values: Sequence[Values]) -> None:
    """Put an answer into its line; one too long is cut to its first rows and a digest of all."""
    labels = None if picks.label is None else values[picks.label]
    place = picks.probabilities if picks.probabilities is not None else picks.values
    numbers = None if place is None else values[place]
    if (labels is not None and len(labels) > ROWS) or (
        numbers is not None and len(numbers) > NUMBERS
    ):
        line.digest = blake2b(_encode((labels, numbers)), digest_size=8).hexdigest()
    if labels is not None:
        line.labels = [_short(label) for label in labels[:ROWS]]
    if picks.probabilities is not None:
        line.probabilities = numbers if numbers is None else numbers[:NUMBERS]
        line.width = picks.width
    else:
        line.values = numbers if numbers is None else numbers[:NUMBERS]


def _short(label: object) -> str:
    """A label as text; of a long one the beginning and a digest of the whole."""
    text = label if isinstance(label, str) else str(label)
    if len(text) <= LABEL:
        return text
    whole = text.encode("utf-8", "surrogatepass")
    return f"{text[: LABEL - 9]}~{blake2b(whole, digest_size=4).hexdigest()}"


class Samples:
    """One worker's samples: lines from its event loop, written by a thread of its own."""

    def __init__(self, file: SharedFile, row: Row, models: Sequence[Bound]) -> None:
        self._file = file
        self._row = row
        self._picks = {bound: Picks.of(bound.outputs, bound.main) for bound in models}
        self._queue: SimpleQueue[bytes | None] = SimpleQueue()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def take(self, request: str | None, status: int, seconds: float, answer: Answer | None) -> None:
        """Keep the answer to a request. Never waits and never raises; what cannot be kept is
        counted by its reason."""
        if request is None or not _is_request(request):
            self._row.dropped("request-id")
        elif self._queue.qsize() >= PENDING:
            self._row.dropped("backlog")
        else:
            try:
                line = self._line(request, status, seconds, answer)
                if self._thread is None:
                    self._start()
            except (ValueError, TypeError, OverflowError, RuntimeError):
                # A text that is no UTF-8, or no thread to be had.
                self._row.dropped("backlog")
            else:
                self._queue.put(line)

    def _line(self, request: str, status: int, seconds: float, answer: Answer | None) -> bytes:
        line = Line(
            request,
            time.time_ns() // 1000,
            status,
            round(seconds * 1e6),
            self._row.index,
            dropped=self._row.lost(),
        )
        if answer is not None and status == 200:
            line.degraded = answer.degraded
            keep(line, self._picks[answer.bound], answer.values)
        return _encode(line) + b"\n"

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name="triune-samples", daemon=True)
        thread.start()
        self._thread = thread

    def close(self) -> None:
        """Write what waits; gives up after `CLOSE_SECONDS`."""
        if self._thread is not None:
            self._closing.set()
            self._queue.put(None)
            self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        while True:
            first = self._queue.get()
            if first is None:
                return
            self._closing.wait(GATHER_SECONDS)
            batch, ended = self._gather(first)
            outcome = self._file.append(batch)
            self._row.sampled(outcome.written)
            self._row.dropped("full", outcome.full)
            self._row.dropped("disk", outcome.failed)
            if ended:
                return

    def _gather(self, first: bytes) -> tuple[list[bytes], bool]:
        """Lines for one write, and whether there will be no more."""
        batch, size = [first], len(first)
        while size < BATCH_BYTES:
            try:
                line = self._queue.get_nowait()
            except Empty:
                break
            if line is None:
                return batch, True
            batch.append(line)
            size += len(line)
        return batch, False
