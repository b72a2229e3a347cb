"""The use cases of backups: run, list, check, restore, drill."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from triune.core.backup_config import BackupTable
from triune.core.errors import Conflict, NotFound, Refused, TriuneError
from triune.core.files import locked, own_folder, read_json, write_json
from triune.core.workspace import Workspace
from triune.data.backups import events, staging
from triune.data.backups.model import DUMPS, MANIFEST, OBJECTS, TREE, Backup, Manifest, Proof
from triune.data.backups.ports import Log, Progress, Servers, Snapshots, WriteOnce
from triune.ledger.ports import Query


def _silent(_: str) -> None:
    """Progress that nobody watches."""


class Backups:
    """The backups of one workspace. One of them runs at a time (``already-running``)."""

    def __init__(
        self,
        workspace: Workspace,
        log: Log,
        snapshots: Snapshots,
        servers: Servers,
        vault: WriteOnce | None = None,
    ) -> None:
        self._workspace = workspace
        self._log = log
        self._snapshots = snapshots
        self._servers = servers
        self._vault = vault

    @property
    def table(self) -> BackupTable:
        """``[backup]``, or its defaults."""
        return self._workspace.config.backup or BackupTable()

    def init(self) -> bool:
        """Make the repository where it is missing; returns whether it was made.

        Raises
        ------
        Refused: (``backup-bucket-unlocked``) its bucket cannot be locked as ``locked_days`` asks.
        """
        if self._vault is not None:
            self._vault.ensure()
        return self._snapshots.init()

    def recover(self, *, dry_run: bool = False, actor: str | None = None) -> list[str]:
        """Bring back what was deleted or overwritten in a locked repository; the names of it.

        Backups that the retention had dropped come back as well, as nobody can tell one deletion
        from the other; the next `prune` drops them again.

        Raises
        ------
        Refused: (``backup-not-locked``) the repository is in no locked bucket.
        """
        if self._vault is None:
            raise Refused(
                "backup-not-locked",
                "the repository keeps nothing that was deleted",
                hint="Set `locked_days` in [backup], with an S3 repository, for those to come.",
            )
        found = self._vault.recover(dry_run=dry_run)
        if found and not dry_run:
            self._tell(events.RECOVERED, "", {"objects": len(found)}, actor)
        return found

    def run(self, *, actor: str | None = None, on_progress: Progress = _silent) -> Backup:
        """Make a backup of one consistent point, then drop what the retention does not keep.

        Whatever is killed, the repository stays whole, and the next run begins anew.

        Raises
        ------
        Conflict: ``already-running``, ``backup-repository-locked``.
        Refused: ``backup-password-wrong``.
        Unavailable: ``backup-repository-unreachable``, ``disk-full``.
        TriuneError: (``backup-failed``); every failure is an event as well.
        """
        with self._alone(), self._told("run", actor):
            self.init()
            self._snapshots.unlock()
            with self._folder("backup-staging") as place:
                manifest = self._stage(place, on_progress)
                on_progress("taking it in")
                identifier, added = self._snapshots.save(place, ("triune",), on_progress)
            size = sum(1 for _ in manifest.files)
            made = Backup(identifier[:8], manifest.moment, size, added)
            self._tell(
                events.MADE,
                made.id,
                {"at": manifest.at, "files": size, "added_bytes": added,
                 "events": manifest.events, "last_event": manifest.last_event},
                actor,
            )  # fmt: skip
            self.prune(on_progress=on_progress)
        return made

    def _stage(self, place: Path, on_progress: Progress) -> Manifest:
        root = self._workspace.root.resolve()
        last, artifact = self._point()
        on_progress("copying databases")
        databases = self._servers.databases(root)
        rows = databases.dump(place / DUMPS) if databases is not None else {}
        on_progress("copying the workspace")
        rows |= staging.tree(root, place, self.table.exclude)
        objects = self._servers.objects(root)
        if objects is not None:
            on_progress("copying objects")
            objects.copy(place / OBJECTS, on_progress)
        on_progress("hashing")
        manifest = Manifest(
            workspace=self._workspace.name,
            profile="server" if databases is not None else "local",
            at=datetime.now(UTC).isoformat(),
            version=version("triune"),
            files=staging.hashes(place),
            rows=rows,
            events=next((tables["events"] for tables in rows.values() if "events" in tables), 0),
            last_event=last,
            artifact=artifact,
        )
        write_json(place / MANIFEST, _plain(manifest))
        return manifest

    def _point(self) -> tuple[str, str]:
        """The newest event of the ledger and the newest artifact in it, before it is copied."""
        newest = next(iter(self._log.select(Query(newest_first=True, limit=1))), None)
        last = newest.event.id if newest is not None else ""
        for kind in ("release.created", "model.registered", "dataset.versioned"):
            for stored in self._log.select(Query(kind=kind, newest_first=True, limit=1)):
                return last, stored.event.subject
        return last, ""

    def all(self) -> list[Backup]:
        """Every backup in the repository, the newest first, with what its drills said.

        Raises
        ------
        NotFound: ``backup-repository-missing``.
        """
        made = {
            s.event.subject.partition(":")[2]: s.event.payload
            for s in self._log.select(Query(kind=events.MADE))
        }
        drilled = {
            s.event.subject.partition(":")[2]: s.event
            for s in self._log.select(Query(kind=events.DRILLED))
        }
        found = []
        for identifier, at, _ in reversed(self._snapshots.all()):
            payload, drill = made.get(identifier, {}), drilled.get(identifier)
            found.append(
                Backup(
                    identifier,
                    at,
                    int(payload.get("files", 0)),
                    int(payload.get("added_bytes", 0)),
                    str(drill.payload["verdict"]) if drill else "",
                    drill.at if drill else None,
                )
            )
        return found

    def prune(self, *, dry_run: bool = False, on_progress: Progress = _silent) -> list[str]:
        """Drop backups that the retention does not keep; the last that passed a drill stays."""
        table = self.table
        keep = {
            "hourly": table.hourly,
            "daily": table.daily,
            "weekly": table.weekly,
            "monthly": table.monthly,
        }
        proven = [one.id for one in self.all() if one.verdict == "pass"]
        on_progress("dropping what the retention does not keep")
        return self._snapshots.forget(keep, proven[:1], dry_run=dry_run)

    def check(self, *, actor: str | None = None, on_progress: Progress = _silent) -> Proof:
        """Read every byte of the repository and hold it against its hashes."""
        begin = time.monotonic()
        with self._told("check", actor):
            problems = tuple(self._snapshots.check(on_progress))
        verdict = "fail" if problems else "pass"
        words = problems[0] if problems else "every byte is as it was written"
        seconds = {"check": round(time.monotonic() - begin, 3)}
        self._tell(
            events.FAILED if problems else events.CHECKED,
            "",
            {"verdict": verdict, "what": "check", "words": words, "problems": list(problems[:20])},
            actor,
        )
        return Proof("", verdict, words, seconds, problems)

    def find(self, identifier: str = "") -> str:
        """A backup's id by its beginning; the newest for an empty one.

        Raises
        ------
        NotFound: (``backup-unknown``).
        """
        known = [one for one, _, _ in self._snapshots.all()]
        matching = [one for one in known if one.startswith(identifier)]
        if not matching:
            raise NotFound(
                "backup-unknown",
                f"there is no backup {identifier!r}" if identifier else "there is no backup yet",
                hint=f"Known: {', '.join(known) or 'none'}; `triune backup run` makes one.",
            )
        return matching[-1]

    def restore(
        self,
        folder: Path,
        identifier: str = "",
        *,
        actor: str | None = None,
        on_progress: Progress = _silent,
    ) -> Manifest:
        """Write a backup into an empty or absent folder, with its databases and objects filled.

        Every file is hashed before the folder gets its name: it is whole or not there.

        Raises
        ------
        Conflict: (``folder-not-empty``).
        Refused: (``backup-damaged``) naming each file whose bytes differ.
        NotFound: ``backup-unknown``.
        """
        _require_empty(folder)
        wanted = self.find(identifier)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with self._told("restore", actor):
            place = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
            try:
                manifest = self._bring(wanted, place, on_progress)
                if folder.exists():
                    folder.rmdir()
                (place / TREE).rename(folder)
                self._fill(folder, place, manifest, on_progress)
            finally:
                shutil.rmtree(place, ignore_errors=True)
        payload = {"folder": str(folder), "files": len(manifest.files), "at": manifest.at}
        self._tell(events.RESTORED, wanted, payload, actor)
        return manifest

    def _bring(self, identifier: str, place: Path, on_progress: Progress) -> Manifest:
        """Restore a backup's files and hold each against the manifest."""
        self._snapshots.restore(identifier, place, on_progress)
        table = read_json(place / MANIFEST)
        if table is None:
            raise _damaged(identifier, [f"{MANIFEST} is missing"])
        manifest = Manifest(**table)
        on_progress("hashing")
        found = staging.hashes(place)
        found.pop(MANIFEST, None)
        wrong = [n for n, digest in manifest.files.items() if found.get(n) != digest]
        wrong += [name for name in found if name not in manifest.files]
        if wrong:
            raise _damaged(identifier, wrong)
        return manifest

    def _fill(self, folder: Path, place: Path, manifest: Manifest, on_progress: Progress) -> None:
        """Fill the servers' databases and buckets of a restored workspace."""
        if manifest.profile != "server":
            return
        on_progress("starting its servers")
        self._servers.start(folder)
        try:
            on_progress("filling databases and buckets")
            databases = self._servers.databases(folder)
            objects = self._servers.objects(folder)
            if databases is not None:
                databases.load(place / DUMPS)
            if objects is not None:
                objects.put(place / OBJECTS)
        finally:
            self._servers.stop(folder)

    def drill(
        self, identifier: str = "", *, actor: str | None = None, on_progress: Progress = _silent
    ) -> Proof:
        """Restore a backup beside the workspace, start its servers there, and hold files, rows,
        events and one lineage against the manifest. Nothing of it is left afterwards.

        Only a backup that passed counts.

        Raises
        ------
        NotFound: ``backup-unknown``, ``backup-repository-missing``.
        """
        wanted = self.find(identifier)
        seconds: dict[str, float] = {}
        problems: list[str] = []
        facts: dict[str, Any] = {}
        with self._alone(), self._folder("backup-drill") as place:
            try:
                facts = self._drilled(wanted, place, seconds, problems, on_progress)
            except TriuneError as error:
                problems.append(f"{error.reference}: {error.message}")
        verdict = "fail" if problems else "pass"
        words = (
            problems[0]
            if problems
            else (
                f"{facts['files']} files, {facts['rows']} rows, {facts['events']} events as they "
                f"were; {facts['artifact'] or 'nothing'} traced"
            )
        )
        told = {"verdict": verdict, "words": words, "seconds": seconds,
                "problems": problems[:20], **facts}  # fmt: skip
        self._tell(events.DRILLED, wanted, told, actor)
        if problems:
            self._tell(events.FAILED, wanted, {"what": "drill", "words": words}, actor)
        return Proof(wanted, verdict, words, seconds, tuple(problems), facts)

    def _drilled(
        self,
        wanted: str,
        place: Path,
        seconds: dict[str, float],
        problems: list[str],
        on_progress: Progress,
    ) -> dict[str, Any]:
        with _timed(seconds, "restore"):
            manifest = self._bring(wanted, place, on_progress)
        root = place / TREE
        (root / ".triune" / "state" / "ports.json").unlink(missing_ok=True)
        server = manifest.profile == "server"
        try:
            with _timed(seconds, "start"):
                on_progress("starting its servers")
                self._servers.start(root)
                databases = self._servers.databases(root) if server else None
                objects = self._servers.objects(root) if server else None
                if databases is not None:
                    databases.load(place / DUMPS)
                if objects is not None:
                    objects.put(place / OBJECTS)
            with _timed(seconds, "verify"):
                on_progress("verifying rows, events and a lineage")
                rows = _file_rows(root, manifest.rows)
                if databases is not None:
                    rows |= databases.rows()
                problems += _differing(manifest.rows, rows)
                found = self._servers.examine(root, manifest)
        finally:
            self._servers.stop(root)
        problems += [f"gap: {gap}" for gap in found["gaps"]]
        if found["events"] < manifest.events:
            problems.append(f"{found['events']} events of {manifest.events}")
        age = datetime.now(UTC) - manifest.moment
        return {
            "files": len(manifest.files),
            "rows": sum(count for table in rows.values() for count in table.values()),
            "events": found["events"],
            "artifact": manifest.artifact,
            "age_seconds": round(age.total_seconds(), 1),
        }

    def unlock(self) -> None:
        """Remove locks of the repository whose holder is dead."""
        self._snapshots.unlock()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with locked(self._workspace.state / "backup.lock", wait=False):
            yield

    @contextmanager
    def _folder(self, name: str) -> Iterator[Path]:
        """A private folder, empty, and gone at the end; what a killed one left goes first."""
        place = self._workspace.home.resolve() / name
        shutil.rmtree(place, ignore_errors=True)
        own_folder(place)
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)

    @contextmanager
    def _told(self, what: str, actor: str | None) -> Iterator[None]:
        """A failure is an event, so that it is seen; then it goes on as it was."""
        try:
            yield
        except TriuneError as error:
            if error.reference != "already-running":
                payload = {"what": what, "reference": error.reference, "words": error.message}
                self._tell(events.FAILED, "", payload, actor)
            raise

    def _tell(
        self, kind: str, identifier: str, payload: Mapping[str, Any], actor: str | None
    ) -> None:
        self._log.record(
            [events.told(kind, identifier, payload, workspace=self._workspace.name, actor=actor)]
        )


