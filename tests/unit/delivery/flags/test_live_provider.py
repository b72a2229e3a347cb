"""The live provider behind the OpenFeature SDK: what it answers, and which events it gives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from openfeature import api
from openfeature.event import EventDetails, ProviderEvent
from openfeature.exception import ErrorCode, ProviderNotReadyError
from openfeature.provider import ProviderStatus

from tests.support.flag_servers import QUICK, flag, flags_of, serving
from tests.support.ports import block
from triune.core.waiting import wait_until
from triune.delivery.flags.cache import Cache
from triune.delivery.flags.live import provider
from triune.delivery.flags.live.provider import LiveProvider
from triune.delivery.flags.live.service import LiveFlags

DOMAIN = "live"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(provider, "_SETTLING_SECONDS", 0.05)
    yield
    api.shutdown()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "flags.json"


@pytest.fixture
def port() -> Iterator[int]:
    with block() as ports:
        yield ports[0]


def made(port: int, cache: Path | None = None, initial_s: float = 10) -> LiveProvider:
    url, kept = f"http://127.0.0.1:{port}", None if cache is None else Cache(cache)
    return LiveProvider(LiveFlags(lambda: url, kept, patience=QUICK), initial_s=initial_s)


def listening() -> list[tuple[ProviderEvent, EventDetails]]:
    events: list[tuple[ProviderEvent, EventDetails]] = []
    for one in ProviderEvent:
        api.get_client(DOMAIN).add_handler(one, lambda found, one=one: events.append((one, found)))  # type: ignore[misc]
    events.clear()
    return events


def status(wanted: ProviderStatus) -> None:
    client = api.get_client(DOMAIN)
    wait_until(lambda: client.get_provider_status() is wanted, timeout=10, what=wanted.value)


def test_ready_changed_stale_and_ready_again(port: int) -> None:
    client = api.get_client(DOMAIN)
    events = listening()
    with serving(flag(), port=port) as served:
        api.set_provider_and_wait(made(port), DOMAIN)
        status(ProviderStatus.READY)
        assert client.get_boolean_value("new-ui", True) is False
        served.publish(flag(default="on"))
        wait_until(lambda: client.get_boolean_value("new-ui", False), timeout=10, what="on")
    status(ProviderStatus.STALE)
    found = client.get_boolean_details("new-ui", False)
    assert (found.value, found.error_code) == (True, None)
    with serving(flag(), port=port):
        status(ProviderStatus.READY)
        assert client.get_boolean_value("new-ui", True) is False
    wait_until(lambda: len(events) >= 5, timeout=10, what="the events")
    kinds = [kind.value.removeprefix("PROVIDER_") for kind, _ in events[:5]]
    assert kinds == ["READY", "CONFIGURATION_CHANGED", "STALE", "CONFIGURATION_CHANGED", "READY"]
    assert events[1][1].flags_changed == ["new-ui"]
    assert "the last flags" in (events[2][1].message or "")


def test_a_start_without_the_server_is_ready_with_what_was_kept_and_then_stale(
    cache: Path, port: int
) -> None:
    Cache(cache).keep(flags_of(flag(default="on")))
    api.set_provider_and_wait(made(port, cache), DOMAIN)
    assert api.get_client(DOMAIN).get_boolean_value("new-ui", False) is True
    status(ProviderStatus.STALE)


def test_a_start_without_anything_is_an_error_until_flags_come(port: int) -> None:
    client = api.get_client(DOMAIN)
    with pytest.raises(ProviderNotReadyError):
        api.set_provider_and_wait(made(port, initial_s=0.1), DOMAIN)
    found = client.get_boolean_details("new-ui", True)
    assert (found.value, found.error_code) == (True, ErrorCode.PROVIDER_NOT_READY)
    with serving(flag(), port=port):
        status(ProviderStatus.READY)
        assert client.get_boolean_value("new-ui", True) is False
