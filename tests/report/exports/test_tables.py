"""Tables, label images and pictures are read back by other programs and agree with the objects."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image as PillowImage
from pyarrow import parquet
from tests.report.exports.discs import drawn, found

from nanonuclei.imaging.instances import empty
from nanonuclei.report.exports.labels import label_file
from nanonuclei.report.exports.overlay import QUIET, overlay
from nanonuclei.report.exports.readme import COLUMNS, readme
from nanonuclei.report.exports.tables import cell, join_csv, join_parquet, object_table, union_of_columns


@pytest.fixture
def parts(tmp_path: Path) -> list[Path]:
    tables = {
        "01": found(name="01", pixel_size=0.5),
        "02": found(name="02"),
        "none": found(name="none", instances=empty((9, 9))),
    }
    for name, table in tables.items():
        (tmp_path / f"{name}.csv").write_text(object_table(table), encoding="utf-8")
    return [tmp_path / f"{name}.csv" for name in tables]


def test_tables_of_images_are_joined_with_all_their_columns(parts: list[Path], tmp_path: Path) -> None:
    columns = union_of_columns(parts)
    assert join_csv(parts, tmp_path / "objects.csv", columns=columns) == 8
    join_parquet(parts, tmp_path / "objects.parquet", columns=columns, kinds={"length": "double"})
    table = pd.read_csv(tmp_path / "objects.csv", dtype={"image": str})
    assert table["image"].tolist() == ["01"] * 4 + ["02"] * 4
    labels = drawn().pixels()
    assert table["area"].tolist() == np.bincount(labels.ravel())[1:].tolist() * 2
    assert table["area_um2"].notna().tolist() == [True] * 4 + [False] * 4
    assert table["touches_border"].dtype == bool
    other = parquet.read_table(tmp_path / "objects.parquet").to_pandas()
    assert list(other.columns) == list(table.columns)
    for column in table.columns.drop("image"):
        np.testing.assert_array_equal(other[column].to_numpy(float), table[column].to_numpy(float))
    schema = parquet.read_schema(tmp_path / "objects.parquet")
    assert [str(schema.field(name).type) for name in ("image", "label", "area_um2", "touches_border")] == [
        *("string", "int64", "double", "bool")
    ]


def test_no_image_at_all_gives_an_empty_table(tmp_path: Path) -> None:
    assert join_csv([], tmp_path / "objects.csv", columns=["image"]) == 0
    join_parquet([], tmp_path / "objects.parquet", columns=["image"], kinds={})
    assert parquet.read_table(tmp_path / "objects.parquet").num_rows == 0


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.23456789, "1.2346"),
        (0.000123456789, "0.000123457"),
        (float("nan"), ""),
        (None, ""),
        (12, "12"),
        (True, "True"),
    ],
)
def test_cells_are_short_and_keep_small_numbers(value: object, text: str) -> None:
    assert cell(value) == text


def test_labels_are_a_png_of_16_bit_with_the_size_of_a_pixel() -> None:
    labels = drawn().pixels()
    suffix, content = label_file(labels, pixel_size=0.5)
    assert suffix == ".png"
    read = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert read.dtype == np.uint16
    np.testing.assert_array_equal(read, labels)
    dpi = PillowImage.open(io.BytesIO(content)).info["dpi"][0]
    assert 25_400 / dpi == pytest.approx(0.5, rel=1e-5)


def test_more_than_65535_objects_are_a_tiff_of_32_bit_with_the_size_of_a_pixel() -> None:
    labels = np.arange(260 * 256, dtype=np.int32).reshape(260, 256)
    suffix, content = label_file(labels, pixel_size=0.325)
    assert suffix == ".tif"
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        page = file.pages[0]
        assert page.dtype == np.uint32
        np.testing.assert_array_equal(page.asarray(), labels)
        assert page.tags["ResolutionUnit"].value == 3  # centimetres
        numerator, denominator = page.tags["XResolution"].value
        assert 1e4 * denominator / numerator == pytest.approx(0.325, rel=1e-4)
    assert label_file(labels[:255], pixel_size=None)[0] == ".png"


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_overlays_colour_the_border_pixels_of_objects_alone(colour: bool, dtype: type) -> None:
    labels = drawn().pixels()
    image = np.where(labels > 0, 200, 20).astype(dtype)
    image = np.stack([image] * 3, axis=-1) if colour else image
    read = cv2.imdecode(np.frombuffer(overlay(image, labels), np.uint8), cv2.IMREAD_COLOR)
    coloured = read.max(axis=2) > read.min(axis=2)
    assert read.shape == (60, 80, 3)
    assert not coloured[labels == 0].any()
    assert coloured[0, 5:15].all()
    assert not coloured[2:8, 7:13].any()
    assert coloured[labels > 0].sum() < (labels > 0).sum()


def test_overlays_show_further_labels_by_thin_lines_and_their_numbers() -> None:
    layer = np.zeros((60, 80), np.int32)
    layer[5:45, 5:40], layer[5:45, 40:75], layer[50:54, 50:54] = 1, 2, 3
    labels = np.zeros((60, 80), np.int32)
    labels[0:50, 20:23] = 1
    content = np.frombuffer(overlay(np.zeros((60, 80), np.uint8), labels, [layer]), np.uint8)
    read = cv2.imdecode(content, cv2.IMREAD_COLOR)
    coloured = read.max(axis=2) > read.min(axis=2)
    violet = (read == QUIET[::-1]).all(axis=2)
    assert not violet[layer == 0].any()
    assert coloured[0:50, 20].all()  # an object lies on top
    assert not violet[0:50, [20, 22]].any()
    np.testing.assert_array_equal(np.flatnonzero(violet[9]), [5, 40, 74])  # one line where they touch
    numbers = violet[7:43, 42:73]
    rows, columns = np.nonzero(numbers)
    assert 6 <= rows.max() - rows.min() <= 10  # the height of a digit, in the middle
    assert abs(columns.mean() - 15) < 4
    assert not violet[51:53, 51:53].any()  # no room


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_overlays_keep_the_colours_of_the_image(dtype: type) -> None:
    labels = drawn().pixels()
    image = np.full((*labels.shape, 3), (200, 120, 160)).astype(dtype)  # a stained tissue on white glass
    image[30:] = 240
    read = cv2.imdecode(np.frombuffer(overlay(image, labels), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    red, green, blue = read[25, 40]
    assert labels[25, 40] == 0
    assert red > blue > green
    assert np.ptp(read[-1, -1]) == 0


def test_readme_tells_every_column_with_its_unit_and_how_to_open_the_files() -> None:
    columns = ["image", *found(pixel_size=0.5).columns]
    text = readme(
        head=["first"],
        formats=["csv", "roi", "labels", "overlay"],
        columns=columns,
        texts={"length": ("of the tube", "px")},
        measures={"diameter": "median diameter, px"},
        layers={"cells": "the cells"},
    )
    assert "\n  cells/NAME.png: label images as in labels, of the cells\n" in text
    assert "\n  overlay/NAME.png shows cells too" in text
    assert "\n  diameter: median diameter, px\n" in text
    for column in columns:
        assert f"\n  {column}: " in text
    assert "a figure of the task" not in text
    assert "perimeter, micrometres" in text
    assert "mean of the light in channel DAPI" in text
    assert "length: of the tube, px" in text
    assert "Fiji" in text
    assert "QuPath: open" not in text
    assert 'dtype={"image": str}' in text
    assert all(text.strip() for text in COLUMNS.values())
