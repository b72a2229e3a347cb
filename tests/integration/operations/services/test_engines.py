"""Every engine starts, answers, keeps its door closed to strangers, and stops."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from tests.support.services import MakeWorkspace, listening, nothing_left, only, pid_of, status_of

from triune.app import services
from triune.app.context import Context
from triune.core.waiting import wait_until
from triune.operations.services import processes
from triune.operations.services.addresses import BUCKETS, Addresses

pytestmark = pytest.mark.engine


def _envoy(addresses: Addresses) -> None:
    assert httpx.get(f"{addresses.envoy_admin_url}/ready").text.strip() == "LIVE"
    assert httpx.get(addresses.gateway_url).status_code == 404


def _temporal(addresses: Addresses) -> None:
    host, _, port = addresses.temporal.partition(":")
    assert (host, int(port)) == ("127.0.0.1", addresses.port("temporal"))
    http = f"http://{addresses.at('temporal.http')}/api/v1/namespaces/default"
    assert httpx.get(http).json()["namespaceInfo"]["name"] == "default"


def _prometheus(addresses: Addresses) -> None:
    query = f"{addresses.prometheus_url}/api/v1/query"

    def scraped() -> bool:
        result = httpx.get(query, params={"query": 'up{job="prometheus"}'}).json()["data"]["result"]
        return [sample["value"][1] for sample in result] == ["1"]

    wait_until(scraped, timeout=20, what="Prometheus scrapes itself")


def _alertmanager(addresses: Addresses) -> None:
    assert httpx.get(f"{addresses.alertmanager_url}/api/v2/alerts").json() == []


def _postgres(addresses: Addresses) -> None:
    import psycopg

    url = addresses.ledger_url.replace("+psycopg", "")
    with psycopg.connect(url) as connection:
        names = {row[0] for row in connection.execute("SELECT datname FROM pg_database")}
        addresses_row = connection.execute("SHOW listen_addresses").fetchone()
    assert {"triune", "mlflow"} <= names
    assert addresses_row == ("127.0.0.1",)
    for stranger in ("postgres:@", "triune:wrong@"):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(f"postgresql://{stranger}{addresses.at('postgres')}/triune")


def _valkey(addresses: Addresses) -> None:
    import redis

    assert addresses.redis_url is not None
    with redis.Redis.from_url(addresses.redis_url) as client:
        client.set("a", "1")
        assert client.get("a") == b"1"
    with (
        redis.Redis(port=addresses.port("valkey")) as stranger,
        pytest.raises(redis.AuthenticationError),
    ):
        stranger.get("a")


def _seaweedfs(addresses: Addresses) -> None:
    import boto3

    s3 = addresses.s3
    assert s3 is not None
    client = boto3.client(
        "s3",
        endpoint_url=s3.url,
        aws_access_key_id=s3.access_key,
        aws_secret_access_key=s3.secret_key,
        region_name=s3.region,
    )
    assert {bucket["Name"] for bucket in client.list_buckets()["Buckets"]} == set(BUCKETS)
    client.put_object(Bucket="triune", Key="a", Body=b"x")
    assert client.get_object(Bucket="triune", Key="a")["Body"].read() == b"x"
    assert httpx.get(f"{s3.url}/triune/a").status_code == 403
    filer = f"http://{addresses.at('seaweedfs.filer')}/buckets/triune/a"
    assert httpx.get(filer).status_code == 401
    assert httpx.put(filer, content=b"y").status_code == 401


def _mlflow(addresses: Addresses) -> None:
    assert addresses.mlflow_ui is not None
    shown = httpx.get(
        f"{addresses.mlflow_ui}/api/2.0/mlflow/experiments/get", params={"experiment_id": "0"}
    )
    assert shown.json()["experiment"]["artifact_location"].startswith("s3://mlflow")


_ENGINES = [
    pytest.param("local", ("envoy",), _envoy, id="envoy"),
    pytest.param("local", ("temporal",), _temporal, id="temporal"),
    pytest.param("local", ("prometheus",), _prometheus, id="prometheus"),
    pytest.param("local", ("alertmanager",), _alertmanager, id="alertmanager"),
    pytest.param("server", ("postgres",), _postgres, id="postgres"),
    pytest.param("server", ("postgres", "valkey"), _valkey, id="valkey"),
    pytest.param("server", ("postgres", "seaweedfs"), _seaweedfs, id="seaweedfs"),
    pytest.param("server", ("postgres", "mlflow"), _mlflow, id="mlflow", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("profile", "names", "answers"), _ENGINES)
def test_it_starts_answers_and_stops(
    make_workspace: MakeWorkspace,
    profile: str,
    names: tuple[str, ...],
    answers: Callable[[Addresses], None],
) -> None:
    workspace = make_workspace(settings=only(*names, profile=profile))
    ctx = Context(workspace)
    up = services.up(ctx)
    if profile == "local" and any(f"{names[0]} is left out" in note for note in up.notes):
        pytest.skip("; ".join(up.notes))
    assert set(up.started) == set(names)
    assert all(status.ready for status in up.statuses)
    answers(ctx.addresses)
    assert {host for host, _ in listening(workspace)} == {"127.0.0.1"}
    assert set(services.down(ctx).stopped) == set(names)
    assert nothing_left(workspace)


def test_no_secret_in_any_argument_or_log_and_every_copy_is_private(
    make_workspace: MakeWorkspace,
) -> None:
    workspace = make_workspace(settings=only("postgres", "valkey", "seaweedfs", profile="server"))
    ctx = Context(workspace)
    services.up(ctx)
    folder = workspace.secrets
    secrets = {f.read_bytes().strip() for f in folder.iterdir() if f.suffix != ".lock"}
    assert len(secrets) >= 8
    arguments = b""
    for process in processes.marked(workspace.marker):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # PostgreSQL's come and go
            arguments += Path(f"/proc/{process.pid}/cmdline").read_bytes()
    logs = b"".join(path.read_bytes() for path in workspace.logs.iterdir())
    assert not [secret for secret in secrets if secret in arguments or secret in logs]
    for path in workspace.home.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # engines come and go with files of theirs
            if path.is_file() and any(secret in path.read_bytes() for secret in secrets):
                assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_what_postgres_has_committed_survives_kill_9(make_workspace: MakeWorkspace) -> None:
    import psycopg

    workspace = make_workspace(settings=only("postgres", profile="server"))
    ctx = Context(workspace)
    services.up(ctx)
    url = ctx.addresses.ledger_url.replace("+psycopg", "")
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept (n int)")
        connection.execute("INSERT INTO kept VALUES (7)")
    before = pid_of(ctx.supervisor, "postgres")
    os.kill(before, signal.SIGKILL)

    def back() -> bool:
        status = status_of(ctx.supervisor, "postgres")
        return status.ready and status.pid != before

    wait_until(back, timeout=30, what="PostgreSQL is back")
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT n FROM kept").fetchone() == (7,)


def test_a_cluster_of_another_version_is_refused(make_workspace: MakeWorkspace) -> None:
    from triune.core.errors import Conflict
    from triune.operations.services.engines import postgres

    workspace = make_workspace(settings=only("postgres", profile="server"))
    data = postgres.place(workspace).data
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("9\n")
    with pytest.raises(Conflict) as caught:
        services.up(Context(workspace))
    assert caught.value.reference == "postgres-version-differs"
    assert nothing_left(workspace) or Context(workspace).supervisor.status() == ()


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root hands PostgreSQL to somebody else")
def test_programs_out_of_nobodys_reach_are_copied_once(
    make_workspace: MakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from triune.operations.services.engines import postgres

    workspace = make_workspace(settings=only("postgres", profile="server"))
    with tempfile.TemporaryDirectory(prefix="triune-system-") as name:
        Path(name).chmod(0o755)
        monkeypatch.setattr(postgres, "SYSTEM_FOLDER", Path(name))
        monkeypatch.setattr(postgres, "reachable", lambda *_: False)
        ctx = Context(workspace)
        services.up(ctx)
        _postgres(ctx.addresses)
        program = Path(f"/proc/{pid_of(ctx.supervisor, 'postgres')}/exe").readlink()
        assert program.is_relative_to(Path(name) / "engines")
        assert program.stat().st_uid == 0
        (cluster,) = (Path(name) / workspace.marker).iterdir()
        assert (cluster / "postgres").stat().st_uid != 0
        services.down(ctx)
        copied = program.stat().st_ctime_ns
        services.up(ctx)
        assert program.stat().st_ctime_ns == copied
        services.down(ctx)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root hands PostgreSQL to somebody else")
def test_a_workspace_whose_state_was_deleted_begins_a_new_cluster(
    make_workspace: MakeWorkspace,
) -> None:
    workspace = make_workspace(settings=only("postgres", profile="server"))
    services.up(Context(workspace))
    services.down(Context(workspace))
    shutil.rmtree(workspace.home)
    ctx = Context(workspace)
    services.up(ctx)
    _postgres(ctx.addresses)
    services.down(ctx)
    clusters = list((Path("/var/lib/triune") / workspace.marker).iterdir())
    assert len(clusters) == 2, "the old cluster is left alone"


def test_reach_is_judged_by_every_folder_on_the_way() -> None:
    from triune.operations.services.engines.unprivileged import Account, reachable

    stranger = Account("stranger", uid=54_321, gid=54_321)
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        program = Path(name) / "a" / "program"
        program.parent.mkdir()
        program.touch(mode=0o755)
        Path(name).chmod(0o755)
        assert reachable(program, stranger)
        program.parent.chmod(0o750)
        assert not reachable(program, stranger)
        assert reachable(program, Account("group", uid=54_321, gid=os.getgid()))
        program.parent.chmod(0o755)
        program.chmod(0o700)
        assert not reachable(program, stranger)
