"""Migrations on both databases: up, down, up again, at once from several processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from tests.support.events import made, whole_story
from triune.core.errors import Conflict, Refused
from triune.ledger import maintenance, migrations, schema
from triune.ledger.backends import connect
from triune.ledger.migrations import change
from triune.ledger.runs import IndexedRun
from triune.ledger.service import Ledger

ROOT = Path(__file__).parent.parent.parent.parent


def tables(url: str) -> set[str]:
    engine = sqlalchemy.create_engine(url)
    try:
        return set(sqlalchemy.inspect(engine).get_table_names()) - {"alembic_version"}
    finally:
        engine.dispose()


def open_ledger(url: str, tmp_path: Path) -> Ledger:
    return Ledger.open(url, tmp_path / "journal", workspace="test")


def test_the_revisions_named_in_code_are_the_scripts_there_are() -> None:
    scripts = ScriptDirectory(str(Path(migrations.__file__).parent))
    found = [script.revision for script in scripts.walk_revisions()]
    assert tuple(reversed(found)) == migrations.REVISIONS
    assert scripts.get_current_head() == migrations.HEAD


def test_the_migrations_build_the_schema(url: str) -> None:
    maintenance.upgrade(url)
    engine = sqlalchemy.create_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, schema.metadata) == []
    engine.dispose()


def test_down_and_up_again_keeps_the_events(url: str, tmp_path: Path) -> None:
    ledger = open_ledger(url, tmp_path)
    ledger.record(whole_story())
    before = list(ledger.select())
    ledger.runs.put(IndexedRun("1", "a", "finished", 1))
    ledger.close()
    maintenance.downgrade(url, "0001")
    assert tables(url) == {"events", "edges", "positions"}
    ledger = open_ledger(url, tmp_path)
    assert list(ledger.select()) == before
    assert ledger.runs.search() == []
    ledger.close()


def test_all_the_way_down_leaves_nothing_and_up_works_again(url: str, tmp_path: Path) -> None:
    maintenance.upgrade(url)
    maintenance.downgrade(url, "base")
    assert tables(url) == set()
    assert maintenance.upgrade(url) == (None, migrations.HEAD)
    ledger = open_ledger(url, tmp_path)
    assert ledger.record([made()]) == 1
    ledger.close()


def test_the_plan_says_what_a_downgrade_would_do_and_does_nothing(url: str) -> None:
    maintenance.upgrade(url)
    start, statements = maintenance.plan_downgrade(url, "0001")
    assert start == "0002"
    assert "DROP TABLE run_metrics" in statements
    assert "DROP TABLE events" not in statements
    assert "runs" in tables(url)


def test_an_impossible_downgrade_names_the_possible(url: str) -> None:
    maintenance.upgrade(url)
    with pytest.raises(Refused) as caught:
        maintenance.downgrade(url, "0009")
    assert caught.value.hint == "Possible: base, 0001"


def test_a_failing_migration_changes_nothing(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from alembic import op

    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError("the power is cut here")

    with monkeypatch.context() as patched:
        patched.setattr(op, "drop_table", fail)
        maintenance.upgrade(url)
        with pytest.raises(RuntimeError):
            maintenance.downgrade(url, "base")
        patched.undo()
    assert "events" in tables(url)
    maintenance.downgrade(url, "base")
    with monkeypatch.context() as patched:
        original = op.create_index

        def fail_late(name: str, *args: object, **kwargs: object) -> None:
            if name == "run_params_value":
                fail()
            original(name, *args, **kwargs)  # type: ignore[arg-type]

        patched.setattr(op, "create_index", fail_late)
        with pytest.raises(RuntimeError):
            maintenance.upgrade(url)
    assert tables(url) == set()


def test_a_ledger_of_a_later_version_is_not_touched(url: str, tmp_path: Path) -> None:
    maintenance.upgrade(url)
    database = connect(url)
    database.write(lambda cursor: cursor.execute("UPDATE alembic_version SET version_num = '9999'"))
    database.close()
    with pytest.raises(Conflict) as caught:
        open_ledger(url, tmp_path)
    assert caught.value.reference == "ledger-schema-newer"


def test_several_processes_open_a_new_ledger_at_once(url: str, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from tests.support.events import made\n"
        "from triune.ledger.service import Ledger\n"
        "l = Ledger.open(sys.argv[1], Path(sys.argv[2]), workspace='test')\n"
        "l.record([made()]); l.close()"
    )
    command = [sys.executable, "-c", program, url, str(tmp_path / "journal")]
    processes = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE) for _ in range(5)]
    failures = [p.communicate(timeout=60)[1].decode() for p in processes]
    assert [p.returncode for p in processes] == [0] * 5, failures
    ledger = open_ledger(url, tmp_path)
    assert ledger.count() == 5
    ledger.close()


def test_a_path_with_odd_characters_works(tmp_path: Path) -> None:
    folder = tmp_path / "ä b%20c?d"
    folder.mkdir()
    url = f"sqlite:///{quote(str(folder))}/ledger.db"
    change.upgrade(url)
    ledger = open_ledger(url, tmp_path)
    ledger.record([made()])
    ledger.close()
    assert (folder / "ledger.db").is_file()
