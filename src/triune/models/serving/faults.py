"""What a caller can be told: every refusal and failure as a typed, documented answer."""

from __future__ import annotations

from triune.core.errors import TriuneError


class Fault(TriuneError):
    """An answer that is not a prediction. ``status`` is its HTTP code.

    The reference, message and hint are the body; nothing about the machine is in them.
    """

    def __init__(self, status: int, reference: str, message: str, *, hint: str = "") -> None:
        super().__init__(reference, message, hint=hint or None)
        self.status = status


def bad_request(reference: str, message: str, hint: str = "") -> Fault:
    """400: the request does not keep the endpoint's contract."""
    return Fault(400, reference, message, hint=hint)


def too_large(limit: int) -> Fault:
    """413: the body is larger than the endpoint takes."""
    return Fault(
        413,
        "body-too-large",
        f"the body is larger than {limit} bytes",
        hint="Send fewer rows per request, or raise max_body_bytes of the endpoint.",
    )


def model_failed() -> Fault:
    """500: the model raised; the log has the traceback, the caller does not."""
    return Fault(
        500,
        "model-failed",
        "the model raised an error on this request",
        hint="The server's log has the traceback under this answer's x-triune-prediction.",
    )


def deadline_exceeded(milliseconds: float) -> Fault:
    """504: no answer in time, and no fallback model to give one."""
    return Fault(
        504,
        "deadline-exceeded",
        f"the model did not answer within {milliseconds:g} ms",
        hint="Give the endpoint a fallback model, or a longer deadline_ms.",
    )


def overloaded() -> Fault:
    """503: as many requests wait for the model as may."""
    return Fault(
        503,
        "model-overloaded",
        "too many requests wait for the model",
        hint="Try again later, add workers, or give the endpoint a fallback model.",
    )
