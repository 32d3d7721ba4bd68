"""Nanotubes of a folder of images, counted and measured beside the cells that they join."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile
from tests.conftest import tube_sample
from tests.stages.bright_model import opened, run

from nanonuclei.errors import DataError
from nanonuclei.report.exports.readme import FORMATS
from nanonuclei.stages.predict import predict as stage
from nanonuclei.tasks.nanotubes.config import NanotubeExperiment
from nanonuclei.tasks.nanotubes.reader import NanotubeReader

pytestmark = pytest.mark.usefixtures("known_model")


def sure(_: NanotubeReader, __: object, inputs: list[np.ndarray]) -> Iterator[np.ndarray]:
    for image in inputs:
        yield np.stack([np.full(image.shape[:2], 0.9, np.float32), image[..., 0]], axis=-1)


@pytest.mark.parametrize(("channel", "num_cells"), [("none", 2), (1, 6), ("dapi", 6)])
def test_cells_are_counted_by_their_nuclei_where_a_setting_names_the_channel(
    channel: int | str,
    num_cells: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tube_experiment: Callable[..., NanotubeExperiment],
) -> None:
    config = tube_experiment({"tubes.nuclei": channel})
    monkeypatch.setattr(stage, "open_model", opened(config, None, tmp_path / "model"))
    monkeypatch.setattr(NanotubeReader, "score_maps", sure)
    membrane, nuclei = np.full((100, 200), 20, np.uint8), np.full((100, 200), 5, np.uint8)
    membrane[20:60, 10:130] = 150  # five cells in a row, without necks
    cv2.circle(membrane, (170, 50), 14, 150, -1)
    centres = [*((x, 40) for x in range(22, 130, 24)), (170, 50)]
    for centre in centres:
        cv2.circle(nuclei, centre, 7, 200, -1)
    (tmp_path / "images").mkdir()
    path, names = tmp_path / "images" / "field.ome.tif", {"axes": "CYX", "Channel": {"Name": ["WGA", "DAPI"]}}
    tifffile.imwrite(path, np.stack([membrane, nuclei]), metadata=names, photometric="minisblack")
    tifffile.imwrite(tmp_path / "images" / "grey.tif", membrane)
    output = run(tmp_path / "images", channel=0).output
    rows = pd.read_csv(output / "images.csv", keep_default_na=False).set_index("image")
    cells = cv2.imread(str(output / "cells" / "field.png"), cv2.IMREAD_UNCHANGED)
    assert int(rows["num_cells"]["field"]) == cells.max() == num_cells
    assert len({int(cells[y, x]) for x, y in centres}) == num_cells
    missing = rows["error"]["grey"]
    assert ("there are: 0 grey. Change tubes.nuclei" in missing) if channel != "none" else not missing
    if channel != "none":  # no image has it: told before anything is written
        with pytest.raises(DataError, match=r"grey\.tif: no channel .* Change tubes\.nuclei"):
            run(tmp_path / "images" / "grey.tif", tmp_path / "none", channel=0)
        assert not (tmp_path / "none").exists()


def test_nanotubes_are_counted_and_measured_beside_the_cells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tube_experiment: Callable[..., NanotubeExperiment]
) -> None:
    config = tube_experiment({"tubes.joins": "two"})
    monkeypatch.setattr(stage, "open_model", opened(config, None, tmp_path / "model"))
    monkeypatch.setattr(NanotubeReader, "score_maps", sure)
    (tmp_path / "images").mkdir()
    for seed in (0, 1):  # the first has a nanotube of 79 px, the second none
        path = tmp_path / "images" / f"tube{seed}.tif"
        resolution = {"resolution": (2e4, 2e4), "resolutionunit": "CENTIMETER"}
        tifffile.imwrite(path, tube_sample("a", seed=seed).image, **resolution)
    output = run(tmp_path / "images", formats=tuple(FORMATS)).output
    assert output.name == "images-nanotubes"
    rows = pd.read_csv(output / "images.csv").set_index("image")
    assert rows[["num_objects", "num_cells"]].to_numpy().tolist() == [[1, 2], [0, 2]]
    assert rows["objects_per_cell"].tolist() == [0.5, 0.0]
    (found,) = pd.read_csv(output / "objects.csv").to_dict("records")
    assert found["length"] == pytest.approx(79.0, abs=4.0)
    assert found["length_um"] == pytest.approx(found["length"] / 2, rel=1e-4)
    assert {found["first_cell"], found["last_cell"]} == {1, 2}
    assert all(abs(y - 24.0) < 1.5 for _, y in json.loads(found["line"]))
    (feature,) = json.loads((output / "geojson" / "tube0.geojson").read_text())["features"]
    assert feature["geometry"]["type"] == "LineString"
    assert feature["properties"]["measurements"]["length"] == pytest.approx(found["length"])
    assert pd.read_parquet(output / "objects.parquet")["line"].tolist() == [found["line"]]
    assert "centre line" in (output / "README.txt").read_text()
    # The cells that were counted can be looked at, by the numbers of the table.
    assert "cells/NAME.png" in (output / "README.txt").read_text()
    cells = cv2.imread(str(output / "cells" / "tube0.png"), cv2.IMREAD_UNCHANGED)
    assert (cells.dtype, cells.shape, np.unique(cells).tolist()) == (np.uint16, (96, 128), [0, 1, 2])
    for end, column in ((0, "first_cell"), (-1, "last_cell")):
        x, y = np.rint(json.loads(found["line"])[end]).astype(int)
        assert found[column] in cells[y - 12 : y + 13, max(x - 12, 0) : x + 13]
    drawn = cv2.imread(str(output / "overlay" / "tube1.png"))
    outlined = drawn.max(axis=2) > drawn.min(axis=2)
    assert outlined.any()
    assert (cv2.imread(str(output / "cells" / "tube1.png"), cv2.IMREAD_UNCHANGED) > 0)[outlined].all()
    run(tmp_path / "images", output, formats=("csv",), resume=True)
    assert not list((output / "cells").iterdir())
