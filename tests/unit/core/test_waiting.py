"""Awaiting a condition ends as soon as it holds, and says what it waited for."""

from __future__ import annotations

import pytest

from triune.core.errors import Unavailable
from triune.core.waiting import wait_until


def test_it_ends_when_the_condition_holds() -> None:
    answers = iter([False, False, True])
    assert wait_until(lambda: next(answers), timeout=5, what="the third answer") < 5


def test_it_says_what_did_not_happen() -> None:
    with pytest.raises(Unavailable) as caught:
        wait_until(lambda: False, timeout=0.02, what="a miracle", hint="Pray.")
    assert caught.value.reference == "wait-timed-out"
    assert "a miracle" in caught.value.message
    assert caught.value.hint == "Pray."
