"""Live flags behind the OpenFeature SDK, with its provider events."""

from __future__ import annotations

import threading

from openfeature.evaluation_context import EvaluationContext
from openfeature.event import ProviderEvent, ProviderEventDetails
from openfeature.exception import ErrorCode, ProviderNotReadyError

from triune.delivery.flags.live.service import LiveFlags, News, State
from triune.delivery.flags.provider import TriuneProvider

INITIAL_SECONDS = 5.0
_SETTLING_SECONDS = 0.5
"""The SDK says READY itself, a moment after `initialize`; what we say first it would undo."""

_EVENTS = {
    State.CONNECTED: ProviderEvent.PROVIDER_READY,
    State.POLLING: ProviderEvent.PROVIDER_READY,
    State.STALE: ProviderEvent.PROVIDER_STALE,
    State.REFUSED: ProviderEvent.PROVIDER_ERROR,
}


class LiveProvider(TriuneProvider):
    """Evaluates in process, on flags that the flag server keeps current.

    ``live`` has them; ``initial_s`` is how long `initialize` waits for the first ones: from the
    server, or those that were kept if it is away.
    """

    def __init__(self, live: LiveFlags, *, initial_s: float = INITIAL_SECONDS) -> None:
        super().__init__(lambda: live.evaluator)
        self.live = live
        self._initial_s = initial_s
        self._told: ProviderEvent | None = None
        self._settled = False
        live.listen(self._hear)

    def initialize(self, evaluation_context: EvaluationContext) -> None:  # noqa: ARG002
        """Begin. Raises `ProviderNotReadyError` where there are no flags yet; it goes on trying,
        and says READY when they have come."""
        self._told, self._settled = None, False
        self.live.start()
        there = self.live.wait(self._initial_s)
        self._told = ProviderEvent.PROVIDER_READY if there else ProviderEvent.PROVIDER_ERROR
        settled = threading.Timer(_SETTLING_SECONDS, self._settle)
        settled.daemon = True
        settled.start()
        if not there:
            raise ProviderNotReadyError("the flag server is away, and no flags were kept")

    def shutdown(self) -> None:
        """End; evaluation goes on with the flags as they are."""
        self.live.stop()

    def _settle(self) -> None:
        self._settled = True
        self._hear(News(self.live.state))

    def _hear(self, news: News) -> None:
        if news.changed:
            if self._told is not None:
                keys = list(news.changed)
                self.emit_provider_configuration_changed(ProviderEventDetails(flags_changed=keys))
            return
        event = _EVENTS.get(news.state)
        if self._settled and event is not None and event is not self._told:
            self._told = event
            refused = news.state is State.REFUSED
            code = ErrorCode.PARSE_ERROR if refused else None
            message = f"{news.state.sentence}: {news.why}" if news.why else news.state.sentence
            self.emit(event, ProviderEventDetails(message=message, error_code=code))
