"""`verify` finds what is wrong and nothing else; `info` counts."""

from __future__ import annotations

from pathlib import Path

from tests.support.events import made, whole_story
from triune.ledger import maintenance
from triune.ledger.frames import frame
from triune.ledger.journal import encode
from triune.ledger.service import Ledger


def findings(url: str, journal: Path) -> list[str]:
    return [f"{one.where} {one.what}" for one in maintenance.verify(url, journal)]


def filled(url: str, tmp_path: Path) -> Ledger:
    ledger = Ledger.open(url, tmp_path / "journal", workspace="test")
    ledger.record(whole_story())
    return ledger


def test_a_sound_ledger_has_no_findings(url: str, tmp_path: Path) -> None:
    ledger = filled(url, tmp_path)
    assert findings(url, tmp_path / "journal") == []
    found = maintenance.info(url, tmp_path / "journal")
    assert (found.events, found.edges, found.runs) == (9, 11, 0)
    assert found.revision == found.head
    assert found.size > 0
    ledger.close()


def test_what_is_missing_or_too_much_in_the_tables_is_found(url: str, tmp_path: Path) -> None:
    ledger = filled(url, tmp_path)
    ledger.database.write(
        lambda cursor: [
            cursor.execute("DELETE FROM edges WHERE child = 'model:delay@1'"),
            cursor.execute("INSERT INTO edges VALUES ('model:forged@1', 'run:x', 'run')"),
            cursor.execute("UPDATE events SET kind = 'odd.kind' WHERE kind = 'commit.recorded'"),
        ]
    )
    found = " / ".join(findings(url, tmp_path / "journal"))
    assert "its edge model:delay@1 -> run:0192aaaa" in found
    assert "model:forged@1 has an edge" in found
    assert "unknown kind 'odd.kind'" in found
    ledger.close()


def test_an_event_that_cannot_be_read_is_found(url: str, tmp_path: Path) -> None:
    ledger = filled(url, tmp_path)
    ledger.database.write(
        lambda cursor: cursor.execute("UPDATE events SET payload = '{' WHERE sequence = 2")
    )
    assert any("cannot be read" in one for one in findings(url, tmp_path / "journal"))
    ledger.close()


def test_damage_in_the_journal_is_found_before_and_after_the_drain(tmp_path: Path) -> None:
    url, journal = f"sqlite:///{tmp_path}/l.db", tmp_path / "journal"
    maintenance.upgrade(url)
    journal.mkdir()
    frames = [bytearray(frame(encode(made(subject=f"run:{n}")))) for n in range(3)]
    frames[1][-1] ^= 1
    (journal / "dead.segment").write_bytes(b"".join(frames))
    assert any("hold no frame" in one for one in findings(url, journal))
    ledger = Ledger.open(url, journal, workspace="test")
    ledger.flush()
    assert ledger.count() == 2
    ledger.close()
    assert [one.partition(" ")[0] for one in findings(url, journal)] == ["dead.damaged"]
    assert maintenance.info(url, journal).damaged == ("dead.damaged",)


def test_a_ledger_that_was_never_made_is_empty(url: str, tmp_path: Path) -> None:
    found = maintenance.info(url, tmp_path)
    assert (found.revision, found.events) == (None, 0)
