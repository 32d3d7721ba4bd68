"""Nanotubes of an image that is read window by window are those of the image read whole."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import tifffile
from numpy.typing import NDArray
from tests.conftest import ROOT

from nanonuclei.data.files.axes import Choice
from nanonuclei.report.exports.overlay import QUIET
from nanonuclei.serving.named import open_model
from nanonuclei.stages.predict.large.call import LargeCall
from nanonuclei.stages.predict.large.windows import large_images
from nanonuclei.stages.predict.results import Results
from nanonuclei.tasks import create_reader

NUMBERS = ["y0", "x0", "y1", "x1", "length", "width"]


def drawn(shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Cells on a grid, some of them joined to the next one."""
    rng, grey = np.random.default_rng(5), np.full(shape, 0.08, np.float32)
    cells = [(y, x) for y in range(60, shape[0] - 30, 130) for x in range(50, shape[1] - 30, 140)]
    for y, x in cells:
        cv2.circle(grey, (x, y), 22, 0.75, -1, cv2.LINE_AA)
    for y, x in [cell for number, cell in enumerate(cells) if number % 2 == 0 and (cell[0], cell[1] + 140) in cells]:
        cv2.line(grey, (x, y + int(rng.integers(-8, 8))), (x + 140, y), 0.38, 2, cv2.LINE_AA)
    return ((cv2.GaussianBlur(grey, (0, 0), 1.0) + rng.normal(0, 0.012, shape)).clip(0, 1) * 255).astype(np.uint8)


def test_windows_find_the_lines_of_the_whole(tmp_path: Path) -> None:
    image = drawn((250, 520))
    path = tmp_path / "big.tif"
    tifffile.imwrite(path, image, tile=(64, 64), compression="zlib", photometric="minisblack")
    opened = open_model("nanotubes", missing_from=ROOT / "params.yaml")
    reader = create_reader(opened.config)
    whole = reader.objects(next(iter(reader.score_maps(opened.network, [reader.network_input(image)]))), image.shape)
    assert len(whole.instances) == 4
    (large,) = large_images(path, Choice(), most=1)
    results = Results(tmp_path / "out", ("csv", "geojson", "labels", "overlay"), False, tuple(reader.layers))
    row, paths = LargeCall("big", large, reader, results, (300, 90)).run(opened.network)
    assert {name: row[name] for name in ("num_objects", *whole.measures)} == {"num_objects": 4, **whole.measures}
    wanted = pd.DataFrame(list(whole.rows)).sort_values(["y0", "x0"], ignore_index=True)
    found = pd.read_csv(tmp_path / "out" / "objects" / "big.csv")
    np.testing.assert_allclose(
        found.sort_values(["y0", "x0"])[NUMBERS].to_numpy(), wanted[NUMBERS].to_numpy(float), atol=1.5
    )
    np.testing.assert_array_equal((found["first_cell"] > 0) & (found["last_cell"] > 0), True)
    assert len(found[["first_cell", "last_cell"]].drop_duplicates()) == 4
    cells = tifffile.imread(tmp_path / "out" / "cells" / "big.tif")
    assert "cells/big.tif" in paths
    assert (cells.dtype, cells.max()) == (np.uint32, row["num_cells"])
    np.testing.assert_array_equal(cells > 0, whole.layers["cells"] > 0)
    for line in found.itertuples():
        (x, y), *_ = json.loads(str(line.line))
        assert line.first_cell in cells[round(y) - 12 : round(y) + 13, max(round(x) - 12, 0) : round(x) + 13]
    overlay = cv2.imread(str(tmp_path / "out" / "overlay" / "big.png"))
    assert ((overlay == QUIET[::-1]).all(axis=2) & (cells > 0)).sum() > 20 * row["num_cells"]
    labels = tifffile.imread(tmp_path / "out" / "labels" / "big.tif")
    assert found["area"].tolist() == np.bincount(labels.ravel(), minlength=5)[1:].tolist()
    tree = json.loads((tmp_path / "out" / "geojson" / "big.geojson").read_text())
    ends = [feature["geometry"]["coordinates"][0] for feature in tree["features"]]
    assert ends == [[x + 0.5, y + 0.5] for x, y in (json.loads(text)[0] for text in found["line"])]
