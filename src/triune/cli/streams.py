"""``triune streams``: events that become online features."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from triune.cli.moments import moment
from triune.cli.opened import opened
from triune.cli.output import JSON_OPTION, here, many, print_json, print_table, when

if TYPE_CHECKING:
    from triune.data.streams.ports import Message
    from triune.data.streams.service import StreamStatus

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Turn events on topics into online features; look, replay, redrive.",
)

NAME = typer.Argument(help="The stream.")
NAMES = typer.Argument(None, help="Streams by name; none means all that triune.toml declares.")
_EMPTY = "triune.toml declares no stream; add `[streams.<name>]`"
_DRY = typer.Option(False, "--dry-run", help="Only say what would be done.")


@app.command("list")
def list_streams(*, as_json: bool = JSON_OPTION) -> None:
    """List the streams that triune.toml declares."""
    streams = here().config.streams
    found: list[dict[str, Any]] = [
        {
            "name": name,
            "topic": one.topic,
            "view": one.view,
            "features": list(one.features),
            "lateness_s": one.lateness_s,
        }
        for name, one in streams.items()
    ]
    if as_json:
        print_json(found)
        return
    rows = [(f["name"], f["topic"], f["view"], ", ".join(f["features"])) for f in found]
    print_table(("stream", "topic", "view", "features"), rows, empty=_EMPTY)


@app.command()
def status(names: list[str] | None = NAMES, *, as_json: bool = JSON_OPTION) -> None:
    """Show how far streams are applied, how late, and what became of the events."""
    with opened() as context:
        found = [context.streams.status(n) for n in names or context.streams.names()]
    if as_json:
        print_json(found)
        return
    print_table(
        ("stream", "state", "lag", "settled up to", "applied", "duplicate", "dead letters"),
        [_status(one) for one in found],
        empty=_EMPTY,
    )


@app.command()
def publish(
    name: str = NAME,
    *,
    file: Path | None = typer.Option(None, "--file", help="Events: Parquet, CSV or JSON lines."),
    recorded: bool = typer.Option(False, "--recorded", help="The stream's recorded events."),
    after: str = typer.Option("", "--after", help="Only events after this time."),
    until: str = typer.Option("", "--until", help="Only events up to this time."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Send events to the stream's topic; each is held against its fields first."""
    if (file is None) is not recorded:
        raise typer.BadParameter("give either --file or --recorded")
    with opened() as context, _counting(quiet=as_json) as tell:
        sent = context.streams.publish(
            name,
            None if file is None else _events(file),
            after=_moment(after),
            until=_moment(until),
            on_progress=tell,
        )
    if as_json:
        print_json({"stream": name, "sent": sent})
        return
    typer.echo(f"{many(sent, 'event')} sent to {name}")


