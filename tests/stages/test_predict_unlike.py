"""Images that look unlike those that the model was trained on are told in the table and counted."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from tests.conftest import disc_labels
from tests.stages.bright_model import DISCS, write_looks

from nanonuclei.stages.predict.predict import predict
from nanonuclei.stages.predict.request import Request

pytestmark = pytest.mark.usefixtures("known_model")


def test_images_that_look_unlike_the_training_images_are_counted_and_told_in_the_table(
    images: Path, tmp_path: Path
) -> None:
    write_looks(tmp_path / "model")
    labels = disc_labels((80, 70), DISCS)
    cv2.imwrite(str(images / "inverted.png"), np.where(labels > 0, 10, 240).astype(np.uint8))
    told: list[str] = []
    output = predict(Request(str(images), "run"), say=told.append).output
    table = pd.read_csv(output / "images.csv", dtype=str, keep_default_na=False).set_index("image")
    assert table["unlike_training"]["discs"] == ""
    assert table["unlike_training"]["inverted"].startswith("background 1, in the nearest training image 0")
    assert table["unlike_training"]["empty"].startswith("fine detail or noise 0,")
    assert sum("2 images look unlike those that the model was trained on (of 4;" in line for line in told) == 1
    assert "unlike_training: in what the image looks unlike" in (output / "README.txt").read_text()


def test_the_channel_of_a_colour_image_that_looks_unlike_the_training_images_is_hinted_at(
    images: Path, tmp_path: Path
) -> None:
    write_looks(tmp_path / "model")
    red = np.zeros((80, 70, 3), np.uint8)
    red[..., 2] = np.where(disc_labels((80, 70), DISCS) > 0, 240, 10)
    cv2.imwrite(str(images / "red.png"), red)
    for channel, hinted in ((None, 1), ("red", 0)):
        told: list[str] = []
        request = Request(str(images / "red.png"), "run", output=tmp_path / f"out-{channel}", channel=channel)
        table = pd.read_csv(predict(request, say=told.append).output / "images.csv", dtype=str, keep_default_na=False)
        assert sum("in one colour alone, name it, as by `-P channel=blue`" in line for line in told) == hinted
        assert table["unlike_training"][0].endswith(", shown in colours") == bool(hinted)


def test_one_image_is_told_of_in_the_singular(images: Path, tmp_path: Path) -> None:
    write_looks(tmp_path / "model")
    told: list[str] = []
    output = predict(Request(str(images / "empty.png"), "run", output=tmp_path / "one"), say=told.append).output
    assert ": nuclei in 1 image." in (output / "README.txt").read_text()
    (line,) = [line for line in told if "unlike" in line]
    assert line.startswith("Warning: 1 image looks unlike those")
    assert line.endswith("Check its outlines before you believe its count.")
