"""From lines that `predict` found to an annotation program and back: nothing moves, and mistakes are told."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import shapely
from tests.stages.bright_model import bright_model
from tests.stages.test_correct import SAVED, export, save_geojson

from nanonuclei.errors import DataError
from nanonuclei.stages.correct.correct import correct
from nanonuclei.stages.fetch import fetch
from nanonuclei.stages.predict.predict import predict
from nanonuclei.stages.predict.request import Request
from nanonuclei.tasks.nanotubes.sources.drawn.archive import ARCHIVE, Kept, kept_before, read_archive
from nanonuclei.tasks.nanotubes.sources.drawn.fetch_mine import deal_fields

NAMES = ["A01/site1", "A01/site2", "A02/site1", "A02/site2", "B01/site1"]


def quiet(_: str) -> None:
    pass


def image(number: int) -> np.ndarray:
    """Two cells that two nanotubes join, at other places in each image."""
    drawn = np.full((128, 160), 8 + number, np.uint8)
    for x in (24, 136):
        cv2.circle(drawn, (x, 64), 20, 200, -1)
    for y in (48, 78):
        cv2.line(drawn, (24, y + number), (136, y - number), 150, 2)
    return cv2.GaussianBlur(drawn, (0, 0), 0.8)


@pytest.fixture
def results(project: Path) -> Path:
    for number, name in enumerate(NAMES):
        path = project / "in" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), image(number))
    model = bright_model(project / "model", "nanotubes")
    predict(Request("in", f"{model}/", output=project / "results"), say=quiet)
    return project / "results"


def found_lines(results: Path, name: str) -> list[shapely.LineString]:
    with (results / "objects" / f"{name}.csv").open() as stream:
        return [shapely.LineString(json.loads(row["line"])) for row in csv.DictReader(stream)]


@pytest.mark.parametrize("to", SAVED)
def test_lines_come_back_and_the_deleted_one_is_told(results: Path, to: str) -> None:
    folder = results.parent / to
    correct(results, folder, to=to, say=quiet)
    SAVED[to](folder)
    said: list[str] = []
    fetch("mine-tnt", source=str(folder), say=said.append)
    assert re.search(r"in all: 0 added, 5 removed, 0 reshaped, [1-9]\d* as predicted", "\n".join(said))
    kept = {one.sample_id: one for one in kept_before(Path("data") / ARCHIVE)}
    assert set(kept) == {name.replace("/", "_") for name in NAMES}
    for name in NAMES:
        lines = kept[name.replace("/", "_")].lines
        before = found_lines(results, name)
        assert len(lines) == len(before) - 1 > 0
        for line, wanted in zip(lines, before, strict=False):
            assert shapely.hausdorff_distance(shapely.LineString(line), wanted) < 0.5
    splits = [item.split for item in read_archive(Path("data") / ARCHIVE)]
    assert sorted(splits) == ["test", "test", "train", "train", "val"]
    stored = (Path("data") / ARCHIVE).stat().st_mtime_ns
    fetch("mine-tnt", source=str(folder), say=said.append)
    assert "holds these 5 images already, unchanged: nothing to do. It holds 5 images" in "\n".join(said[-2:])
    assert (Path("data") / ARCHIVE).stat().st_mtime_ns == stored


def test_only_what_was_saved_counts_and_held_out_images_stay_held_out(results: Path) -> None:
    correct(results, Path("all"), to="qupath", say=quiet)
    with pytest.raises(DataError, match="is as it was written: nothing in it was corrected"):
        fetch("mine-tnt", source="all", say=quiet)
    with pytest.raises(DataError, match=r"a folder of mine-tnt must not be fetched as mine\. Use `.*mine-tnt"):
        fetch("mine", source="all", say=quiet)
    untouched = Path("all/images/B01/site1.geojson")
    content = untouched.read_bytes()
    save_geojson(Path("all"))
    untouched.write_bytes(content)
    said: list[str] = []
    fetch("mine-tnt", source="all", say=said.append)
    assert "Left out: 1 image that nobody saved a correction of" in "\n".join(said)
    before = {one.sample_id: one.split for one in kept_before(Path("data") / ARCHIVE)}
    untouched.write_text(json.dumps({"type": "FeatureCollection", "features": []}))
    fetch("mine-tnt", source="all", say=said.append)
    assert re.search(r"5 images \(1 new or corrected again, 4 there already, unchanged\)", "\n".join(said))
    after = {one.sample_id: one for one in kept_before(Path("data") / ARCHIVE)}
    assert {name: after[name].split for name in before} == before
    assert after["B01_site1"].lines == ()


def test_what_of_a_line_leaves_the_image_is_cut_off_but_not_a_line_of_another_image(results: Path) -> None:
    stray(results, NAMES[0], [[-4.0, 60.0], [80.0, 60.0], [163.5, 62.0]])
    correct(results, Path("cut"), to="qupath", say=quiet)
    features = json.loads(Path(f"cut/images/{NAMES[0]}.geojson").read_text())["features"]
    written = [feature["geometry"]["coordinates"] for feature in features]
    assert all(0 <= x <= 160 and 0 <= y <= 128 for line in written for x, y in line)
    assert any(len(line) == 3 and abs(line[0][1] - line[1][1]) < 1e-6 for line in written)
    stray(results, NAMES[0], [[10.0, 60.0], [80.0, 170.0]])
    found = correct(results, Path("other"), to="qupath", say=quiet)
    assert [one.sample_id for one in found.problems] == [NAMES[0]]
    assert "has 160 x 128 px, but a line of its result lies outside of it" in found.problems[0].problem
    assert not Path(f"other/images/{NAMES[0]}.geojson").exists()
    assert len(found.images) == 4


def stray(results: Path, name: str, points: list[list[float]]) -> None:
    """Puts a line in the place of the first of an image, in its table and in that of all."""
    for path in (results / "objects" / f"{name}.csv", results / "objects.csv"):
        with path.open() as stream:
            rows = list(csv.DictReader(stream))
        next(row for row in rows if row["image"] == name)["line"] = json.dumps(points)
        with path.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, rows[0])
            writer.writeheader()
            writer.writerows(rows)


def test_an_export_without_changes_is_refused(results: Path) -> None:
    correct(results, Path("out"), to="label-studio", say=quiet)
    export(Path("out"), lambda _, regions: regions)
    with pytest.raises(DataError, match="out/images is a part of what correct wrote"):
        fetch("mine-tnt", source="out/images", say=quiet)
    with pytest.raises(DataError, match="no change against the prediction: there is nothing to learn from"):
        fetch("mine-tnt", source="out", say=quiet)


def as_area(regions: list[Any]) -> list[Any]:
    value = {"points": [[1, 1], [5, 5], [1, 5]], "polygonlabels": ["Nanotube"]}
    return [*regions, {**regions[0], "type": "polygonlabels", "value": value}]


def as_point(regions: list[Any]) -> list[Any]:
    regions[0]["value"]["vertices"] = regions[0]["value"]["vertices"][:1]
    return regions


def scaled(regions: list[Any]) -> list[Any]:
    return [{**region, "original_width": 320, "original_height": 256} for region in regions]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (as_area, r"region \d+ is an area\. Draw along the nanotube with a vector in its place"),
        (as_point, r"region 1 has fewer than two points\. Draw along the nanotube, from end to end"),
        (
            scaled,
            r"drawn on an image of 320 x 256 px, but its image has 160 x 128 px \(width x height\)\. Correct it on",
        ),
    ],
)
def test_a_line_that_cannot_be_used_is_one_line_with_remedy_and_leaves_its_image_out(
    results: Path, spoil: Callable[[list[Any]], list[Any]], message: str
) -> None:
    correct(results, Path("out"), to="label-studio", say=quiet)
    export(Path("out"), lambda number, regions: spoil(regions) if number == 2 else regions[:-1])
    said: list[str] = []
    fetch("mine-tnt", source="out", say=said.append)
    assert len([line for line in "\n".join(said).splitlines() if re.search(message, line)]) == 1
    assert len(kept_before(Path("data") / ARCHIVE)) == 4


def test_doubtful_lines_and_tables_of_lines_are_kept_as_such(results: Path) -> None:
    correct(results, Path("out"), to="qupath", say=quiet)
    save_geojson(Path("out"))
    path = Path("out/images/A01/site1.geojson")
    features = json.loads(path.read_text())
    features[0]["properties"]["classification"] = {"name": "Doubtful"}
    path.write_text(json.dumps(features))
    cv2.imwrite("out/images/more.png", image(7))
    Path("out/lines.csv").write_text('image,tube,uncertain,polyline\nmore.png,1,0,"[[30, 40], [120, 40]]"\n')
    fetch("mine-tnt", source="out", say=quiet)
    kept = {one.sample_id: one for one in kept_before(Path("data") / ARCHIVE)}
    assert len(kept["A01_site1"].doubtful) == 1
    assert kept["more"].lines == (((30.0, 40.0), (120.0, 40.0)),)


def test_every_split_holds_nanotubes_and_images_of_equal_pixels_stay_together() -> None:
    line = ((0.0, 0.0), (9.0, 9.0))
    kept = [Kept(f"s{n:02}", b"", (line,) if n < 10 else (), (), f"s{n:02}", str(n)) for n in range(20)]
    dealt = deal_fields([*kept, Kept("twin", b"", (line,), (), "twin", "3")], {})
    held = [name for name, (_, split) in dealt.items() if split == "test"]
    assert sum(name < "s10" for name in held) == 3
    assert dealt["twin"] == dealt["s03"]
    with pytest.raises(DataError, match=r"4 fields of view with nanotubes are needed.*got 3 images of 3"):
        deal_fields([*kept[:3], *kept[10:]], {})
