"""A full disk while the ledger is written: said clearly, nothing torn, nothing lost before."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.support.disks import small_disk
from triune.ledger.ports import Query
from triune.ledger.service import Ledger

__all__ = ["small_disk"]

ROOT = Path(__file__).parent.parent.parent.parent

APPEND_UNTIL_FULL = """
    import json, resource, sys
    from pathlib import Path
    from tests.support.events import made
    from triune.core.errors import Unavailable
    from triune.ledger.journal import Journal
    from triune.ledger.service import Ledger
    folder, limit = Path(sys.argv[1]), int(sys.argv[2])
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    accepted, reference = 0, None
    target = {target}
    try:
        for number in range(200_000):
            {write}
            accepted += 1
    except Unavailable as error:
        reference = error.reference
    print(json.dumps([accepted, reference]))
"""
JOURNAL = APPEND_UNTIL_FULL.format(
    target="Journal(folder / 'journal')",
    write="target.append(made(subject=f'run:{number}', payload={'filling': 'x' * 97}))",
)
RECORD = APPEND_UNTIL_FULL.format(
    target="Ledger.open(f'sqlite:///{folder}/ledger.db', folder / 'journal', workspace='test')",
    write="target.record([made(subject=f'run:{number}-{i}') for i in range(10)])",
)


def fill(program: str, folder: Path, limit: int = 0) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(folder), str(limit)],
        check=True,
        capture_output=True,
        cwd=ROOT,
        timeout=120,
    )
    accepted, reference = json.loads(done.stdout)
    return accepted, reference


def test_a_journal_past_its_file_size_keeps_what_it_accepted(tmp_path: Path) -> None:
    accepted, reference = fill(JOURNAL, tmp_path, 100_000)
    assert reference == "ledger-disk-full"
    assert accepted > 100
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db", tmp_path / "journal", workspace="test")
    ledger.flush()
    assert [s.event.subject for s in ledger.select()] == [f"run:{n}" for n in range(accepted)]
    ledger.close()
    assert list((tmp_path / "journal").glob("*.damaged")) == []


def test_a_database_past_its_file_size_keeps_whole_batches(tmp_path: Path) -> None:
    accepted, reference = fill(RECORD, tmp_path, 400_000)
    assert reference == "ledger-disk-full"
    assert accepted > 10
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db", tmp_path / "journal", workspace="test")
    assert ledger.count() == accepted * 10
    assert ledger.count(Query(subject=f"run:{accepted}-0")) == 0
    ledger.close()


@pytest.mark.root
@pytest.mark.parametrize("program", [JOURNAL, RECORD], ids=["append", "record"])
def test_a_full_disk_is_named_and_keeps_what_was_accepted(small_disk: Path, program: str) -> None:
    accepted, reference = fill(program, small_disk)
    assert reference == "ledger-disk-full"
    assert accepted > 50
    aside = small_disk.parent / "aside"
    subprocess.run(["cp", "-r", str(small_disk), str(aside)], check=True)
    ledger = Ledger.open(f"sqlite:///{aside}/ledger.db", aside / "journal", workspace="test")
    ledger.flush()
    per_batch = 10 if program is RECORD else 1
    assert ledger.count() == accepted * per_batch
    ledger.close()
    assert list((aside / "journal").glob("*.damaged")) == []
