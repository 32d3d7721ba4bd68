"""A folder of images in, label maps and tables out; the network is one that is bright where the image is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile
from tests.conftest import disc_labels, tube_sample
from tests.run_lengths import from_run_lengths

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.errors import ConfigError, DataError
from nanonuclei.serving.named import NamedModel, OpenedModel
from nanonuclei.stages import predict as stage
from nanonuclei.stages.predict import find_images, predict
from nanonuclei.tasks.nanotubes.config import NanotubeExperiment
from nanonuclei.tasks.nanotubes.reader import NanotubeReader
from nanonuclei.tasks.nuclei.config import NucleiExperiment

DISCS = [(12.0, 12.0, 6.0), (30.0, 40.0, 8.0), (60.0, 20.0, 5.0)]
FOREGROUND = {"target.kind": "foreground", "loss.kind": "binary_crossentropy", "instances.min_area": 5}


def opened(config: ExperimentConfig, network: object) -> Callable[..., OpenedModel]:
    """Opens a network of the test whatever model is asked for."""
    return lambda model, **_: OpenedModel(NamedModel(model, Path()), config, network)


@pytest.fixture(autouse=True)
def _known_model(monkeypatch: pytest.MonkeyPatch, experiment: Callable[..., NucleiExperiment]) -> None:
    config = experiment({**FOREGROUND, "normalize.kind": "range"})
    monkeypatch.setattr(stage, "open_model", opened(config, lambda batch: batch[..., :1]))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    (folder / "deeper").mkdir(parents=True)
    labels = disc_labels((80, 70), DISCS)
    cv2.imwrite(str(folder / "discs.png"), np.where(labels > 0, 240, 10).astype(np.uint8))
    cv2.imwrite(str(folder / "deeper" / "sixteen.tif"), np.where(labels > 0, 60000, 500).astype(np.uint16))
    cv2.imwrite(str(folder / "empty.png"), np.zeros((40, 50, 3), np.uint8))
    (folder / "notes.txt").write_text("not an image")
    return folder


def quiet(_: str) -> None:
    pass


def test_label_maps_tables_and_outlines_tell_the_same_nuclei(images: Path, tmp_path: Path) -> None:
    output = predict("run", images, output=tmp_path / "found", submission=True, say=quiet)
    counts = pd.read_csv(output / "images.csv").set_index("image")["num_objects"].to_dict()
    assert counts == {"discs": 3, "deeper/sixteen": 3, "empty": 0}
    truth = disc_labels((80, 70), DISCS)
    objects = pd.read_csv(output / "objects.csv")
    for name in ("discs", "deeper/sixteen"):
        labels = cv2.imread(str(output / "labels" / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        assert labels.dtype == np.uint16
        np.testing.assert_array_equal(labels > 0, truth > 0)
        rows = objects[objects["image"] == name]
        assert sorted(rows["area"]) == sorted(np.bincount(truth.ravel())[1:])
        assert cv2.imread(str(output / "outlines" / f"{name}.png")).shape == (80, 70, 3)


def test_submission_holds_every_nucleus_once_and_names_images_without_any(images: Path, tmp_path: Path) -> None:
    output = predict("run", images, output=tmp_path / "found", submission=True, say=quiet)
    table = pd.read_csv(output / "submission.csv", keep_default_na=False)
    assert list(table.columns) == ["ImageId", "EncodedPixels"]
    assert table.loc[table["ImageId"] == "empty", "EncodedPixels"].tolist() == [""]
    found = from_run_lengths(table.loc[table["ImageId"] == "discs", "EncodedPixels"].tolist(), (80, 70))
    np.testing.assert_array_equal(found.labels > 0, disc_labels((80, 70), DISCS) > 0)
    first = table.loc[table["ImageId"] == "discs", "EncodedPixels"].iloc[0].split()
    y0, x0 = np.argwhere(disc_labels((80, 70), DISCS).T == 1)[0][::-1]
    assert int(first[0]) == x0 * 80 + y0 + 1  # counted down the columns, from 1


def test_broken_images_are_named_together_and_nothing_is_written(images: Path, tmp_path: Path) -> None:
    (images / "broken.png").write_bytes(b"\x89PNG\r\n")
    tifffile.imwrite(images / "two.tif", np.zeros((4, 4, 2), np.uint8), photometric="minisblack", planarconfig="contig")
    with pytest.raises(DataError, match=r"2 of 5 images cannot be read") as error:
        predict("run", images, output=tmp_path / "found", say=quiet)
    assert "broken.png" in str(error.value)
    assert "two.tif: holds 2 channels, and none is chosen" in str(error.value)
    assert not (tmp_path / "found").exists()


def test_what_is_in_the_way_is_told(images: Path, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="holds no image"):
        find_images(tmp_path / "none")
    with pytest.raises(ConfigError, match=r"images exists"):
        predict("run", images, output=images, say=quiet)
    with pytest.raises(ConfigError, match=r"keeps its train\.epochs"):
        predict("run", images, output=tmp_path / "found", settings=["train.epochs=3"], say=quiet)


def test_every_time_of_a_film_is_an_image_and_wells_keep_their_names(images: Path, tmp_path: Path) -> None:
    labels = disc_labels((80, 70), DISCS)
    film = np.stack([np.where(labels > 0, 60000, 500), np.where(labels == 1, 60000, 500)]).astype(np.uint16)
    for well in ("A01", "A02"):
        (tmp_path / "plate" / well).mkdir(parents=True)
        tifffile.imwrite(tmp_path / "plate" / well / "site1.tif", film, imagej=True, metadata={"axes": "TYX"})
    output = predict("run", tmp_path / "plate", output=tmp_path / "found", say=quiet)
    counts = pd.read_csv(output / "images.csv").set_index("image")["num_objects"].to_dict()
    names = {f"{well}/site1_t{time:03}": (3, 1)[time] for well in ("A01", "A02") for time in (0, 1)}
    assert counts == names
    assert all((output / "labels" / f"{name}.png").is_file() for name in names)


def test_one_image_is_enough(images: Path, tmp_path: Path) -> None:
    output = predict("run", images / "discs.png", output=tmp_path / "found", say=quiet)
    assert pd.read_csv(output / "images.csv")["image"].tolist() == ["discs"]
    assert not (output / "submission.csv").exists()


def test_nanotubes_are_counted_and_measured_beside_the_cells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tube_experiment: Callable[..., NanotubeExperiment]
) -> None:
    monkeypatch.setattr(stage, "open_model", opened(tube_experiment({"tubes.joins": "two"}), None))
    sure = lambda image: np.stack([np.full(image.shape[:2], 0.9, np.float32), image[..., 0]], axis=-1)  # noqa: E731
    monkeypatch.setattr(NanotubeReader, "score_maps", lambda reader, network, inputs: map(sure, inputs))
    (tmp_path / "images").mkdir()
    for seed in (0, 1):  # the first has a nanotube of 79 px, the second none
        cv2.imwrite(str(tmp_path / "images" / f"tube{seed}.png"), tube_sample("a", seed=seed).image)
    output = predict("run", tmp_path / "images", output=tmp_path / "found", say=quiet)
    rows = pd.read_csv(output / "images.csv").set_index("image")
    assert rows[["num_objects", "num_cells"]].to_numpy().tolist() == [[1, 2], [0, 2]]
    assert rows["objects_per_cell"].tolist() == [0.5, 0.0]
    (found,) = pd.read_csv(output / "objects.csv").to_dict("records")
    assert found["length"] == pytest.approx(79.0, abs=4.0)
    assert {found["first_cell"], found["last_cell"]} == {1, 2}
    assert all(abs(y - 24.0) < 1.5 for _, y in json.loads(found["line"]))
    assert pd.read_csv(output / "objects.csv").columns[-1] == "line"
