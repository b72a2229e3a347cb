"""The reference page names every method, and its example runs."""

from __future__ import annotations

import pkgutil
import re
from pathlib import Path

import triune.stats

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "statistics.md").read_text()


def test_every_file_is_named_and_every_named_file_is_there() -> None:
    files = {f"{found.name}.py" for found in pkgutil.iter_modules(triune.stats.__path__)}
    assert set(re.findall(r"`(\w+\.py)`", PAGE)) == files


def test_the_example_runs() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(example, {})
