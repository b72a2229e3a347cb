"""A hook of the OpenFeature SDK that tells exposures: with any provider, ours or flagd's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from openfeature.flag_evaluation import FlagEvaluationDetails, FlagValueType
from openfeature.hook import Hook, HookContext, HookHints

from triune.delivery.abtest import rules
from triune.delivery.abtest.exposing import Exposures
from triune.delivery.abtest.runs import Run
from triune.delivery.flags.logic import Compiler, Rule


class ExposureHook(Hook):
    """After an evaluation: if the flag's rule is a test's and takes this unit, it was exposed.

    Whether the rule in force is a test's is said by the flag's metadata, so that a client with old
    flags tells of no variant rather than of a wrong one. Never raises, never waits.

    Parameters
    ----------
    running: the tests that run, by the id of the run
    exposures: whom it tells
    """

    def __init__(self, running: Callable[[], Mapping[str, Run]], exposures: Exposures) -> None:
        self._running = running
        self._exposures = exposures
        self._takes: dict[str, Rule] = {}

    def after(
        self,
        hook_context: HookContext,
        details: FlagEvaluationDetails[FlagValueType],
        hints: HookHints,  # noqa: ARG002
    ) -> None:
        """Tell the exposure, if it is one."""
        identifier = details.flag_metadata.get(rules.RUN)
        if not isinstance(identifier, str):
            return
        try:
            self._exposed(identifier, hook_context, details.variant)
        except Exception:  # whatever a rule makes of a context: the caller gets its flag
            self._exposures.counts["failed"] += 1

    def _exposed(self, identifier: str, context: HookContext, given: str | None) -> None:
        run, unit = self._running().get(identifier), context.evaluation_context.targeting_key
        if run is None or not unit or not self._taken(run, unit, context):
            return
        for variant in run.declaration.variants:
            if variant.flag_variant == given:
                attributes = context.evaluation_context.attributes
                self._exposures.saw(run, unit, variant.name, attributes)

    def _taken(self, run: Run, unit: str, context: HookContext) -> bool:
        takes = self._takes.get(run.id)
        if takes is None:
            takes = Compiler(context.flag_key).rule(rules.participation(run.declaration))
            self._takes[run.id] = takes
        data: dict[str, Any] = {**context.evaluation_context.attributes, "targetingKey": unit}
        return bool(takes(data))
