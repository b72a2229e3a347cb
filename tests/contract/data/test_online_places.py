"""Every place for online rows keeps the same promises: SQLite, Valkey, a cluster."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.ports import block
from tests.support.valkeys import serving
from triune.core.errors import Conflict, Refused, Unavailable
from triune.data.features.online.layout import ViewLayout
from triune.data.features.online.places import place
from triune.data.features.online.plan import compile
from triune.data.features.online.ports import Place
from triune.data.features.online.reader import OnlineReader
from triune.data.features.online.writer import EARLIEST_US, LATEST_US, OnlineWriter, Row, packed

LAYOUT = ViewLayout("p", "v", "a" * 12, ("k", "n"), (("x", "FLOAT"), ("s", "STRING")))
OTHER = ViewLayout("p", "w", "b" * 12, ("k", "n"), (("y", "INT64"),))
ELSEWHERE = ViewLayout("q", "v", "a" * 12, ("k", "n"), LAYOUT.features)
PLAN = compile([LAYOUT, OTHER], ["v", "w"])


@pytest.fixture(scope="module", params=["sqlite", "valkey", "cluster"])
def where(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("online")
    if request.param == "sqlite":
        yield f"sqlite:///{folder / 'online.db'}"
        return
    with block() as ports:
        yield from serving(folder, ports, clustered=request.param == "cluster")


@pytest.fixture
def online(where: str) -> Iterator[Place]:
    made = place(where)
    for layout in (LAYOUT, OTHER, ELSEWHERE):
        made.drop(layout.project, layout.field)
    made.forget("p", "s")
    yield made
    made.close()


def read(online: Place, *entities: tuple[str, int]) -> dict[str, list[object]]:
    rows = {"k": [k for k, _ in entities], "n": [n for _, n in entities]}
    return OnlineReader(online).read(PLAN, rows).columns


def test_rows_of_two_views_come_back_together(online: Place) -> None:
    writer = OnlineWriter(online)
    assert writer.write(LAYOUT, [Row(("a", 1), 5, (1.5, "é")), Row(("b", 2), 5, (None, ""))]) == 2
    assert writer.write(OTHER, [Row(("a", 1), 5, (7,))]) == 1
    assert read(online, ("a", 1), ("b", 2), ("c", 3)) == {
        "v:x": [1.5, None, None],
        "v:s": ["é", "", None],
        "w:y": [7, None, None],
    }


def test_an_older_row_never_replaces_a_newer_one(online: Place) -> None:
    writer = OnlineWriter(online)
    for event, created, x in ((-5, 0, 1.0), (5, 1, 2.0), (4, 9, 3.0), (5, 0, 4.0), (5, 2, 5.0)):
        writer.write(LAYOUT, [Row(("a", 1), event, (x, ""), created)])
    assert read(online, ("a", 1))["v:x"] == [5.0]
    assert writer.write(LAYOUT, [Row(("a", 1), 5, (5.0, ""), 2)]) == 0
    assert writer.write(LAYOUT, [Row(("a", 1), 5, (6.0, ""), 2)]) == 1
    assert read(online, ("a", 1))["v:x"] == [6.0]


def test_rows_and_marks_go_together_or_not_at_all(online: Place) -> None:
    first, second = (
        list(packed(LAYOUT, [Row(("a", 1), t, (x, ""))])) for t, x in ((1, 1.0), (2, 2.0))
    )
    assert online.marks("p", "s") == {}
    assert online.apply("p", "s", {"0.next": 7}, first, expect={"0.next": None}) == 1
    assert online.marks("p", "s") == {"0.next": 7}
    for wrong in ({"0.next": None}, {"0.next": 6}):
        with pytest.raises(Conflict) as caught:
            online.apply("p", "s", {"0.next": 8}, second, expect=wrong)
        assert caught.value.reference == "stream-marks-moved"
    assert read(online, ("a", 1))["v:x"] == [1.0]
    assert online.apply("p", "s", {"0.next": -8}, second, expect={"0.next": 7}) == 1
    assert online.marks("p", "s") == {"0.next": -8}
    assert read(online, ("a", 1))["v:x"] == [2.0]
    online.forget("p", "s")
    assert online.marks("p", "s") == {}


def test_a_view_is_dropped_alone(online: Place) -> None:
    writer = OnlineWriter(online)
    entities = [("a", n) for n in range(50)]
    for layout, values in ((LAYOUT, (1.0, "")), (OTHER, (1,)), (ELSEWHERE, (1.0, ""))):
        writer.write(layout, [Row(entity, 1, values) for entity in entities])
    assert online.drop("p", LAYOUT.field) == 50
    assert online.drop("p", LAYOUT.field) == 0
    assert read(online, *entities)["v:x"] == [None] * 50
    assert read(online, *entities)["w:y"] == [1] * 50
    assert online.drop("q", ELSEWHERE.field) == 50


def test_many_rows_at_once(online: Place) -> None:
    rows = [Row(("a", n), 1, (float(n), "x" * (n % 7))) for n in range(3_000)]
    assert OnlineWriter(online).write(LAYOUT, rows) == 3_000
    found = read(online, *(("a", n) for n in range(3_000)))
    assert found["v:x"] == [float(n) for n in range(3_000)]


def test_nothing_asked_is_nothing_found(online: Place) -> None:
    assert read(online) == {"v:x": [], "v:s": [], "w:y": []}


def test_an_event_time_that_feast_cannot_tell_is_refused(online: Place) -> None:
    writer = OnlineWriter(online)
    for fitting in (EARLIEST_US, LATEST_US):
        writer.write(LAYOUT, [Row(("a", 1), fitting, (1.0, ""))])
    for unfit in (EARLIEST_US - 1, LATEST_US + 1):
        with pytest.raises(Refused, match="years 1 to 9999") as caught:
            writer.write(LAYOUT, [Row(("a", 1), unfit, (1.0, ""))])
        assert caught.value.reference == "feature-row-unfit"


def test_a_place_that_is_away_says_so_and_keeps_its_password() -> None:
    with block() as ports:
        away = place(f"redis://:s3cret@127.0.0.1:{ports[0]}/0", timeout=1)
        with pytest.raises(Unavailable) as caught:
            away.fetch([(b"k", (b"f",))])
    assert caught.value.reference == "online-store-unreachable"
    assert "s3cret" not in str(caught.value.as_dict())
