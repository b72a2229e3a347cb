"""The daemon that applies the streams: a thread for each, and a page with their metrics."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from http.server import ThreadingHTTPServer

from triune.app import daemon, features, metrics_page
from triune.app.context import Context
from triune.core.errors import TriuneError
from triune.core.files import locked, write_json
from triune.data.backends.kafka import KafkaBroker
from triune.data.streams.consumer import Consumer
from triune.data.streams.gauges import exposition

NAME = "streams"
WAIT_SECONDS = 2.0


def consumer(context: Context, name: str, tell: Callable[[str], None]) -> Consumer:
    """The consumer of one stream, with its ports plugged.

    Raises what `Streams.spec` raises.
    """
    return Consumer(
        context.streams.spec(name),
        KafkaBroker(context.addresses.kafka),
        context.features.place,
        context.ledger,
        partitions=context.streams.table(name).partitions,
        workspace=context.workspace.name,
        commit=lambda: features.commit(context),
        tell=tell,
    )


def work(context: Context, stop: threading.Event, ready: Callable[[], None]) -> None:
    """Apply every declared stream until told to stop. Those whose view is not applied yet, or was
    applied anew, are begun when it is."""
    with locked(context.workspace.run_folder / f"{NAME}.lock"):
        running: Running = {}
        server = _serve(context, running)
        ready()
        try:
            while not stop.is_set():
                _follow(context, running, stop)
                _write_down(context, [one for one, _, _ in running.values()])
                stop.wait(WAIT_SECONDS / 2)
        finally:
            for _, halt, thread in running.values():
                halt.set()
                thread.join()
            server.shutdown()


Running = dict[str, tuple[Consumer, threading.Event, threading.Thread]]


def _follow(context: Context, running: Running, stop: threading.Event) -> None:
    """Begin what can be begun; begin anew where the view has another version."""
    for name in context.streams.names():
        try:
            spec = context.streams.spec(name)
        except TriuneError as error:
            if name not in running:
                daemon.tell(f"{name} waits: {error.reference}: {error.message}")
                stop.wait(WAIT_SECONDS)
            continue
        if name in running:
            one, halt, thread = running[name]
            if one.spec.layout.version == spec.layout.version and thread.is_alive():
                _look(one)
                continue
            halt.set()
            thread.join()
        made, halt = consumer(context, name, daemon.tell), threading.Event()
        thread = threading.Thread(target=made.run, args=(halt,), name=f"stream-{name}")
        thread.start()
        running[name] = (made, halt, thread)
        daemon.tell(f"{name}: applying {spec.topic} to {spec.layout.ref}")


def _look(one: Consumer) -> None:
    try:
        one.look()
    except TriuneError as error:
        one.gauges.state = error.reference


def _write_down(context: Context, consumers: Sequence[Consumer]) -> None:
    for one in consumers:
        path = context.workspace.state / "streams" / f"{one.spec.name}.json"
        write_json(path, one.gauges.to_json())


def _serve(context: Context, running: Running) -> ThreadingHTTPServer:
    """Prometheus's page."""

    def text() -> str:
        return exposition([one.gauges for one, _, _ in list(running.values())], time.time())

    return metrics_page.serve(context.addresses.port("streams.metrics"), text)


if __name__ == "__main__":
    daemon.main(NAME, work)
