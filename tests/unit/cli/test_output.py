"""Tables and facts: whole in a pipe, fitted to a terminal, a sentence when there is nothing."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from triune.cli import output
from triune.cli.layout import fit

REF = "release:flights-delay@0a0f44444933"
LONG = "word " * 60


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.parametrize("available", [30, 60, 80, 120])
def test_a_fitted_table_is_no_wider_than_the_window(available: int) -> None:
    widths = fit([20, 7, 300, 19, 40], [3, 5, 4, 7, 3], available)
    assert sum(widths.values()) + 2 * (len(widths) - 1) <= available
    assert widths[0] == 20


def test_columns_are_cut_before_they_are_left_out() -> None:
    assert fit([10, 300], [4, 4], 60) == {0: 10, 1: 48}
    assert fit([10, 300], [4, 4], 31) == {0: 10}


def test_the_columns_named_go_first_then_those_from_the_right() -> None:
    natural, headers = [20, 15, 15, 15], [4, 4, 4, 4]
    assert list(fit(natural, headers, 60, first_out=[1])) == [0, 2, 3]
    assert list(fit(natural, headers, 40, first_out=[1])) == [0, 2]


def test_kept_columns_stay_whole_in_a_window_too_narrow_for_them() -> None:
    assert fit([47, 47, 9], [1, 1, 1], 80, keep=2) == {0: 47, 1: 47}


@pytest.mark.usefixtures("terminal")
def test_in_a_terminal_long_cells_are_cut_and_columns_left_out_are_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    row = (REF, "[shown as it is]", LONG, "user:somebody")
    output.print_table(("release", "tag", "what", "by"), [row], first_out=("by",))
    out = capsys.readouterr().out
    table, _, note = out.partition("not shown: ")
    assert REF in table
    assert "[shown as it is]" in table
    assert "user:somebody" not in table
    assert note.startswith("by")
    assert all(len(line) <= 80 for line in table.splitlines())


@pytest.mark.usefixtures("terminal")
def test_facts_are_wrapped_between_words_only(capsys: pytest.CaptureFixture[str]) -> None:
    digest = "sha256:" + "a" * 64
    output.print_facts([("digest", digest), ("description", LONG), ("none", None)], title="model")
    lines = capsys.readouterr().out.splitlines()
    assert "model" in lines[0]
    assert lines[1] == f"digest       {digest}"
    assert all(len(line) <= 80 for line in lines[2:])
    assert " ".join(" ".join(lines[2:]).split()).count("word") == 60


def test_in_a_pipe_every_cell_is_whole_on_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    output.print_table(("release", "what"), [(REF, LONG.strip())], wrap=True)
    output.print_facts([("description", LONG.strip())])
    _, row, facts = capsys.readouterr().out.splitlines()
    assert LONG.strip() in row
    assert LONG.strip() in facts


def test_no_rows_are_a_sentence_and_no_names_no_header(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(("a", "b"), [], empty="none yet; `triune x` makes one")
    assert capsys.readouterr().out == "none yet; `triune x` makes one\n"
    output.print_table(("", ""), [("name", "value")])
    assert capsys.readouterr().out.split() == ["name", "value"]


def test_moments_sizes_and_counts_as_people_read_them() -> None:
    moment = datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert output.when(moment) == output.when(int(moment.timestamp() * 1e6))
    assert output.when(moment) == moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    assert [output.size(n) for n in (0, 999, 1500, 2_500_000, 3_000_000_000)] == [
        "0 B", "999 B", "1.5 kB", "2.5 MB", "3.0 GB",
    ]  # fmt: skip
    assert [output.many(n, "run") for n in (0, 1, 2)] == ["0 runs", "1 run", "2 runs"]
