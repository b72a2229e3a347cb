"""Inputs that the server looks up itself, where the caller does not send them.

An input that is sent wins. What has no value is passed on as missing (NaN, or an empty text), or
the request is refused, as the endpoint says.
"""

from __future__ import annotations

import importlib
from math import nan
from typing import Any

from triune.core.config import Datatype
from triune.models.serving.faults import Fault
from triune.models.serving.ports import Found, Lookup
from triune.models.serving.protocol.contract import Contract, Request
from triune.models.serving.spec import OnlineSpec

HEADER = "x-triune-features"
LOOKED_UP, INCOMPLETE, AWAY = "looked-up", "incomplete", "away"
STATES = (LOOKED_UP, INCOMPLETE, AWAY)
_MISSING: dict[Datatype, Any] = {Datatype.FP32: nan, Datatype.FP64: nan, Datatype.BYTES: ""}


def lookup(spec: OnlineSpec) -> Lookup:
    """What the spec's ``factory`` (``module:function``) makes of its settings."""
    module, _, name = spec.factory.partition(":")
    made: Lookup = getattr(importlib.import_module(module), name)(spec.settings)
    return made


def optional(spec: OnlineSpec | None, names: dict[str, int]) -> frozenset[int]:
    """Places of the inputs that callers need not send."""
    if spec is None:
        return frozenset()
    return frozenset(names[name] for name in spec.features if name in names)


class Filler:
    """Fills requests of one contract."""

    def __init__(self, contract: Contract, spec: OnlineSpec, look: Lookup) -> None:
        self._contract = contract
        self._spec = spec
        self._look = look
        self._places = sorted(contract.optional)
        self._entities = {key: contract.index[name] for key, name in spec.entities.items()}

    async def fill(self, request: Request) -> str | None:
        """Give the request the inputs it lacks; returns how that went, None if it lacks none.

        Raises
        ------
        Fault: (503 ``features-unavailable``, 422 ``feature-missing``) where the endpoint refuses.
        """
        lacking = [place for place in self._places if not len(request.values[place])]
        if not lacking:
            return None
        entities = {key: request.values[place] for key, place in self._entities.items()}
        found = await self._look(entities, request.rows)
        if found is None and self._spec.refuse:
            raise Fault(
                503,
                "features-unavailable",
                "the online store does not answer",
                hint="Ask again, or send the features.",
            )
        complete = True
        for place in lacking:
            complete &= self._put(request, place, found)
        if found is None:
            return AWAY
        return LOOKED_UP if complete else INCOMPLETE

    def _put(self, request: Request, place: int, found: Found | None) -> bool:
        spec = self._contract.inputs[place]
        values = None if found is None else found[spec.name]
        if values is not None and None not in values:
            request.values[place] = values
            return True
        if (found is not None and self._spec.refuse) or spec.datatype not in _MISSING:
            raise Fault(
                422,
                "feature-missing",
                f"an entity has no value for {spec.name!r}",
                hint="Send it, or bring it online: `triune features materialize`.",
            )
        instead = _MISSING[spec.datatype]
        known = values or [None] * request.rows
        request.values[place] = [instead if value is None else value for value in known]
        return False
