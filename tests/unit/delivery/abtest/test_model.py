"""A test's declaration, and what is kept of its units."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest

from triune.core.assignment import salted
from triune.delivery.abtest.cell import Cell, CellKey
from triune.delivery.abtest.model import (
    Declaration,
    Field,
    Fold,
    Kind,
    Layer,
    Metric,
    Role,
    Source,
    Variant,
)
from triune.delivery.abtest.readings import Memory, Readings

DECLARED = Declaration(
    name="checkout",
    hypothesis="A shorter form sells more.",
    variants=(Variant("a", 4000, flag_variant="long"), Variant("b", 2000, release="r2")),
    control="a",
    metrics=(
        Metric("bought", Kind.PROPORTION, Role.PRIMARY, Field(fold=Fold.ANY)),
        Metric("slow", Kind.QUANTILE, Role.GUARDRAIL, Field(Source.EXPOSURE, "ms"), quantile=0.9),
    ),
    salt="checkout-1",
    layer=Layer("forms", 0, 5000),
)


def test_it_reads_back_from_json_as_it_was_written() -> None:
    assert msgspec.json.decode(msgspec.json.encode(DECLARED), type=Declaration) == DECLARED
    memory = Memory(p={"bought/b": 0.2}, fractions=(0.5,), looks=1)
    assert msgspec.json.decode(msgspec.json.encode(memory), type=Memory) == memory


def test_units_are_split_by_the_one_bucket_function() -> None:
    units = [f"u{i}" for i in range(4000)]
    found = Counter(DECLARED.variant_of(unit) for unit in units)
    inside = [unit for unit in units if salted("forms", unit) < 5000]
    assert found["a"] == sum(salted("checkout-1", unit) < 4000 for unit in inside)
    assert found["b"] == sum(4000 <= salted("checkout-1", unit) < 6000 for unit in inside)
    assert found[None] == 4000 - found["a"] - found["b"]
    assert found["a"] == pytest.approx(800, abs=80)


def test_slices_of_a_layer_do_not_share_a_unit() -> None:
    one, other = Layer("forms", 0, 5000), Layer("forms", 5000, 5000)
    assert not one.overlaps(other)
    assert not any(one.holds(f"u{i}") and other.holds(f"u{i}") for i in range(500))
    assert one.overlaps(Layer("forms", 4999, 1))
    assert not one.overlaps(Layer("colours", 0, 5000))


@pytest.mark.parametrize(
    ("metric", "values", "row"),
    [
        (Metric("m", Kind.PROPORTION), (7.0,), (1.0,)),
        (Metric("m", Kind.MEAN, low=0.0, high=10.0), (-3.0,), (0.0,)),
        (Metric("m", Kind.MEAN, high=10.0, covariate="u:m"), (30.0, 1.0, 2.5), (10.0, 2.5)),
        (Metric("m", Kind.RATIO), (3.0, 4.0), (3.0, 4.0)),
    ],
)
def test_a_unit_contributes_a_row(
    metric: Metric, values: tuple[float, ...], row: tuple[float, ...]
) -> None:
    assert metric.row(*values) == row
    assert metric.columns == len(row)


@pytest.mark.parametrize("metric", [Metric("m", Kind.RATIO), DECLARED.metrics[1]])
def test_a_cell_of_a_stream_is_the_cell_of_its_units(metric: Metric) -> None:
    rows = [metric.row(i / 7, i % 5 + 1) for i in range(50)]
    stream, late = Cell(metric), Cell(metric)
    for i, row in enumerate(rows):
        into = late if i % 3 else stream
        into.add(metric.row(0.0))
        into.replace(metric.row(0.0), row)
    stream.merge(late)
    stream.add(metric.row(1e9))
    stream.remove(metric.row(1e9))
    assert stream == Cell.of(metric, rows)
    written = msgspec.json.encode(stream.to_json())
    assert Cell.from_json(msgspec.json.decode(written)) == stream


def test_readings_hold_cells_by_metric_variant_and_segment() -> None:
    metric = DECLARED.primary
    cells = {CellKey(metric.name, "a"): Cell(metric), CellKey(metric.name, "a", "de"): Cell(metric)}
    assert Readings({"a": 0}, cells).cells[CellKey("bought", "a")].n == 0
