"""Backups by real restic: a consistent point under writing, proven by restoring it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.support.services import MakeWorkspace, make_workspace, only
from triune.app import backups, services
from triune.app.context import Context
from triune.core.errors import Conflict, NotFound, Refused
from triune.core.waiting import wait_until
from triune.core.workspace import Workspace
from triune.data.backups import staging
from triune.data.backups.model import TREE
from triune.ledger.envelope import event
from triune.ledger.ports import Query
from triune.operations.services.engines import s3_buckets

__all__ = ["make_workspace"]

TOML = '\n[datasets.sales]\npath = "data/sales"\n[backup]\n'

pytestmark = [pytest.mark.engine, pytest.mark.slow]


def begin(workspace: Workspace, *, start: bool = False) -> Context:
    folder = workspace.root / "data" / "sales"
    folder.mkdir(parents=True)
    (folder / "a.csv").write_text("x\n1\n")
    (folder / "b.bin").write_bytes(os.urandom(300_000))
    (workspace.root / "data" / "link").symlink_to("sales/a.csv")
    context = Context(workspace)
    if start:
        services.up(context)
    context.data.add("sales")
    return context


@pytest.fixture
def context(make_workspace: MakeWorkspace) -> Iterator[Context]:
    made = begin(make_workspace(settings=only() + TOML))
    yield made
    made.close()


def test_a_backup_counts_once_it_has_been_drilled(context: Context, tmp_path: Path) -> None:
    made = context.backups.run()
    assert [one.verdict for one in context.backups.all()] == [""]
    proof = context.backups.drill()
    assert (proof.verdict, proof.id, proof.problems) == ("pass", made.id, ())
    assert set(proof.seconds) == {"restore", "start", "verify"}
    assert [one.verdict for one in context.backups.all()] == ["pass"]
    assert not list(context.workspace.home.glob("backup-drill*"))

    into = tmp_path / "restored"
    manifest = context.backups.restore(into)
    inside = {name: digest for name, digest in manifest.files.items() if name.startswith(TREE)}
    assert {f"{TREE}/{n}": d for n, d in staging.hashes(into).items()} == inside
    assert (into / "data" / "link").readlink() == Path("sales/a.csv")
    restored = Context(Workspace(into))
    assert restored.ledger.lineage(manifest.artifact).complete
    assert restored.data.status("sales").state.value == "current"
    restored.close()
    with pytest.raises(Conflict) as caught:
        context.backups.restore(into)
    assert caught.value.reference == "folder-not-empty"
    kinds = {stored.event.kind for stored in context.ledger.select(Query())}
    assert {"backup.made", "backup.drilled", "backup.restored"} <= kinds
    assert context.ledger.coverage().share == 1.0


def test_a_flipped_bit_in_the_repository_is_found(context: Context) -> None:
    context.backups.run()
    assert context.backups.check().verdict == "pass"
    packs = [p for p in (context.workspace.home / "backups" / "data").rglob("*") if p.is_file()]
    pack = max(packs, key=lambda path: path.stat().st_size)
    raw = bytearray(pack.read_bytes())
    raw[len(raw) // 2] ^= 1
    pack.chmod(0o600)
    pack.write_bytes(raw)
    found = context.backups.check()
    assert found.verdict == "fail"
    assert found.problems
    drilled = context.backups.drill()
    assert drilled.verdict == "fail"
    failed = [s.event.payload for s in context.ledger.select(Query(kind="backup.failed"))]
    assert [one["what"] for one in failed] == ["check", "drill"]


def test_a_backup_under_heavy_writing_is_one_consistent_point(context: Context) -> None:
    stop = threading.Event()
    folder = context.workspace.root / "data" / "sales"

    def write() -> None:
        own = Context(context.workspace)
        number = 0
        while not stop.is_set():
            number += 1
            own.ledger.record(
                [event("service.started", f"service:s{number}", workspace="x", payload={})] * 1
            )
            if number % 20 == 0:
                (folder / "a.csv").write_text(f"x\n{number}\n")
                own.data.add("sales")
        own.close()

    writers = [threading.Thread(target=write)]
    for writer in writers:
        writer.start()
    try:
        wait_until(lambda: context.ledger.count(Query()) > 40, timeout=60, what="writing")
        context.backups.run()
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    proof = context.backups.drill()
    assert proof.verdict == "pass", proof.problems


def test_what_people_do_wrong_has_an_answer(context: Context, tmp_path: Path) -> None:
    with pytest.raises(NotFound) as missing:
        context.backups.all()
    assert missing.value.reference == "backup-repository-missing"
    context.backups.run()
    with pytest.raises(NotFound) as unknown:
        context.backups.find("zz")
    assert unknown.value.reference == "backup-unknown"
    secret = context.workspace.secrets / "backup"
    right = secret.read_text()
    secret.write_text("wrong")
    with pytest.raises(Refused) as wrong:
        context.backups.run()
    assert wrong.value.reference == "backup-password-wrong"
    assert right not in json.dumps(wrong.value.as_dict())
    secret.write_text(right)
    assert context.backups.prune(dry_run=True) == []


def test_killed_in_the_middle_the_next_one_goes_on(context: Context) -> None:
    big = context.workspace.root / "data" / "big.bin"
    big.write_bytes(os.urandom(40_000_000))
    command = [sys.executable, "-m", "triune.cli.main", "backup", "run", "--json"]
    for place in ("backup-staging", "backups/locks/*"):
        child = subprocess.Popen(command, cwd=context.workspace.root, stdout=subprocess.DEVNULL)
        wait_until(
            lambda: bool(list(context.workspace.home.glob(place))) or child.poll() is not None,  # noqa: B023
            timeout=60,
            what=place,
        )
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    context.backups.run()
    assert context.backups.check().verdict == "pass"
    assert context.backups.drill().verdict == "pass"
    assert not list(context.workspace.home.glob("backup-staging"))


def test_on_postgresql_and_the_object_store(make_workspace: MakeWorkspace, tmp_path: Path) -> None:
    workspace = make_workspace(settings=only("postgres", "seaweedfs", profile="server") + TOML)
    first = Context(workspace)
    services.up(first)
    context = begin(workspace)
    into = tmp_path / "restored"
    try:
        context.backups.run()
        proof = context.backups.drill()
        assert proof.verdict == "pass", proof.problems
        assert proof.facts["events"] >= 1
        manifest = context.backups.restore(into)
        assert {"triune", "mlflow", "feast"} <= set(manifest.rows)
    finally:
        context.close()
        first.close()
        services.down(Context(workspace))
    restored = Context(Workspace(into))
    try:
        services.up(restored)
        shutil.rmtree(into / "data" / "sales")
        shutil.rmtree(into / ".dvc" / "cache", ignore_errors=True)
        version = restored.data.find("sales")
        restored.data.restore(version, force=True)  # from the restored bucket alone
        assert restored.data.status("sales").state.value == "current"
        assert restored.ledger.lineage(version.ref).complete
    finally:
        services.down(restored)
        restored.close()
        from triune.operations.services.engines.postgres import SYSTEM_FOLDER

        shutil.rmtree(SYSTEM_FOLDER / restored.workspace.marker, ignore_errors=True)


def test_what_is_deleted_or_overwritten_in_a_locked_repository_comes_back(
    make_workspace: MakeWorkspace, tmp_path: Path
) -> None:
    settings = only("postgres", "seaweedfs", profile="server") + TOML + "locked_days = 1\n"
    context = begin(make_workspace(settings=settings), start=True)
    try:
        context.backups.run()
        repository = backups.repository_of(context)
        assert context.addresses.s3 is not None
        client = s3_buckets.client(context.addresses.s3)
        bucket = repository.url.split("/")[3]
        where = {"Bucket": bucket}
        keys = [
            one["Key"]
            for page in client.get_paginator("list_objects_v2").paginate(**where)
            for one in page["Contents"]
            if "/locks/" not in one["Key"]
        ]
        (version, *_) = client.list_object_versions(**where, Prefix=keys[0])["Versions"]
        with pytest.raises(ClientError, match="AccessDenied"):
            client.delete_object(**where, Key=keys[0], VersionId=version["VersionId"])
        pack = next(key for key in keys if "/data/" in key)
        for key in keys:
            client.delete_object(**where, Key=key)
        client.put_object(**where, Key=pack, Body=b"ransom")
        with pytest.raises(NotFound):
            context.backups.find()
        assert set(context.backups.recover(dry_run=True)) == set(keys)
        assert set(context.backups.recover()) == set(keys)
        assert context.backups.recover() == []
        shutil.rmtree(context.workspace.home / "backup-cache")
        assert context.backups.check().verdict == "pass"
        assert context.backups.restore(tmp_path / "restored").files
    finally:
        services.down(context)
        context.close()


def test_only_an_s3_repository_of_its_own_bucket_can_be_locked(
    make_workspace: MakeWorkspace,
) -> None:
    context = begin(make_workspace(settings=only() + TOML + "locked_days = 1\n"))
    with pytest.raises(Refused) as caught:
        context.backups.run()
    assert caught.value.reference == "backup-bucket-unlocked"
    context.close()


def test_a_repository_that_is_not_locked_keeps_nothing_to_bring_back(context: Context) -> None:
    with pytest.raises(Refused) as caught:
        context.backups.recover()
    assert caught.value.reference == "backup-not-locked"
