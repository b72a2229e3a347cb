"""``triune flows``: build, check, stages and materialisation in one go."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from triune.cli.opened import opened
from triune.cli.output import JSON_OPTION, here, print_json, print_table, when

if TYPE_CHECKING:
    from triune.data.flows.service import Flows

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Run flows: build, check, stages, materialize."
)

NAME = typer.Argument(help="The flow.")
_EMPTY = "triune.toml declares no flow; add `[flows.<name>]`"
_VERDICT = {True: "pass", False: "fail", None: "never ended"}


@app.command("list")
def list_flows(*, as_json: bool = JSON_OPTION) -> None:
    """List the flows, when they run next, and how they last went."""
    with _flows() as flows:
        found: list[dict[str, Any]] = []
        for name, table in here().config.flows.items():
            last = next(iter(flows.history(name)), None)
            found.append(
                {
                    "name": name,
                    "schedule": table.schedule,
                    "next": flows.next_time(name),
                    "last": last.started if last else None,
                    "ok": last.ok if last else None,
                }
            )
    if as_json:
        print_json(found)
        return
    rows = [
        (f["name"], f["schedule"] or "by hand", when(f["next"]) if f["next"] else "",
         when(f["last"]) if f["last"] else "never", _VERDICT[f["ok"]] if f["last"] else "")
        for f in found
    ]  # fmt: skip
    print_table(("flow", "schedule", "next", "last", "verdict"), rows, empty=_EMPTY)


@app.command()
def run(name: str = NAME, *, as_json: bool = JSON_OPTION) -> None:
    """Run a flow now, with its retries."""
    from rich.console import Console

    from triune.data.flows.service import failed

    with _flows() as flows, Console(stderr=True, quiet=as_json).status("") as line:
        result = flows.run(name, on_part=line.update)
    error = failed(result)
    if as_json and error is None:
        print_json(result)
        return
    if not as_json:
        rows = [(p.name, "done" if p.ok else "failed", p.attempts, f"{p.seconds:.1f} s", p.words)
                for p in result.parts]  # fmt: skip
        print_table(("part", "state", "attempts", "took", "what"), rows)
    if error is not None:
        raise error


@app.command()
def history(name: str = NAME, *, as_json: bool = JSON_OPTION) -> None:
    """List the runs of a flow, the newest first."""
    with _flows() as flows:
        runs = flows.history(name)
    if as_json:
        print_json(runs)
        return
    rows = [(when(r.started), _VERDICT[r.ok], f"{r.seconds:.1f} s", r.words, r.id) for r in runs]
    print_table(("started", "verdict", "took", "why", "run"), rows, empty=f"{name} has never run")


@contextmanager
def _flows() -> Iterator[Flows]:
    with opened() as context:
        yield context.flows
