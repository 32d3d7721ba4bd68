"""Results of the images that a table lists are corrected as those of a folder are."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from tests.conftest import disc_labels
from tests.stages.bright_model import bright_model

from nanonuclei.stages.correct.correct import correct
from nanonuclei.stages.predict.predict import predict
from nanonuclei.stages.predict.request import Request


def quiet(_: str) -> None:
    pass


def test_images_of_a_manifest_are_found_again(project: Path) -> None:
    for place in ("one/a.png", "two/b.png"):
        (project / place).parent.mkdir()
        image = np.where(disc_labels((80, 70), [(30.0, 40.0, 8.0)]) > 0, 220, 3).astype(np.uint8)
        cv2.imwrite(str(project / place), image)
    (project / "listed.csv").write_text("path,well\none/a.png,A1\ntwo/b.png,A2\n")
    predict(Request("listed.csv", f"{bright_model(project / 'model')}/", output=project / "results"), say=quiet)
    correct(project / "results", project / "corrected", to="qupath", say=quiet)
    assert {path.name for path in (project / "corrected").rglob("*.geojson")} == {"a.geojson", "b.geojson"}
