"""The hash of a function's source: what it sees, also from several threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from triune.core.errors import NotFound
from triune.models.training import sources

NESTED = "x = " + "(" * 60 + "1" + ")" * 60 + "\n"


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


def test_several_threads_may_ask_at_once(tmp_path: Path) -> None:
    body = "import b\n" + "def f(a):\n    if a:\n        return [a for a in a]\n" * 300
    write(tmp_path, a=body + NESTED, b=body + NESTED)
    with ThreadPoolExecutor(4) as pool:
        digests = list(pool.map(lambda _: sources.digest("a:f", tmp_path), range(200)))
    assert len(set(digests)) == 1


def test_a_module_without_a_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as caught:
        sources.digest("nowhere:f", tmp_path)
    assert caught.value.reference == "entry-point-source"
