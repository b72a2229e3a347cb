"""The pages on delivery say what the code does."""

from __future__ import annotations

from pathlib import Path

from triune.delivery import guard, smoke
from triune.delivery.gateway.backends import envoy_bootstrap
from triune.delivery.ingest import ROTATE_BYTES
from triune.delivery.moves import WARM_REQUESTS
from triune.delivery.state import SENTENCES

REFERENCE = Path(__file__).parent.parent.parent.parent / "docs" / "reference"


def test_every_phase_is_on_the_page_with_its_sentence() -> None:
    page = (REFERENCE / "delivery.md").read_text()
    for phase, sentence in SENTENCES.items():
        assert f"| `{phase.value}` | {sentence} |" in page


def test_every_smoke_test_and_figure_is_on_the_page() -> None:
    page = (REFERENCE / "delivery.md").read_text()
    for test in smoke.generic(latency_ms=1):
        assert f"| `{test.name}` |" in page
    assert f"{WARM_REQUESTS} example requests" in page
    assert f"{smoke.LATENCY_REQUESTS} one-row requests" in page
    assert f"{guard.HEALTH_TIMEOUT_SECONDS} seconds are a failure" in page
    assert (guard.ERROR_SHARE, guard.ERROR_MINIMUM) == (0.5, 10)


def test_every_answer_of_the_gateway_is_on_the_page() -> None:
    page = (REFERENCE / "gateway.md").read_text()
    for status, (reference, _) in envoy_bootstrap._OWN_ANSWERS.items():
        assert f"| `{reference}` | {status} |" in page
    assert f"{ROTATE_BYTES >> 20} MB" in page
