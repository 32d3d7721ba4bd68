"""The package of a task that scans: grey images in, scores of windows out, as ONNX and as a SavedModel."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml

from nanonuclei.stages.export.export import export

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:In the future `np.object`:FutureWarning"),
]


def exported(model: Path, folder: Path) -> tuple[dict, list[str], Path]:
    said: list[str] = []
    path = export(str(model), folder / "package.zip", say=said.append)
    with zipfile.ZipFile(path) as archive:
        return yaml.safe_load(archive.read("rdf.yaml")), said, path


def test_package_of_a_scan_takes_grey_images_and_tells_how_its_windows_lie(logged_tubes: Path, tmp_path: Path) -> None:
    description, said, path = exported(logged_tubes, tmp_path)
    assert set(description["weights"]) == {"onnx", "tensorflow_saved_model_bundle"}
    assert not [line for line in said if line.startswith("Left out")]
    geometry = json.loads((logged_tubes / "artifacts" / "geometry.json").read_text())
    patch, stride = geometry["window"] + 2 * geometry["margin"], geometry["stride"]
    image, maps = description["inputs"][0], description["outputs"][0]
    assert image["axes"][3]["channel_names"] == ["grey"]
    assert image["axes"][1]["size"] == {"min": patch, "step": stride}
    assert maps["axes"][1]["scale"] == stride
    with zipfile.ZipFile(path) as archive:
        arrays = {name: np.load(archive.open(f"test_{name}.npy")) for name in ("image", "answer")}
    assert arrays["image"].shape[3] == arrays["answer"].shape[3] == 1
    assert (arrays["image"].shape[1] - patch) // stride + 1 == arrays["answer"].shape[1]
    assert [output["id"] for output in description["outputs"]] == ["maps"]
