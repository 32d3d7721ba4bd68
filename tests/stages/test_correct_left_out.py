"""Images of results that cannot be corrected cost no other: they are left out, told, and exit code 3 says so."""

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
from tests.stages.test_correct import NAMES, SHAPE, quiet, results

from nanonuclei.cli import main
from nanonuclei.errors import DataError
from nanonuclei.stages.correct.correct import correct

__all__ = ["results"]


def on_site1(change: Callable[[Path], Any]) -> Callable[[Path], None]:
    """Changes the image of a result; the others stay as they are."""
    return lambda folder: change(folder.parent / "in" / "A01" / "site1.png")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "objects" / "A01" / "site1.csv").unlink(), "formats csv and labels"),
        (lambda folder: (folder / "labels" / "A01" / "site1.png").unlink(), "formats csv and labels"),
        (on_site1(Path.unlink), "is not in .*in. Name the folder of the images: `-P images=FOLDER`"),
        (on_site1(lambda path: path.write_bytes(path.read_bytes()[:60])), "site1.png: .*damaged|was changed"),
        (on_site1(lambda path: cv2.imwrite(str(path), np.zeros(SHAPE, np.uint8))), "was changed since its result"),
    ],
)
def test_an_image_that_cannot_be_corrected_costs_no_other(
    results: Path, spoil: Callable[[Path], None], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(results)
    assert main(["correct", str(results), "--to", "label-studio", "--output", "out"]) == 3
    said = capsys.readouterr().out
    assert "out: 4 images" in said
    assert re.search(f"A01/site1.* \\| .*{message}", said)
    assert "Warning: 1 of 5 images cannot be used and are left out." in said
    rows = list(csv.DictReader(Path("out/order.csv").read_text().splitlines()))
    assert [(row["rank"], row["image"]) for row in rows] == [(str(n), name) for n, name in enumerate(NAMES[1:], 1)]
    assert [task["data"]["rank"] for task in json.loads(Path("out/tasks.json").read_text())] == [1, 2, 3, 4]


def test_images_of_another_size_are_left_out_where_they_are_named_anew(results: Path) -> None:
    cv2.imwrite("in/A01/site1.png", np.zeros((40, 70), np.uint8))
    found = correct(results, Path("out"), to="fiji", images="in", say=quiet)
    (problem,) = found.problems
    assert re.search("site1 has 70 x 40 px, its result 70 x 80 px: the image was changed since", problem.problem)
    assert [one.name for one in found.images] == NAMES[1:]


def test_results_of_which_no_image_can_be_corrected_are_refused(results: Path) -> None:
    (results.parent / "in").rename(results.parent / "moved")
    (results.parent / "in").mkdir()
    cv2.imwrite("in/other.png", np.zeros(SHAPE, np.uint8))
    with pytest.raises(DataError, match=r"in must hold .* lacks 5 images, such as A01/site1\..*-P images=FOLDER"):
        correct(results, Path("out"), to="fiji", say=quiet)
    for path in (results / "labels").rglob("*.png"):
        path.unlink()
    with pytest.raises(
        DataError, match=r"holds none: 5 problems in 5 samples\n(.*\n)+A01/site1 .*formats csv and labels"
    ):
        correct(results, Path("out"), to="fiji", images="moved", say=quiet)
    (results / "nanonuclei.json").unlink()
    with pytest.raises(DataError, match="Name one that predict wrote"):
        correct(results, Path("out"), to="fiji", say=quiet)
    assert not Path("out").exists()
