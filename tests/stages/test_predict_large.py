"""Images that are read window by window give what they give as a whole; memory does not grow with them."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile
from numpy.typing import NDArray
from tests.conftest import ROOT

from nanonuclei.data.files.axes import Choice
from nanonuclei.data.files.reading import iter_image_file
from nanonuclei.imaging.instances import Instances, from_labels
from nanonuclei.imaging.seams.grid import Grid
from nanonuclei.imaging.seams.stitching import Stitcher
from nanonuclei.serving.named import OpenedModel, open_model
from nanonuclei.stages.predict import shown
from nanonuclei.stages.predict.large.call import LargeCall
from nanonuclei.stages.predict.large.windows import large_images
from nanonuclei.stages.predict.predict import predict
from nanonuclei.stages.predict.request import Request
from nanonuclei.stages.predict.results import Results
from nanonuclei.tasks import create_reader

FORMATS = ("csv", "geojson", "roi", "labels", "overlay")


def drawn(shape: tuple[int, int], *, radius: tuple[int, int] = (5, 9), gap: int = 28) -> NDArray[np.uint8]:
    """Discs of many sizes and brightnesses on a grid that no window shares."""
    rng = np.random.default_rng(3)
    image = rng.normal(20, 2, shape).clip(0, 255).astype(np.uint8)
    for y in range(13, shape[0] - 10, gap):
        for x in range(11, shape[1] - 10, gap):
            centre = (x + int(rng.integers(-4, 5)), y + int(rng.integers(-4, 5)))
            cv2.circle(image, centre, int(rng.integers(*radius)), int(rng.integers(110, 230)), -1, cv2.LINE_AA)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 1.0))


def write(path: Path, image: NDArray[np.generic], **options: object) -> Path:
    shown = {"tile": (64, 64), "compression": "zlib", "photometric": "minisblack", **options}
    path.parent.mkdir(exist_ok=True)
    tifffile.imwrite(path, image, resolution=(2e4, 2e4), resolutionunit="CENTIMETER", **shown)
    return path


@pytest.fixture(scope="module")
def model() -> OpenedModel:
    return open_model("nuclei", missing_from=ROOT / "params.yaml")


def by_windows(path: Path, output: Path, model: OpenedModel, *, side: int = 256, margin: int = 48) -> dict[str, object]:
    (image,) = large_images(path, Choice(), most=1)
    results = Results(output, FORMATS, submission=False)
    reader = create_reader(model.config)
    row, paths = LargeCall("big", image, reader, results, (side, margin)).run(model.network)
    assert sorted(paths) == sorted(str(p.relative_to(output)) for p in output.rglob("*.*"))
    assert not list(output.rglob("partial-*"))
    return row


def whole(path: Path, output: Path) -> None:
    predict(Request(str(path), "nuclei", output=output, formats=FORMATS), say=lambda _: None)


@pytest.mark.parametrize("kind", ["uint8", "float32"])
def test_windows_find_the_objects_of_the_whole(tmp_path: Path, model: OpenedModel, kind: str) -> None:
    image = drawn((610, 500))
    if kind == "float32":
        image = image.astype(np.float32) * 3.5 - 40
        image[100:300, :3] = np.nan
    path = write(tmp_path / "big.tif", image)
    row = by_windows(path, tmp_path / "out", model)
    whole(path, tmp_path / "whole")
    expected = cv2.imread(str(tmp_path / "whole" / "labels" / "big.png"), cv2.IMREAD_UNCHANGED)
    labels = tifffile.imread(tmp_path / "out" / "labels" / "big.tif")
    number = int(expected.max())
    assert row["num_objects"] == labels.max() == number > 300
    pairs = np.unique(np.stack([labels, expected], axis=-1)[(labels > 0) & (expected > 0)], axis=0)
    shares = [
        np.count_nonzero((labels == a) & (expected == b)) / np.count_nonzero((labels == a) | (expected == b))
        for a, b in pairs
    ]
    assert np.count_nonzero(np.array(shares) > 0.8) == number
    table = pd.read_csv(tmp_path / "out" / "objects" / "big.csv")
    assert table["label"].tolist() == list(range(1, number + 1))
    assert table["area"].tolist() == np.bincount(labels.ravel())[1:].tolist()
    one = pd.read_csv(tmp_path / "whole" / "objects" / "big.csv")
    assert list(table.columns) == list(one.columns)
    assert table["touches_border"].sum() == one["touches_border"].sum()
    assert np.allclose(np.sort(table["sum_grey"]), np.sort(one["sum_grey"]), rtol=0.1)
    place = np.linalg.norm(
        table[["centroid_y", "centroid_x"]].to_numpy()[:, None] - one[["centroid_y", "centroid_x"]].to_numpy(), axis=-1
    )
    assert place.min(axis=1).max() < 1.0
    assert np.allclose(table["centroid_y_um"], table["centroid_y"] * 0.5, atol=1e-3)


def test_exports_of_windows_agree_with_the_label_image(tmp_path: Path, model: OpenedModel) -> None:
    path = write(tmp_path / "big.tif", drawn((300, 420)).astype(np.uint16) * 100)
    number = by_windows(path, tmp_path / "out", model)["num_objects"]
    with tifffile.TiffFile(tmp_path / "out" / "labels" / "big.tif") as file:
        assert file.pages[0].is_tiled
        assert file.pages[0].tags.valueof("XResolution")[0] / file.pages[0].tags.valueof("XResolution")[1] == 2e4
        labels = file.asarray()
    assert labels.dtype == np.uint32
    tree = json.loads((tmp_path / "out" / "geojson" / "big.geojson").read_text())
    from shapely.geometry import shape

    areas = np.bincount(labels.ravel())[1:]
    assert [shape(feature["geometry"]).area for feature in tree["features"]] == areas.tolist()
    assert [shape(feature["geometry"]).bounds[0] for feature in tree["features"]] == [
        float(np.flatnonzero((labels == label).any(axis=0))[0]) for label in range(1, len(areas) + 1)
    ]
    with zipfile.ZipFile(tmp_path / "out" / "roi" / "big.zip") as archive:
        assert len(archive.namelist()) == number == len(areas)
    assert cv2.imread(str(tmp_path / "out" / "overlay" / "big.png")).shape == (300, 420, 3)


def test_an_image_without_objects_has_empty_tables(tmp_path: Path, model: OpenedModel) -> None:
    path = write(tmp_path / "big.tif", np.zeros((300, 300), np.uint8))
    assert by_windows(path, tmp_path / "out", model)["num_objects"] == 0
    assert len(pd.read_csv(tmp_path / "out" / "objects" / "big.csv")) == 0
    assert json.loads((tmp_path / "out" / "geojson" / "big.geojson").read_text())["features"] == []


def stitched(truth: NDArray[np.int32], grid: Grid, seen: Callable[[NDArray[np.int32]], Instances]) -> Instances:
    stitcher, rows = Stitcher(grid.shape), []
    for row in grid.rows():
        rows.append(stitcher.advance(row[0].box[0], row[0].box[2]))
        for tile in row:
            y0, x0, y1, x1 = tile.box
            stitcher.add(seen(truth[y0:y1, x0:x1]), tile)
    rows.append(stitcher.advance(grid.shape[0], grid.shape[0]))
    numbers, boxes, scores = stitcher.numbers(grid.step)
    return Instances(boxes.astype(np.int32), scores, numbers[np.concatenate(rows)])


@pytest.mark.parametrize(("side", "margin"), [(40, 12), (64, 12), (100, 20), (31, 8)])
def test_objects_across_seams_are_whole_and_there_once(side: int, margin: int) -> None:
    rng = np.random.default_rng(side)
    truth = np.zeros((150, 170), np.int32)
    for number in range(1, 40):
        cv2.circle(truth, rng.integers(5, 150, 2).tolist(), int(rng.integers(3, 7)), number, -1)
    truth = from_labels(truth).pixels()
    found = stitched(truth, Grid(truth.shape, side, margin), from_labels)
    assert len(found) == truth.max()
    same = {tuple(pair) for pair in np.stack([found.pixels(), truth], axis=-1).reshape(-1, 2).tolist()}
    assert len(same) == truth.max() + 1  # one to one, the background included
    again = from_labels(found.pixels())
    np.testing.assert_array_equal(again.boxes, found.boxes)


def test_an_object_larger_than_windows_is_joined_of_its_parts() -> None:
    truth = np.zeros((200, 200), np.int32)
    truth[20:180, 90:110] = 1
    truth[90:110, 15:190] = 1
    truth[150:160, 20:40] = 2
    found = stitched(truth, Grid(truth.shape, 60, 10), from_labels)
    assert len(found) == 2
    np.testing.assert_array_equal(found.pixels() > 0, truth > 0)
    assert sorted(np.bincount(found.pixels().ravel())[1:].tolist()) == sorted(np.bincount(truth.ravel())[1:].tolist())


@pytest.mark.parametrize(
    "options",
    [
        {"tile": (48, 64)},
        {"tile": None, "rowsperstrip": 7},
        {"tile": None, "compression": None, "rowsperstrip": 5},
        {"tile": None, "compression": None},
        {"compression": "jpeg"},
        {"compression": "lzw", "predictor": True},
    ],
)
def test_windows_hold_the_pixels_of_the_whole(tmp_path: Path, options: dict[str, object]) -> None:
    for name, image in (("grey", drawn((150, 130))), ("rgb", np.stack([drawn((150, 130))] * 3, -1) // np.uint8(2))):
        image[5, 7] = 99
        photometric = "rgb" if image.ndim == 3 else "minisblack"
        path = write(tmp_path / f"{name}.tif", image, **{**options, "photometric": photometric})
        (plane,) = iter_image_file(path)
        (large,) = large_images(path, Choice(), most=1)
        with large.opened() as windows:
            np.testing.assert_array_equal(windows.sample(), plane.image)
            for box in ((0, 0, 150, 130), (3, 60, 64, 65), (140, 100, 150, 130)):
                y0, x0, y1, x1 = box
                np.testing.assert_array_equal(windows.channels(box), plane.channels[:, y0:y1, x0:x1])
                np.testing.assert_array_equal(windows.image(box), plane.image[y0:y1, x0:x1])
            assert windows.channel_names == plane.channel_names


def test_stacks_and_films_are_read_by_windows_like_whole_ones(tmp_path: Path) -> None:
    stack = np.stack([np.stack([drawn((100, 90)) // np.uint8(place + 1) for place in range(3)])] * 2)
    path = tmp_path / "stack.ome.tif"
    tifffile.imwrite(path, stack, tile=(32, 32), metadata={"axes": "TZYX"}, ome=True)
    whole_planes = list(iter_image_file(path))
    larges = large_images(path, Choice(), most=1)
    assert [one.suffix for one in larges] == [plane.suffix for plane in whole_planes] == ["_t000", "_t001"]
    assert larges[0].sentence == whole_planes[0].choice
    with larges[1].opened() as windows:
        np.testing.assert_array_equal(windows.image((10, 20, 60, 90)), whole_planes[1].image[10:60, 20:90])


def test_ome_zarr_is_read_by_windows(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr")
    image = np.stack([drawn((100, 90)), drawn((100, 90)) // np.uint8(3)])
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    axes = [{"name": "c", "type": "channel"}, {"name": "y", "type": "space"}, {"name": "x", "type": "space"}]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": [{"path": "0"}]}]}
    group.create_array("0", shape=image.shape, chunks=(1, 32, 32), dtype=image.dtype)[:] = image
    (large,) = large_images(tmp_path / "a.zarr", Choice(channel=1), most=1)
    with large.opened() as windows:
        np.testing.assert_array_equal(windows.image((10, 20, 60, 90)), image[1, 10:60, 20:90])
        np.testing.assert_array_equal(windows.channels((10, 20, 60, 90)), image[:, 10:60, 20:90])
        np.testing.assert_array_equal(windows.sample(), image[1])


def test_small_files_are_read_whole(tmp_path: Path) -> None:
    assert large_images(write(tmp_path / "a.tif", drawn((64, 64))), Choice()) == []
    assert large_images(tmp_path / "a.png", Choice(), most=1) == []


def test_predict_says_that_an_image_is_read_by_windows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: OpenedModel
) -> None:
    monkeypatch.setattr(shown, "large_images", lambda path, choice: large_images(path, choice, most=40_000))
    write(tmp_path / "in" / "big.tif", drawn((240, 200)))
    write(tmp_path / "in" / "small.tif", drawn((120, 100)))
    said: list[str] = []
    summary = predict(Request(str(tmp_path / "in"), "nuclei", output=tmp_path / "out"), say=said.append)
    assert (summary.num_images, summary.failed) == (2, ())
    assert "Of big.tif, and others like it: read window by window." in said
    rows = pd.read_csv(tmp_path / "out" / "images.csv").set_index("image")
    assert rows.loc["big", ["height", "width", "pixel_size_um", "shown_at"]].tolist() == [240, 200, 0.5, 1]
    objects = pd.read_csv(tmp_path / "out" / "objects.csv")
    assert objects.groupby("image").size().to_dict() == rows["num_objects"].to_dict()


MEASURE = """
import re, sys
from pathlib import Path
from nanonuclei.cli import main
code = main(sys.argv[1:])
print("RSS", re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
sys.exit(code)
"""
"""Prints the largest memory of this program alone; `ru_maxrss` also counts that of the process which started it."""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_image(tmp_path: Path) -> None:
    from tests.stages.bright_model import bright_model

    side = 6_656
    tile = drawn((512, 512), gap=64)
    tile[tile > 80] = 250

    def tiles() -> object:
        for _ in range((side // 512) ** 2):
            yield tile

    path = tmp_path / "big.tif"
    tifffile.imwrite(
        path, tiles(), shape=(side, side), dtype=np.uint8, tile=(512, 512), compression="zlib", bigtiff=True
    )
    model = bright_model(tmp_path / "model")
    words = ["predict", str(path), "--model", f"{model}/", "--output", str(tmp_path / "out"), "--formats", "csv,labels"]
    words += ["--set", "windows.size=1024", "--set", "windows.stride=960"]
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *words],
        env={"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    kilobytes = int(done.stdout.rsplit("RSS", 1)[1].split()[0])
    assert kilobytes < 1.3 * 2**20  # read whole, it takes 2.1 GB
    labels = tifffile.imread(tmp_path / "out" / "labels" / "big.tif", key=0)
    assert labels.shape == (side, side)
    assert len(pd.read_csv(tmp_path / "out" / "objects.csv")) == labels.max() > 9_000
