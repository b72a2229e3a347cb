"""Every kind of event, with a sentence; an unknown kind is refused at the door.

The page ``docs/reference/events.md`` is checked against this table.
"""

from __future__ import annotations

import difflib

from triune.core.errors import Refused

KINDS: dict[str, str] = {
    "workspace.created": "A workspace was made by `triune init`.",
    "dataset.versioned": "A dataset's content was recorded under a version.",
    "dataset.checked": "A dataset version was held against its expectations, with a verdict.",
    "stage.finished": "A stage of `dvc.yaml` ran: its command, inputs, outputs and parameters.",
    "feature_view.applied": "A version of a feature view was applied to the feature store.",
    "features.materialized": "A feature view's values were brought online from its table.",
    "features.cleared": "A feature view's rows were removed from the online store.",
    "stream.consumed": "A range of a stream's events became online features.",
    "stream.replayed": "A stream was set back, to be applied again.",
    "flow.started": "A flow began: build, check, stages, materialisation.",
    "flow.finished": "A flow ended, with a verdict and each of its parts.",
    "backup.made": "A backup of the workspace and its databases was made.",
    "backup.checked": "The backup repository's bytes were verified.",
    "backup.drilled": "A backup was restored beside the workspace and proven there, or not.",
    "backup.restored": "A backup was restored.",
    "backup.recovered": "What was deleted in a locked backup repository was brought back.",
    "backup.failed": "A backup, a check or a drill failed, and why.",
    "features.defined": "A feature view's definition was recorded under a content hash.",
    "environment.recorded": "A software environment was recorded by the hash of its packages.",
    "commit.recorded": "A commit, with the diff when the tree was dirty, was recorded.",
    "run.started": "A run began.",
    "run.finished": "A run ended; its status, parameters and last metrics are in the payload.",
    "run.shipped": "All of a run arrived in MLflow; its id there is in the payload.",
    "model.registered": "A run's model became a version in the registry, signed, with a card.",
    "model.aliased": "An alias was moved to a model version.",
    "model.refused": "A model was not loaded: its signature or digest did not hold.",
    "release.created": "An immutable bundle that an endpoint can serve was made.",
    "rollout.started": "The change of an endpoint from one release to another began.",
    "rollout.smoked": "The candidate's smoke tests were run, with their results.",
    "rollout.shadowed": "Requests began to be mirrored to a candidate, unseen by users.",
    "rollout.compared": "A shadow's answers were judged against the live ones.",
    "rollout.stepped": "Another share of the units moved to the candidate of a canary.",
    "rollout.looked": "A look at both arms: readings, evidence, verdict, what follows.",
    "rollout.gated": "A person paused, resumed, promoted or aborted a rollout.",
    "rollout.refused": "The candidate failed before it saw traffic; nothing changed for users.",
    "rollout.switched": "Traffic moved from one release to another.",
    "rollout.rolled-back": "Traffic, or a shadow's copies of it, left a release, and why.",
    "rollout.finished": "A rollout is over: promoted, rolled back, refused or compared.",
    "rollout.completed": "The rollback window ended; the old release was stopped.",
    "flag.changed": "A feature flag was made, changed or removed: before, after, and why.",
    "flag_plan.made": "A change of a flag was asked for: it waits for approval, its time, or both.",
    "flag_plan.approved": "A person approved a change of a flag that waits.",
    "flag_plan.settled": "A change that waited was carried out, refused, rejected or withdrawn.",
    "test.started": "An A/B test began: its declaration, arms and reason.",
    "test.stopped": "An A/B test takes no more exposures, and why.",
    "test.decided": "An A/B test was decided: verdict, winner, what was seen, and why.",
    "unit.exposed": "A unit was treated with a flag's variant in an A/B test.",
    "prediction.served": "An answer went out through the gateway: the exposure of a unit.",
    "request.failed": "A request was answered with 5xx: no prediction was made.",
    "outcome.observed": "What happened to a unit after a prediction became known.",
    "service.started": "A service became ready.",
    "service.stopped": "A service was stopped on purpose.",
    "run.reproduced": "A run was done again and compared, with a verdict.",
    "loop.started": "The whole loop began.",
    "loop.finished": "The whole loop ended, with the result of its checks.",
}


def check(kind: str) -> None:
    """Refuse a kind that is not in the table, naming the closest one."""
    if kind in KINDS:
        return
    near = difflib.get_close_matches(kind, KINDS, n=1)
    raise Refused(
        "event-kind-unknown",
        f"there is no event kind {kind!r}",
        hint=f"Did you mean {near[0]!r}?" if near else "Known: " + ", ".join(sorted(KINDS)),
    )