def _require_empty(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Conflict(
            "folder-not-empty",
            "a backup is restored into an empty folder",
            context=str(folder),
            hint="Name another folder, or remove what lies there.",
        )


def _damaged(identifier: str, wrong: list[str]) -> Refused:
    shown = ", ".join(wrong[:5]) + (f" and {len(wrong) - 5} more" if len(wrong) > 5 else "")
    return Refused(
        "backup-damaged",
        f"backup {identifier} is not what was saved: {shown}",
        hint="`triune backup check` looks through the repository; restore an older backup.",
    )


def _file_rows(root: Path, wanted: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    import sqlite3
    from contextlib import closing

    found = {}
    for name in wanted:
        path = root / name
        if path.is_file():
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
                found[name] = staging.counted(connection)
    return found


def _differing(
    wanted: Mapping[str, Mapping[str, int]], found: Mapping[str, Mapping[str, int]]
) -> list[str]:
    return [
        f"{name}.{table}: {found.get(name, {}).get(table)} rows of {count}"
        for name, tables in wanted.items()
        for table, count in tables.items()
        if found.get(name, {}).get(table) != count
    ]


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    begin = time.monotonic()
    try:
        yield
    finally:
        seconds[name] = round(time.monotonic() - begin, 3)


def _plain(manifest: Manifest) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(manifest)
