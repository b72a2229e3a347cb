"""Shares, times and e-values as people read them; rates as they write them."""

from __future__ import annotations

import pytest
import typer

from triune.cli.rollout_plan import rate, rates
from triune.cli.rollout_words import evidence, percent, sentence
from triune.core.spans import span


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0, "0 s"),
        (1.25, "1.2 s"),
        (45.0, "45 s"),
        (119.0, "119 s"),
        (300.0, "5 min"),
        (530.0, "8.8 min"),
        (86_400.0, "24 h"),
        (259_200.0, "3 d"),
        (None, "for ever"),
    ],
)
def test_a_length_of_time_has_a_fitting_unit(seconds: float | None, shown: str) -> None:
    assert span(seconds) == shown


@pytest.mark.parametrize(
    ("share", "shown"), [(0.0, "0 %"), (0.01, "1 %"), (0.012757, "1.28 %"), (1.0, "100 %")]
)
def test_a_share_is_shown_in_percent(share: float, shown: str) -> None:
    assert percent(share) == shown


def test_what_is_not_known_is_empty() -> None:
    assert (percent(None), evidence(None)) == ("", "")


@pytest.mark.parametrize(
    ("e", "shown"),
    [(0.0, "0"), (0.4123, "0.412"), (99.96, "100"), (1234.5, "1234"), (3.2e9, "3e+09")],
)
def test_an_e_value_is_short_however_large(e: float, shown: str) -> None:
    assert evidence(e) == shown


def test_words_become_a_sentence_once() -> None:
    assert sentence("nothing moves") == "Nothing moves."
    assert sentence("Nothing moves.") == "Nothing moves."


@pytest.mark.parametrize("text", ["1%", "1 %", " 1% ", "0.01", ".01", "1e-2"])
def test_a_rate_is_written_in_percent_or_as_a_share(text: str) -> None:
    assert rate(text, "--from") == pytest.approx(0.01)


def test_no_rate_is_none() -> None:
    assert rates("", "") == (None, None)


@pytest.mark.parametrize("text", ["5", "0", "100%", "-1%", "one", "1%2", "nan", "1 percent"])
def test_what_is_no_rate_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"write 1% or 0\.01"):
        rate(text, "--from")


def test_a_regression_rises() -> None:
    assert rates("1%", "0.02") == (pytest.approx(0.01), pytest.approx(0.02))
    with pytest.raises(typer.BadParameter, match="2% is not above 2 %"):
        rates("2 %", "2%")
