"""The hash of a function's source: what it sees, also from several threads."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from triune.core.errors import NotFound
from triune.models.training import sources


def write(code: Path, **modules: str) -> None:
    for name, text in modules.items():
        (code / f"{name}.py").write_text(text)


def test_it_sees_the_modules_that_are_imported_and_no_others(tmp_path: Path) -> None:
    write(tmp_path, a="import b\ndef f(): ...\n", b="x = 1\n", c="x = 1\n")
    before = sources.digest("a:f", tmp_path)
    write(tmp_path, c="x = 2\n")
    assert sources.digest("a:f", tmp_path) == before
    write(tmp_path, b="x = 2\n")
    assert sources.digest("a:f", tmp_path) != before


class Yielding:
    """Garbage that lets another thread in when it is collected, also in the middle of parsing."""

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        time.sleep(0)


@pytest.fixture
def _eager_collector() -> Iterator[None]:
    thresholds, interval = gc.get_threshold(), sys.getswitchinterval()
    gc.set_threshold(50)
    sys.setswitchinterval(1e-6)
    yield
    gc.set_threshold(*thresholds)
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("_eager_collector")
def test_several_threads_may_ask_at_once(tmp_path: Path) -> None:
    write(tmp_path, a="def f(a):\n    if a:\n        return [a for a in a]\n" * 300)

    def ask(_: int) -> str:
        Yielding()
        return sources.digest("a:f", tmp_path)

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(ask, range(200)))) == 1


def test_a_module_without_a_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as caught:
        sources.digest("nowhere:f", tmp_path)
    assert caught.value.reference == "entry-point-source"
