"""Two releases of an endpoint as the arms of a test: a rollout whose share is kept.

Control is the release that is live, the candidate the rollout's. The rollout looks at both all the
while, and harm rolls it back; the test's end promotes or aborts it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from triune.core.errors import Conflict, NotFound, Refused
from triune.delivery.abtest.model import Declaration, Variant
from triune.delivery.abtest.ports import Serving
from triune.delivery.releases import Releases
from triune.delivery.rollout.conductor import check_free
from triune.delivery.rollout.model import Ticket
from triune.delivery.rollout.service import Rollouts
from triune.delivery.state import SENTENCES, Phase
from triune.ledger.ports import Query

STEPPED = "rollout.stepped"
_ENDS = ("rollout.switched", "rollout.rolled-back")
_SLACK_US = 1_000_000
_DAY = 86_400.0


@dataclass(frozen=True)
class Endpoints:
    """`triune.delivery.abtest.ports.Endpoints` by releases and rollouts.

    ``model`` gives the name of an endpoint's model.
    """

    releases: Releases
    rollouts: Rollouts
    model: Callable[[str], str]

    def arms(self, declaration: Declaration) -> Mapping[str, str]:
        """The release of each variant, made where only a version is named.

        Raises
        ------
        Conflict: (``rollout-in-progress``) there is no room for a candidate.
        NotFound: ``endpoint-not-declared``, ``model-not-found``, ``release-not-found``.
        Refused: ``test-control-not-live``, ``test-arms-alike``, and what a release is refused for.
        """
        endpoint = declaration.endpoint or ""
        check_free(self.rollouts.conductor.tools.store.load(endpoint))
        found = {v.name: self._release(endpoint, v) for v in declaration.variants}
        if len(set(found.values())) < len(found):
            raise Refused(
                "test-arms-alike",
                f"both variants are {next(iter(found.values()))}",
                context=declaration.name,
                hint="Name two versions that differ.",
            )
        live = self.rollouts.conductor.tools.store.load(endpoint).live
        control = found[declaration.control]
        if live is None or live.release != control:
            raise Refused(
                "test-control-not-live",
                f"control is {control}, but {endpoint} serves "
                f"{live.release if live else 'nothing'}",
                hint=f"Bring it there first: `triune rollout start {endpoint} {control}`.",
            )
        return found

    def _release(self, endpoint: str, variant: Variant) -> str:
        if variant.release is not None:
            return self.releases.for_endpoint(endpoint, variant.release).ref
        live = self.rollouts.conductor.tools.store.load(endpoint).live
        wanted = f"{self.model(endpoint)}@{variant.version}"
        if live is not None:
            serving = self.releases.get(live.release)
            if serving.bundle.model.ref == f"model:{wanted}":
                return serving.ref
        return self.releases.create(endpoint, wanted).ref

    def begin(self, declaration: Declaration, release: str, rollout: str, actor: str) -> None:
        """Bring the candidate to its units; done already when the rollout is known."""
        endpoint = declaration.endpoint or ""
        if self._known(endpoint, rollout):
            return
        candidate = declaration.candidates[0]
        self.rollouts.keep(
            endpoint,
            release,
            candidate.share,
            rollout=rollout,
            horizon_s=max(declaration.cycle_days, 1.0) * _DAY,
            actor=actor,
        )

    def _known(self, endpoint: str, rollout: str) -> bool:
        now = self.rollouts.conductor.tools.store.load(endpoint)
        ids = (now.rollout, now.pending and now.pending.rollout, now.last and now.last.rollout)
        return rollout in ids

    def had(self, declaration: Declaration, release: str, rollout: str) -> tuple[int, int | None]:
        """From when until when the candidate had all of its units; microseconds since 1970.

        The end is a second before it is told: a move acts first.
        """
        share, since, until = declaration.candidates[0].share, 0, None
        for kind in (STEPPED, *_ENDS):
            for stored in self.rollouts.conductor.tools.log.select(
                Query(kind=kind, subject=release)
            ):
                payload, time = stored.event.payload, stored.event.time
                if payload["rollout"] != rollout:
                    continue
                if kind != STEPPED:
                    until = time - _SLACK_US if until is None else min(until, time - _SLACK_US)
                elif payload["weight"] == share and not since:
                    since = time
        return since, until

    def serving(self, declaration: Declaration, rollout: str) -> Serving:
        """Whether the candidate gets its units, in words."""
        endpoint = declaration.endpoint or ""
        now = self.rollouts.conductor.tools.store.load(endpoint)
        if now.pending is not None and now.pending.rollout == rollout:
            phase = now.pending.phase
            return Serving(phase is Phase.CANARY, SENTENCES[phase], over=False)
        if not self._known(endpoint, rollout):
            return Serving(False, "its rollout has not begun", over=False)
        view = self.rollouts.view(endpoint, rollout)
        why = view.reason or view.outcome or "it is over"
        return Serving(False, f"its rollout is over ({view.outcome}): {why}", over=True)

    def promote(self, declaration: Declaration, rollout: str, reason: str, actor: str) -> None:
        """The candidate gets all traffic; done already when the rollout is over."""
        ticket = Ticket(declaration.endpoint or "", rollout)
        try:
            if not self.rollouts.conductor.where(ticket).over:
                self.rollouts.promote(ticket.endpoint, reason, actor=actor)
        except Conflict as conflict:
            if conflict.reference != "rollout-over":
                raise

    def leave(self, declaration: Declaration, rollout: str, reason: str, actor: str) -> None:
        """All traffic returns to control; done already when the rollout is over."""
        ticket = Ticket(declaration.endpoint or "", rollout)
        try:
            if not self.rollouts.conductor.where(ticket).over:
                self.rollouts.abort(ticket.endpoint, reason, actor=actor)
        except (Conflict, NotFound) as ended:
            if ended.reference not in ("rollout-over", "rollout-none"):
                raise
