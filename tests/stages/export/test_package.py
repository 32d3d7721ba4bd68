"""A package of bioimage.io passes that project's own test, and answers as the program of its model does."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from tests.conftest import ROOT

from nanonuclei.config.params import with_settings
from nanonuclei.serving.named import open_model
from nanonuclei.stages.export.contents import fitted
from nanonuclei.stages.export.mended import mend
from nanonuclei.stages.shipped.small_images import small_images
from nanonuclei.tasks import create_exchange, create_reader
from nanonuclei.tasks.exchange import Sizes

pytestmark = [
    pytest.mark.slow,
    # bioimageio.spec 0.5.12 leaves the files that it reads to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
]


@pytest.fixture(scope="module")
def description(package: tuple[Path, list[str]]) -> dict:
    with zipfile.ZipFile(package[0]) as archive:
        return yaml.safe_load(archive.read("rdf.yaml"))


def test_package_passes_the_test_of_bioimageio(package: tuple[Path, list[str]]) -> None:
    from bioimageio.core import test_description as check

    mend()
    summary = check(package[0])
    assert summary.status == "passed", summary.format()
    assert {detail.status for detail in summary.details} == {"passed"}
    assert "passes `bioimageio test` with onnx" in package[1][-1]


def test_answers_through_bioimageio_equal_those_of_the_program(package: tuple[Path, list[str]]) -> None:
    from package import answers_of, pipeline_of

    opened = open_model("nuclei")
    config = with_settings(opened.config, {"windows.diameter": "none"})  # other tools show an image once
    reader, exchange = create_reader(config), create_exchange(config)
    pipeline = pipeline_of(package[0])
    for name, whole in small_images(config).items():
        image = fitted(whole, Sizes(64, 32))
        shape = (image.shape[0], image.shape[1])
        scores = next(iter(reader.score_maps(opened.network, [reader.network_input(image)])))
        ours, (maps, theirs) = reader.instances(scores, shape), answers_of(pipeline, exchange.shown(image))
        labels = theirs[..., 0].astype(int)
        assert np.abs(maps[..., 0] - (1 - scores[..., 0])).max() < 2e-3, name
        assert np.abs(maps[..., 1] - scores[..., 1]).max() < 2e-3, name
        assert np.allclose(theirs[..., 2], 2 ** (8 * scores[..., 3]), rtol=0.02), name
        assert labels.max() == len(ours) > 2, name
        assert (labels == ours.pixels()).mean() > 0.9995, name
        found = [theirs[..., 1][labels == number].mean() for number in range(1, len(ours) + 1)]
        assert np.allclose(found, ours.scores, atol=2e-3), name


def test_package_of_nanotubes_passes_and_answers_the_lines_of_the_program(tmp_path: Path) -> None:
    from package import answers_of, pipeline_of

    from nanonuclei.stages.export.export import export

    said: list[str] = []
    export("nanotubes", tmp_path / "tubes.zip", say=said.append)
    assert "passes `bioimageio test` with onnx" in said[-1]
    opened = open_model("nanotubes")
    reader, exchange = create_reader(opened.config), create_exchange(opened.config)
    image = fitted(small_images(opened.config)["simulated-1"], Sizes(64, 32))
    (ours,) = reader.score_maps(opened.network, [reader.network_input(image)])
    maps, theirs = answers_of(pipeline_of(tmp_path / "tubes.zip"), exchange.shown(image)[..., None])
    assert np.abs(maps - ours).max() < 2e-3
    lines = reader.instances(ours, (image.shape[0], image.shape[1]))
    assert theirs[..., 0].max() == len(lines) > 2
    assert (theirs[..., 0] == lines.pixels()).mean() > 0.999


def test_package_tells_data_scores_and_how_the_model_was_made(
    package: tuple[Path, list[str]], description: dict
) -> None:
    with zipfile.ZipFile(package[0]) as archive:
        text = archive.read("README.md").decode()
    for part in (
        # 'pydantic<2.14': see stages/export/mended.py; then what read_out.py imports.
        "pip install 'bioimageio.core[onnx]==0.11.0' 'pydantic<2.14' numpy opencv-python-headless scipy scikit-image\n",
        "465 train, 66 val, 133 test images",
        "| AP at IoU 0.5, pooled | 0.785 (0.738 to 0.829) |",
        "## Validation",
        "CC0 1.0",
        "CC-BY-4.0 by A. Person",
        "whole image",
        "## Left out",
        "Fiji and QuPath themselves were not run",
    ):
        assert part in text, part
    assert description["config"]["nanonuclei"]["run"] == "7f6d1a34b46542a09b06855db01a4485"
    assert description["license"] == "CC-BY-4.0"
    assert list(description["weights"]) == ["onnx"]
    assert any("TensorFlow SavedModel" in line for line in package[1])


def test_package_scales_as_the_model_does_and_takes_sizes_that_its_network_takes(description: dict) -> None:
    image = description["inputs"][0]
    scaling = {step["id"]: step.get("kwargs", {}) for step in image["preprocessing"]}
    assert scaling["scale_range"]["min_percentile"] == 1.0
    assert scaling["scale_range"]["max_percentile"] == 99.8
    assert sorted(scaling["scale_range"]["axes"]) == ["channel", "x", "y"]
    assert scaling["clip"] == {"min": 0.0, "max": 1.0}
    sides = {axis["id"]: axis["size"] for axis in image["axes"] if axis["type"] == "space"}
    assert sides == {"y": {"min": 64, "step": 32}, "x": {"min": 64, "step": 32}}


def test_every_file_of_the_package_is_as_its_hash_says_and_tells_no_place_of_this_machine(
    package: tuple[Path, list[str]], description: dict
) -> None:
    named = {}
    waiting: list = [description]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict) and "source" in one:
            named[one["source"]] = one["sha256"]
        waiting += list(one.values()) if isinstance(one, dict) else one if isinstance(one, list) else []
    with zipfile.ZipFile(package[0]) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    assert set(named) == set(files) - {"rdf.yaml"}
    assert {name: hashlib.sha256(files[name]).hexdigest() for name in named} == named
    for name, content in files.items():
        for place in (str(ROOT), str(Path.home()) + "/", str(package[0].parent), "/tmp/"):
            assert place.encode() not in content, (name, place)
