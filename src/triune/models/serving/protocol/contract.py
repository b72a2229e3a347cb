"""What an endpoint's callers must send: pure checks, shared by both protocols.

The contract is strict: every declared input, nothing else, exactly its datatype and shape,
only finite numbers. So a release that needs fewer columns, or more of the declared ones,
can take over without a caller noticing.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

from triune.core.config import Datatype
from triune.models.serving.faults import bad_request
from triune.models.serving.protocol.values import check_values, limits_of, shown
from triune.models.serving.tensors import Layout, TensorSpec, Values


@dataclass(slots=True)
class Request:
    """A checked request: one flat list of values per input of the contract, in its order."""

    values: list[Values]
    rows: int
    id: str | None = None
    outputs: tuple[str, ...] = ()


class Contract:
    """The declared inputs of an endpoint and the most rows one request may have."""

    def __init__(
        self,
        inputs: Sequence[TensorSpec],
        *,
        layout: Layout,
        max_rows: int,
        largest: float = inf,
        optional: frozenset[int] = frozenset(),
    ) -> None:
        self.inputs = tuple(inputs)
        self.optional = optional
        """Places of inputs that callers need not send."""
        self.limits = tuple(limits_of(spec, largest) for spec in self.inputs)
        self.layout = layout
        self.max_rows = max_rows
        self.index = {spec.name: place for place, spec in enumerate(self.inputs)}

    def place(self, name: str) -> int:
        """Where an input stands; refuses an undeclared name (``input-unknown``)."""
        try:
            return self.index[name]
        except KeyError:
            near = difflib.get_close_matches(name, self.index, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Declared: {self._names()}."
            raise bad_request(
                "input-unknown", f"{shown(name)} is not an input of this endpoint", hint
            ) from None

    def require_all(self, names: Iterable[str]) -> None:
        """Refuse when a declared input is absent (``input-missing``)."""
        given = set(names)
        missing = [
            spec.name
            for place, spec in enumerate(self.inputs)
            if spec.name not in given and place not in self.optional
        ]
        if missing:
            shown = ", ".join(repr(name) for name in missing[:20])
            raise bad_request(
                "input-missing",
                f"missing: {shown}{', ...' if len(missing) > 20 else ''}",
                "Send every input that the model's metadata lists.",
            )

    def check(self, place: int, values: Sequence[Any]) -> Values:
        """The values of the input at a place, each checked; see `check_values`."""
        return check_values(self.inputs[place], values, self.limits[place])

    def check_rows(self, rows: int) -> None:
        """Refuse an empty batch (``batch-empty``) or a too large one (``rows-too-many``)."""
        if rows < 1:
            raise bad_request("batch-empty", "there are no rows", "Send at least one row.")
        if rows > self.max_rows:
            raise bad_request(
                "rows-too-many",
                f"{rows} rows; the endpoint takes at most {self.max_rows}",
                "Split the batch, or raise max_rows of the endpoint.",
            )

    def _names(self) -> str:
        names = [spec.name for spec in self.inputs]
        return ", ".join(repr(name) for name in names[:20]) + (", ..." if len(names) > 20 else "")


def effective(
    declared: Sequence[TensorSpec], needed: Sequence[TensorSpec]
) -> tuple[tuple[TensorSpec, ...], list[str]]:
    """The contract for a model that needs ``needed`` behind an endpoint that declares
    ``declared``, and what does not fit (empty when the model can be served there).

    An endpoint that declares nothing takes exactly what the model needs.
    """
    if not declared:
        return tuple(needed), []
    by_name = {spec.name: spec for spec in declared}
    problems = []
    for spec in needed:
        offer = by_name.get(spec.name)
        if offer is None:
            problems.append(f"the model needs {spec.name!r}, which the endpoint does not declare")
        elif offer.width != spec.width:
            problems.append(f"{spec.name!r} is {offer.width} wide, the model needs {spec.width}")
        elif not _convertible(offer.datatype, spec.datatype):
            problems.append(f"{spec.name!r} is {offer.datatype}, the model needs {spec.datatype}")
    return tuple(declared), problems


_NUMBERS = (Datatype.BOOL, Datatype.INT32, Datatype.INT64, Datatype.FP32, Datatype.FP64)


def _convertible(offer: Datatype, need: Datatype) -> bool:
    """A number may become a wider kind of number; floats may become other floats."""
    if offer is need:
        return True
    if Datatype.BYTES in (offer, need):
        return False
    if need in (Datatype.FP32, Datatype.FP64):
        return True
    return _NUMBERS.index(offer) <= _NUMBERS.index(need)
