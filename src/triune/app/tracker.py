"""Runs into MLflow: in the background as a daemon, or at once in the foreground.

``python -m triune.app.tracker WORKSPACE`` is the daemon. It is ready before MLflow is
imported, and imports it when there is something to ship for the first time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from triune.app.context import Context
from triune.app.daemon import main, tell
from triune.core.errors import Unavailable
from triune.models.tracking.backends.mlflow import MlflowTracker
from triune.models.tracking.sync import OnShipping, Shipper

if TYPE_CHECKING:
    from triune.app.abtests_tracking import TestShipper

LOOK_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
SERVER_SECONDS = 120.0
LONGEST_REST_SECONDS = 5.0
"""A round is followed by a rest as long as itself, so that shipping a run with very many values
leaves the machine to the training; but not longer than this."""


def shipper(context: Context) -> Shipper:
    """What ships the workspace's runs into its MLflow."""
    return Shipper(context.workspace, context.runs, tracker(context, context.workspace.name))


def tests_shipper(context: Context) -> TestShipper:
    """What ships the workspace's A/B tests there."""
    from triune.app.abtests_tracking import TestShipper

    return TestShipper(
        context.ledger,
        lambda: context.abtests,
        lambda experiment: tracker(context, experiment),
        context.workspace.name,
    )


def tracker(context: Context, experiment: str) -> MlflowTracker:
    """The workspace's MLflow, with what is kept there under the name of an experiment."""
    addresses = context.addresses
    credentials = {}
    if addresses.s3 is not None:
        credentials = {
            "MLFLOW_S3_ENDPOINT_URL": addresses.s3.url,
            "AWS_ACCESS_KEY_ID": addresses.s3.access_key,
            "AWS_SECRET_ACCESS_KEY": addresses.s3.secret_key,
            "AWS_DEFAULT_REGION": addresses.s3.region,
        }
    return MlflowTracker(
        addresses.mlflow_tracking_uri,
        addresses.mlflow_artifact_root,
        experiment,
        credentials,
    )


def sync(context: Context, on_progress: OnShipping | None = None) -> int:
    """Ship everything now; returns how many runs had something to ship.

    Raises
    ------
    Unavailable: ``mlflow-unreachable``.
    """
    ship = shipper(context)
    done = ship.ship_all(on_progress) if on_progress else ship.ship_all()
    tests_shipper(context).ship()
    return done


def work(context: Context, stop: threading.Event, ready: Callable[[], None]) -> None:
    """Ship what is new, again and again, until told to stop."""
    ship = shipper(context)
    ready()
    tests = tests_shipper(context)
    _await_server(context, stop)
    pause, loaded = LOOK_SECONDS, False
    while not stop.wait(pause):
        begin = time.monotonic()
        try:
            loaded = _round(ship, tests) or loaded
        except Unavailable as error:
            tell(f"{error.reference}: {error.message}")
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
        else:
            pause = max(LOOK_SECONDS, min(LONGEST_REST_SECONDS, time.monotonic() - begin))
    if loaded:  # without MLflow loaded there is no time for a last round
        try:
            _round(ship, tests)
        except Unavailable as error:
            tell(f"{error.reference}: {error.message}")


def _round(ship: Shipper, tests: TestShipper) -> bool:
    """Ship what is new; whether there was anything."""
    news = ship.has_news(), tests.has_news()
    if news[0]:
        tell(f"shipped {ship.ship_all()} runs")
    if news[1]:
        tell(f"shipped {tests.ship()} tests")
    return any(news)


def _await_server(context: Context, stop: threading.Event) -> None:
    """Let MLflow's own server, where there is one, make the tables of a new database: two that
    make them at once disturb each other. A server that does not come is not waited for."""
    page = context.addresses.mlflow_ui
    table = context.workspace.config.services.get("mlflow")
    if page is None or (table is not None and not table.enabled):
        return
    import httpx

    deadline = time.monotonic() + SERVER_SECONDS
    while time.monotonic() < deadline and not stop.wait(LOOK_SECONDS):
        try:
            if httpx.get(f"{page}/health").is_success:
                return
        except httpx.HTTPError:
            continue
    tell("MLflow's server does not answer; going on without it")


if __name__ == "__main__":
    main("tracker", work)
