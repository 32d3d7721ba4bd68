"""Annotations of which one value is of an odd type: read, told, or refused; nothing else is raised."""

from __future__ import annotations

import contextlib
import copy
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.conftest import ROOT
from tests.data.files.synthetic import NUCLEI, opencv

from nanonuclei.config.params import load_experiment
from nanonuclei.data.catalog import BadSample
from nanonuclei.data.corrected.geojson import read_geojson
from nanonuclei.data.corrected.label_studio import is_label_studio, read_label_studio
from nanonuclei.data.corrected.shapes import Drawn, Shape, problem
from nanonuclei.errors import DataError
from nanonuclei.tasks.nanotubes.sources.annotations import json_kind
from nanonuclei.tasks.nanotubes.sources.images import read_tnt
from nanonuclei.tasks.nanotubes.sources.layout import PARSERS
from nanonuclei.tasks.nuclei.sources.corrected_files import paint

ODD: list[Any] = [
    *(None, True, -1, 1.5, 1e300, float("nan"), float("inf"), "x", "", "\ud800", 10**30),
    *([], {}, [[]], {"a": 1}, [None], [1, 2], [[1, 2], [3, float("nan")]], [[1e308, 1e308], [-1e308, 0], [5, 5]]),
]


def region(kind: str, **value: Any) -> dict[str, Any]:
    return {"type": kind, "original_width": 128, "original_height": 128, "value": {kind: ["tnt"], **value}}


def task(result: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"id": 1, "data": {"image": "a.png"}, "annotations": [{"id": 1, "result": [result]}]}]


TREES: dict[str, Any] = {
    "coco": {
        "images": [{"id": 1, "file_name": "a.png", "height": 128, "width": 128}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [5, 5, 20, 20]}],
        "categories": [{"id": 1, "name": "tnt"}],
    },
    "labelme": {"shapes": [{"label": "tnt", "points": [[1, 2], [30, 40]], "shape_type": "line"}], "imagePath": "a.png"},
    "lines": [{"image": "a.png", "tube": 1, "uncertain": 0, "polyline": [[1, 2], [30, 40]]}],
    "rectangles": task(region("rectanglelabels", x=1, y=1, width=10, height=10, rotation=0)),
    "polygons": task(region("polygonlabels", points=[[1, 1], [20, 1], [20, 20]])),
    "strokes": task(region("brushlabels", rle=[0, 0, 1, 2, 3])),
    "geojson": {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "geometry": {"type": "Polygon", "coordinates": [[[1, 1], [20, 1], [20, 20], [1, 1]]]},
                "properties": {"objectType": "detection"},
            }
        ],
    },
}


def places(tree: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yields the place of every value of a tree."""
    yield above
    for key in tree if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ():
        yield from places(tree[key], (*above, key))


def changed(tree: Any, place: tuple[Any, ...], value: Any) -> Any:
    if not place:
        return value
    found = copy.deepcopy(tree)
    inner = found
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return found


def as_tubes(tree: Any) -> None:
    kind = json_kind(tree)
    if kind:
        PARSERS[kind](tree, "a.json")


def as_corrections(tree: Any) -> None:
    drawn: list[Drawn] = [read_geojson(json.dumps(tree).encode())]
    for one in drawn:
        paint(one, (128, 128))


def as_tasks(tree: Any) -> None:
    if is_label_studio(tree):
        for drawn in read_label_studio(tree).values():
            paint(drawn, (128, 128))


@pytest.mark.parametrize("kind", TREES)
@pytest.mark.parametrize("read", [as_tubes, as_corrections, as_tasks])
def test_one_odd_value_is_read_told_or_refused(kind: str, read: Callable[[Any], None]) -> None:
    for place in places(TREES[kind]):
        for value in ODD:
            with contextlib.suppress(DataError):
                read(changed(TREES[kind], place, value))


def test_an_outline_that_crosses_itself_without_end_is_told_at_once() -> None:
    numbers = np.arange(9_000)
    ring = np.stack([numbers % 100 + 0.5, numbers * 7 % 101 + 0.25], axis=1)
    started = time.process_time()
    assert "crosses itself near" in problem(Shape("object 1", (ring,)), (128, 128))
    assert "18,000 corners, more than 10,000" in problem(Shape("object 1", (ring, ring)), (128, 128))
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ('image,tube,uncertain,polyline\na.png,1,0,"[[1,1],[1e300,5]]"\n', "lies outside of the image"),
        ("image,y0,x0,y1,x1\n" + "a.png,1,1,9,9\n" * 65_536, "65,536 nanotubes, more than the 65,535 that fit"),
    ],
)
def test_lines_beyond_the_image_and_more_than_can_be_numbered_are_told(table: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(opencv(NUCLEI, ".png"))
    (tmp_path / "a.csv").write_text(table)
    config = load_experiment("nanotubes", path=ROOT / "params.yaml")
    (bad,) = read_tnt(tmp_path, config.data.channels)  # type: ignore[attr-defined]
    assert isinstance(bad, BadSample)
    assert told in bad.problem
