"""The reference page speaks of every refusal, route, metric and setting."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from tests.support.requests import InProcess
from triune.models.serving.spec import ServingSpec

ROOT = Path(__file__).parent.parent.parent.parent
PAGE = (ROOT / "docs" / "reference" / "serving.md").read_text()
SOURCE = ROOT / "src" / "triune" / "models" / "serving"

_RAISED = re.compile(r"(?:bad_request\(|Fault\(\s*(\d{3}),)\s*\"([a-z0-9-]+)\"")


def test_every_refusal_is_documented_with_its_status() -> None:
    found = {
        (status or "400", reference)
        for path in SOURCE.rglob("*.py")
        for status, reference in _RAISED.findall(path.read_text())
    }
    told = set(re.findall(r"^\| (\d{3}) \| `([a-z0-9-]+)` \|", PAGE, re.MULTILINE))
    assert len(found) > 20
    assert found == told


def test_every_metric_is_documented() -> None:
    text = InProcess().ask("GET", "/metrics").body.decode()
    names = set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))
    assert [name for name in sorted(names) if f"`{name}`" not in PAGE] == []


def test_every_setting_is_documented() -> None:
    assert [f.name for f in fields(ServingSpec) if f"`{f.name}`" not in PAGE] == []
