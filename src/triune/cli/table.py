"""The commands, each with the module it lives in and its one-line help.

Modules are imported when their command runs, so that ``triune --help`` stays fast. A module
offers ``app`` (a `typer.Typer`): with one command it *is* that command, with several it is
a group. A test checks that the help here equals the help there.
"""

from __future__ import annotations

COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("triune.cli.init", "Write a small working workspace."),
    "check": ("triune.cli.check", "Validate triune.toml and the code it names, without running."),
    "up": ("triune.cli.up", "Start the profile's services and wait until each is ready."),
    "down": ("triune.cli.down", "Stop every service of this workspace."),
    "status": ("triune.cli.status", "Show services, endpoints and what serves them."),
    "logs": ("triune.cli.logs", "Show or follow a service's log."),
    "data": ("triune.cli.data", "Build, version, check out and inspect datasets."),
    "features": (
        "triune.cli.features",
        "Apply feature views, bring them online, read and join them.",
    ),
    "streams": (
        "triune.cli.streams",
        "Turn events on topics into online features; look, replay, redrive.",
    ),
    "flags": (
        "triune.cli.flags",
        "Feature flags: list, change, roll out, roll back, import, approve, schedule.",
    ),
    "flows": ("triune.cli.flows", "Run flows: build, check, stages, materialize."),
    "train": ("triune.cli.train", "Run a training as a tracked run and register its model."),
    "runs": ("triune.cli.runs", "List, filter, show and compare runs."),
    "models": ("triune.cli.models", "List, show, verify and alias model versions."),
    "release": ("triune.cli.release", "Make and inspect releases: what an endpoint can serve."),
    "rollout": (
        "triune.cli.rollout",
        "Change what an endpoint serves, step by step; watch it, steer it, go back.",
    ),
    "ab": ("triune.cli.ab", "A/B tests: plan, start, look at, stop, decide."),
    "replay": ("triune.cli.replay", "Send recorded traffic to an endpoint, with its outcomes."),
    "events": ("triune.cli.events", "Show what happened: filter, follow, export the ledger."),
    "lineage": ("triune.cli.lineage", "Show what anything was made from, or how complete it is."),
    "reproduce": ("triune.cli.reproduce", "Do a run again from its records and compare."),
    "report": ("triune.cli.report", "Write report.html from the ledger."),
    "loop": ("triune.cli.loop", "Run the whole loop, from raw data to a model that serves."),
    "serve": ("triune.cli.serve", "Serve one model in the foreground, without a gateway."),
    "backup": ("triune.cli.backup", "Back everything up, and prove it by restoring it."),
    "ledger": ("triune.cli.ledger", "Migrate, verify and measure the ledger's database."),
}
