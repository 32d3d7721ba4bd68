"""Tables are aligned, and show each metric once, under a name that a person understands."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanonuclei.drawing.tables import format_value, metrics_table, shortened, table
from nanonuclei.errors import DataError
from nanonuclei.tasks.nuclei.score import METRIC_NAMES

CELL = st.text("abc12.,-% ", max_size=8).map(str.strip)
INTERVAL = {"test/ap50_pooled": 0.8123, "test/ap50_pooled_low": 0.79, "test/ap50_pooled_high": 0.8332}


def cells_of(text: str) -> list[list[str]]:
    """The cells of every line, cut where the rule below the header has its gaps."""
    lines = text.split("\n")
    ends, start = [], 0
    for dashes in lines[1].split("  "):
        ends.append((start, start + len(dashes)))
        start += len(dashes) + 2
    return [[line[low:high].strip() for low, high in ends] for line in lines]


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("simulated_0012", "simulated_0012"),
        ("0123456789abcdef", "0123456789abcdef"),
        ("sparse_categorical_crossentropy", "sparse_..entropy"),
        ("sparse_categorical_crossentropy+dice", "sparse_..py+dice"),
    ],
)
def test_long_names_keep_their_beginning_and_their_end(text: str, short: str) -> None:
    assert shortened(text) == short
    assert len(shortened(text, 11)) <= 11


def test_words_stand_left_and_numbers_right() -> None:
    text = table([["nuclei", "7", "50 %"], ["images", "1,234", "-"]], header=["what", "number", "share"])
    assert text.splitlines() == [
        "what      number    share",
        "------  --------  -------",
        "nuclei         7     50 %",
        "images     1,234        -",
    ]


def test_a_column_with_one_word_among_numbers_stands_left() -> None:
    lines = table([["1"], ["many"]], header=["number"]).splitlines()
    assert lines[2:] == ["1", "many"]


def test_a_table_without_rows_is_its_header() -> None:
    assert table([], header=["a", "bcd"]).splitlines() == ["a    bcd", "---  -----"]


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 4).flatmap(lambda n: st.lists(st.lists(CELL, min_size=n, max_size=n), min_size=1, max_size=5)))
def test_every_cell_is_found_in_its_column(rows: list[list[str]]) -> None:
    header = [f"column {place}" for place in range(len(rows[0]))]
    text = table(rows, header=header)
    found = cells_of(text)
    assert found[0] == header
    assert found[2:] == rows
    assert all(line == line.rstrip() for line in text.splitlines())


def test_a_short_row_is_refused() -> None:
    with pytest.raises(DataError, match=r"got 1 cells .* for 2 columns"):
        table([["a"]], header=["one", "two"])


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("iou", 0.81251, "0.813"),
        ("iou", 1.0, "1.000"),
        ("iou", 0.0, "0.000"),
        ("iou", math.nan, "-"),
        ("binary_crossentropy", math.inf, "inf"),
        ("count_error", -2.0, "-2.000"),
        ("num_images", 67.0, "67"),
        ("num_nuclei", 23096.0, "23,096"),
        ("seconds", 1234.5, "1,234"),
        ("rate", 0.0001, "1.0e-04"),
    ],
)
def test_values_are_written_as_short_as_they_can_be_read(name: str, value: float, text: str) -> None:
    assert format_value(value, is_metric=name in METRIC_NAMES) == text


def test_the_interval_stands_behind_the_value_of_all_images_and_has_no_row_of_its_own() -> None:
    assert cells_of(metrics_table(INTERVAL, groups=[], names=METRIC_NAMES)) == [
        ["metric", "all (95 % interval)"],
        ["-" * 21, "-" * 21],
        ["AP at IoU 0.5, pooled", "0.812 (0.790-0.833)"],
    ]


def test_each_group_has_its_column_and_a_missing_value_is_a_dash() -> None:
    metrics = {"test/iou": 0.9, "test/stained/iou": 0.7, "test/fluorescence/dice": 0.95, "test/stained/dice": math.nan}
    found = cells_of(metrics_table(metrics, groups=["fluorescence", "stained"], names=METRIC_NAMES))
    assert found[0] == ["metric", "all", "fluorescence", "stained"]
    assert found[2:] == [["foreground IoU", "0.900", "-", "0.700"], ["Dice", "-", "0.950", "-"]]


def test_metrics_of_other_groups_are_left_out() -> None:
    assert "0.700" not in metrics_table(
        {"test/iou": 0.9, "test/stained/iou": 0.7}, groups=["fluorescence"], names=METRIC_NAMES
    )


def test_known_metrics_come_in_their_order_then_others_under_their_own_name() -> None:
    metrics = {f"test/{name}": 0.5 for name in ("zeta", "contrast_low", *reversed(METRIC_NAMES))}
    names = [cells[0] for cells in cells_of(metrics_table(metrics, groups=[], names=METRIC_NAMES))[2:]]
    assert names == [*METRIC_NAMES.values(), "contrast_low", "zeta"]


def test_rows_name_their_split_where_there_are_two() -> None:
    found = cells_of(metrics_table({"test/iou": 0.8, "val/iou": 0.9}, groups=[], names=METRIC_NAMES))
    assert found[2:] == [["test: foreground IoU", "0.800"], ["val: foreground IoU", "0.900"]]


def test_an_interval_with_an_undefined_end_is_left_out() -> None:
    text = metrics_table(INTERVAL | {"test/ap50_pooled_low": math.nan}, groups=[], names=METRIC_NAMES)
    assert cells_of(text)[2] == ["AP at IoU 0.5, pooled", "0.812"]


def test_a_name_without_split_is_a_row_of_all_images() -> None:
    assert cells_of(metrics_table({"iou": 0.8}, groups=[], names=METRIC_NAMES))[2] == ["foreground IoU", "0.800"]
