"""The loop's steps about data and features: stages, feature views, a stream, live look-ups."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from triune.app.loop.model import Step
from triune.app.loop.rolling import Facts, clear_way, roll_out
from triune.app.replay import Request, service, wire
from triune.core.config import slug
from triune.core.errors import Conflict
from triune.core.rollout_config import Strategy
from triune.core.waiting import wait_until
from triune.delivery.gateway.model import PREDICTION_HEADER

if TYPE_CHECKING:
    from triune.app.loop.steps import Play

TOLERANCE = 1e-6
"""Between two scores of the same model for the same flight: they are 32-bit numbers."""
CATCH_UP_SECONDS = 60.0
BACKUP_SECONDS = 300.0
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Asked:
    """One answer: its score and the prediction's id."""

    score: float
    prediction: str


def stages(play: Play) -> Facts:
    """Run the pipeline, and run it again: then nothing may be left to do."""
    first = play.context.pipelines.run()
    for result in first:
        play.note(f"{result.name}: {result.state.value}, {result.seconds:.1f} s")
    again = play.context.pipelines.run()
    return {
        "ran": [one.name for one in first if one.state.value == "ran"],
        "again": [one.name for one in again if one.state.value != "unchanged"],
        "versions": {one.name: list(one.datasets) for one in again if one.datasets},
    }


def views(play: Play) -> Facts:
    """Apply the feature views."""
    changes = play.context.features.apply(beside=True, on_progress=play.note)
    for change in changes:
        play.note(f"{change.name}@{change.after}: {change.what}")
    return {"views": {change.name: change.after for change in changes if change.after}}


def online(play: Play) -> Facts:
    """Bring features up to each moment, and ask about what was asked then twice: with every input
    sent, and with only those sent that the server does not look up. The answers must be equal."""
    endpoint = play.table.online or ""
    clear_way(play.context.rollouts, endpoint, play.note)
    model = str(play.fact(Step.REGISTER, "canary")["model"])
    release = play.context.delivery.releases.create(endpoint, model)
    facts = roll_out(play.context.rollouts, endpoint, release.ref, Strategy.BLUE_GREEN, play.note)
    _begin_anew(play)
    requests = _recorded(play)
    asked, differing, prediction, before = 0, 0, "", None
    for moment in play.table.moments:
        _bring_up_to(play, before, moment)
        before = moment
        for request in requests[moment]:
            given, looked_up = _both(play, endpoint, request)
            asked += 1
            differing += abs(given.score - looked_up.score) > TOLERANCE
            prediction = looked_up.prediction
        play.note(f"{moment:%d %B, %H:%M}: {asked} asked, {differing} answers differ")
    return {
        **facts,
        "asked": asked,
        "differing": differing,
        "moments": len(play.table.moments),
        **_traced(play, prediction),
    }


def _begin_anew(play: Play) -> None:
    """Nothing of an earlier loop's is online: it would be newer than this one's moments."""
    play.context.features.clear()
    for name in play.context.streams.names():
        try:
            play.context.streams.replay(name, latest=True)
        except Conflict as conflict:
            if conflict.reference != "stream-empty":
                raise


def _recorded(play: Play) -> Mapping[datetime, Sequence[Request]]:
    """The recorded requests of each moment."""
    found: dict[datetime, list[Request]] = {moment: [] for moment in play.table.moments}
    for request in service.traffic(play.context.workspace, play.table.endpoint)():
        if request.at in found:
            found[request.at].append(request)
    return found


def _bring_up_to(play: Play, before: datetime | None, moment: datetime) -> None:
    """Tables are materialized and streams applied up to a moment, and no further."""
    context = play.context
    streamed = {context.streams.table(name).view for name in context.streams.names()}
    tables = [name for name in context.features.catalog.current() if name not in streamed]
    context.features.materialize(tables, end=moment, on_progress=play.note)
    for name in context.streams.names():
        longest = timedelta(microseconds=context.streams.spec(name).longest_us)
        context.streams.publish(name, after=before or moment - longest, until=moment)
        context.streams.advance(name, moment)
        context.streams.settle(name, timeout=CATCH_UP_SECONDS)


def _both(play: Play, endpoint: str, request: Request) -> tuple[Asked, Asked]:
    table = play.context.workspace.config.endpoints[endpoint]
    asked = table.online.features if table.online else ()
    looked_up = {feature for _, feature in play.context.features.catalog.features(asked)}
    bare = {name: values for name, values in request.inputs.items() if name not in looked_up}
    return _ask(play, endpoint, request.inputs), _ask(play, endpoint, bare)


def _ask(play: Play, endpoint: str, inputs: Mapping[str, Sequence[Any]]) -> Asked:
    import httpx

    table = play.context.workspace.config.endpoints[endpoint]
    types = {one.name: one.datatype.value for one in table.inputs}
    url = f"{play.context.addresses.gateway_url}/{endpoint}/v2/models/{slug(endpoint)}/infer"
    answer = httpx.post(url, content=wire.encode(inputs, types), timeout=10.0, headers=_HEADERS)
    answer.raise_for_status()
    score = wire.score(answer.content)
    return Asked(float("nan") if score is None else score, answer.headers[PREDICTION_HEADER])


_HEADERS = {"content-type": "application/json"}


def _traced(play: Play, prediction: str) -> Facts:
    """Where a prediction and what fed its features come from, once the ledger has it all."""
    ledger, ref = play.context.ledger, f"prediction:{prediction}"

    def told() -> bool:
        kinds = {event.kind for event in ledger.fed_by(ref)} if ledger.parents([ref]) else set()
        return {"features.materialized", "stream.consumed"} <= kinds

    wait_until(told, timeout=CATCH_UP_SECONDS, what="the ledger knows what fed the prediction")
    fed = [event.subject for event in ledger.fed_by(ref)]
    gaps = [f"{gap.ref}: {gap.what}" for one in (ref, *fed) for gap in ledger.missing(one)]
    return {"prediction": prediction, "gaps": sorted(set(gaps)), "fed_by": fed}


def backup(play: Play) -> Facts:
    """Make a backup, and drill it."""
    backups = play.context.backups
    made = _alone(lambda: backups.run(actor="service:loop", on_progress=play.note))
    proof = _alone(lambda: backups.drill(made.id, actor="service:loop", on_progress=play.note))
    play.note(f"backup {made.id}: {proof.verdict}; {proof.words}")
    return {
        "backup": made.id,
        "files": made.files,
        "verdict": proof.verdict,
        "words": proof.words,
        "seconds": dict(proof.seconds),
    }


def _alone(act: Callable[[], T]) -> T:
    """Act when the backup that is due by schedule, and runs just now, is over."""
    found: list[T] = []

    def done() -> bool:
        try:
            found.append(act())
        except Conflict as conflict:
            if conflict.reference != "already-running":
                raise
        return bool(found)

    wait_until(done, timeout=BACKUP_SECONDS, what="another backup ends", first_pause=0.5)
    return found[0]
