"""Triune's flags behind the OpenFeature SDK."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import FlagResolutionDetails, FlagValueType
from openfeature.flag_evaluation import Reason as TheirReason
from openfeature.provider import AbstractProvider, Metadata

from triune.delivery.flags.evaluator import Evaluator
from triune.delivery.flags.model import Code, Kind, Reason

_REASONS = {reason: TheirReason(reason.value) for reason in Reason}
_CODES = {code: ErrorCode(code.value) for code in Code}
_NOBODY: Mapping[str, Any] = {}


class TriuneProvider(AbstractProvider):
    """Evaluates in process. ``current`` gives the flags in force: it is asked at each call."""

    def __init__(self, current: Callable[[], Evaluator]) -> None:
        super().__init__()
        self._current = current

    def get_metadata(self) -> Metadata:
        """The provider's name."""
        return Metadata("triune")

    def resolve_boolean_details(
        self,
        flag_key: str,
        default_value: bool,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[bool]:
        """A flag of true and false."""
        return self._resolve(flag_key, default_value, evaluation_context, Kind.BOOLEAN)

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        """A flag of texts."""
        return self._resolve(flag_key, default_value, evaluation_context, Kind.STRING)

    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        """A flag of whole numbers."""
        return self._resolve(flag_key, default_value, evaluation_context, Kind.INTEGER)

    def resolve_float_details(
        self,
        flag_key: str,
        default_value: float,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[float]:
        """A flag of numbers."""
        return self._resolve(flag_key, default_value, evaluation_context, Kind.FLOAT)

    def resolve_object_details(
        self,
        flag_key: str,
        default_value: Sequence[FlagValueType] | Mapping[str, FlagValueType],
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[Sequence[FlagValueType] | Mapping[str, FlagValueType]]:
        """A flag of objects or lists."""
        return self._resolve(flag_key, default_value, evaluation_context, Kind.OBJECT)

    def _resolve(
        self, key: str, default: Any, context: EvaluationContext | None, kind: Kind
    ) -> FlagResolutionDetails[Any]:
        unit, attributes = None, _NOBODY
        if context is not None:
            unit, attributes = context.targeting_key, context.attributes
        found = self._current().evaluate(
            key, default, kind=kind, targeting_key=unit, attributes=attributes
        )
        return FlagResolutionDetails(
            found.value,
            error_code=None if found.error is None else _CODES[found.error],
            error_message=found.message or None,
            reason=_REASONS[found.reason],
            variant=found.variant,
            flag_metadata=found.metadata,
        )