@app.command()
def advance(
    name: str = NAME,
    *,
    to: str = typer.Option(..., "--to", help="The time that it is."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Say what time it is where no events come: windows that have ended are closed."""
    until = _moment(to)
    if until is None:
        raise typer.BadParameter("--to needs a time")
    with opened() as context:
        context.streams.advance(name, until)
    if as_json:
        print_json({"stream": name, "to": until})
        return
    typer.echo(f"{name} is told that it is {when(until)}")


@app.command()
def tail(
    name: str = NAME,
    *,
    newest: int = typer.Option(20, "--newest", "-n", min=1, help="How many."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Show the newest events of a stream's topic."""
    with opened() as context:
        _show(context.streams.tail(name, newest=newest), as_json)


@app.command()
def dead(
    name: str = NAME,
    *,
    newest: int = typer.Option(20, "--newest", "-n", min=1, help="How many."),
    redrive: bool = typer.Option(False, "--redrive", help="Send them to the topic again, once."),
    dry_run: bool = _DRY,
    as_json: bool = JSON_OPTION,
) -> None:
    """Show the dead letters of a stream, with reasons; or send them again."""
    with opened() as context:
        if not redrive:
            _show(context.streams.tail(name, dead=True, newest=newest), as_json)
            return
        count = context.streams.redrive(name, dry_run=dry_run)
    if as_json:
        print_json({"stream": name, "redriven": count, "dry_run": dry_run})
        return
    typer.echo(f"{many(count, 'dead letter')} {'would be' if dry_run else 'were'} sent again")


@app.command()
def replay(
    name: str = NAME,
    *,
    start: str = typer.Option("", "--from", help="Events from this time on; default: all."),
    latest: bool = typer.Option(
        False, "--latest", help="Leave all that the topic holds aside instead."
    ),
    keep_rows: bool = typer.Option(False, "--keep-rows", help="Do not remove the view's rows."),
    dry_run: bool = _DRY,
    yes: bool = typer.Option(False, "--yes", help="Do not ask."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Apply a topic again from an earlier time; the view's rows are removed first."""
    if not (yes or dry_run or as_json or keep_rows):
        typer.confirm(f"Remove the rows that {name} feeds and apply it again?", abort=True)
    with opened() as context:
        done = context.streams.replay(
            name,
            start=_moment(start),
            latest=latest,
            keep_rows=keep_rows,
            dry_run=dry_run,
        )
    if as_json:
        print_json(done)
        return
    where = ", ".join(f"partition {n} from {offset}" for n, offset in done.offsets.items())
    gone = "" if done.cleared is None else f"; {many(done.cleared, 'row')} removed"
    typer.echo(f"{name}: {where}{gone}")


@app.command()
def run(name: str = NAME) -> None:
    """Apply one stream in the foreground, until interrupted."""
    from triune.app import streams_daemon

    with opened() as context:
        one = streams_daemon.consumer(context, name, typer.echo)
        stop = threading.Event()
        thread = threading.Thread(target=one.run, args=(stop,))
        thread.start()
        try:
            while thread.is_alive():
                thread.join(1.0)
        except KeyboardInterrupt:
            stop.set()
            thread.join()
    results = ", ".join(f"{count} {result}" for result, count in one.gauges.results.items())
    typer.echo(f"{name}: {results or 'nothing came'}")


@contextmanager
def _counting(*, quiet: bool) -> Iterator[Any]:
    if quiet:
        yield lambda _: None
        return
    from rich.console import Console

    with Console(stderr=True).status("") as line:
        yield lambda count: line.update(f"{count} events sent")


def _events(file: Path) -> Iterator[Mapping[str, Any]]:
    """A file's rows; times as ISO texts, so that they can be sent."""
    from triune.cli.frames import read_table

    for batch in read_table(file).to_batches():
        for row in batch.to_pylist():
            yield {
                name: value.isoformat() if isinstance(value, datetime) else value
                for name, value in row.items()
            }


def _moment(text: str) -> datetime | None:
    found = moment(text)
    return None if found is None else datetime.fromtimestamp(found / 1e6, UTC)


def _status(one: StreamStatus) -> tuple[object, ...]:
    return (
        one.name,
        one.state,
        sum(one.lag.values()),
        when(one.watermark) if one.watermark else "",
        one.results.get("applied", 0),
        one.results.get("duplicate", 0),
        one.dead,
    )


def _show(messages: list[Message], as_json: bool) -> None:
    found = [
        {
            "partition": m.partition,
            "offset": m.offset,
            "time": datetime.fromtimestamp(m.time_ms / 1e3, UTC),
            "reason": m.headers.get("triune-reason", b"").decode(),
            "detail": m.headers.get("triune-detail", b"").decode(),
            "value": _value(m.value),
        }
        for m in messages
    ]
    if as_json:
        print_json(found)
        return
    rows = [
        (f"{f['partition']}/{f['offset']}", when(f["time"]), f["reason"], f["detail"],
         json.dumps(f["value"], default=str))
        for f in found
    ]  # fmt: skip
    print_table(("offset", "time", "reason", "detail", "event"), rows, empty="nothing is there")


def _value(raw: bytes | None) -> Any:
    try:
        return json.loads(raw or b"null")
    except ValueError:
        return (raw or b"").decode(errors="replace")
