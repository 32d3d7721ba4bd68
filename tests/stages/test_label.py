"""From images to pictures for Label Studio, and from its export to a prepared dataset."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from tests.tasks.nanotubes.test_dataset import wanted

from nanonuclei.errors import ConfigError, DataError
from nanonuclei.serving.named import NamedModel, OpenedModel
from nanonuclei.stages.label import label
from nanonuclei.stages.prepare import prepare
from nanonuclei.tasks.nanotubes.data_config import NanotubeDataConfig
from nanonuclei.tasks.nanotubes.sources.fetch import fetch_tnt
from nanonuclei.tasks.nanotubes.sources.label_pictures import INTERFACE, TASKS, grid
from nanonuclei.tasks.nanotubes.sources.samples import tube_truth
from nanonuclei.tasks.values import Look, Looking


def stitched(path: Path, seed: int = 0) -> np.ndarray:
    """A 16-bit image of 256 x 300 px with a black right half."""
    image = np.random.default_rng(seed).integers(1000, 3000, (256, 300)).astype(np.uint16)
    image[:, 150:] = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, image)
    return image


def simulated(data: NanotubeDataConfig, source: Path, folder: Path) -> Path:
    return fetch_tnt(str(source), folder, simulated=data.simulated, seed=1, report=lambda _: None).path


def test_pictures_show_all_of_an_image_but_its_black_margin(tmp_path):
    image = stitched(tmp_path / "images/well 1.tif")
    said: list[str] = []
    label(tmp_path / "images", tmp_path / "out", size=80, say=said.append)
    tasks = json.loads((tmp_path / "out" / TASKS).read_text())
    assert len(tasks) == 6  # of 3 x 4 places, half are black
    assert "6 pictures of 1 image." in said[-1]
    seen = np.zeros(image.shape, int)
    for task in tasks:
        data = task["data"]
        place = np.s_[data["y0"] : data["y0"] + data["height"], data["x0"] : data["x0"] + data["width"]]
        seen[place] += 1
        picture = cv2.imread(str(tmp_path / "out" / data["image"].partition("?d=")[2]), cv2.IMREAD_UNCHANGED)
        assert picture.shape == image[place].shape
        assert picture.dtype == np.uint8
        bright = picture[image[place] > 0].astype(float)
        assert np.corrcoef(bright, image[place][image[place] > 0])[0, 1] > 0.99
        assert "predictions" not in task
        assert data["source"] == "well 1.tif"
    assert seen.max() == 1
    assert seen[:, :150].all()
    assert "TNT" in (tmp_path / "out" / INTERFACE).read_text()


def test_what_was_marked_in_pictures_becomes_a_dataset_split_by_image(tmp_path):
    for number in range(4):
        stitched(tmp_path / f"images/well{number}.tif", number)
    label(tmp_path / "images", tmp_path / "out", size=80, say=lambda _: None)
    export = json.loads((tmp_path / "out" / TASKS).read_text())
    for number, task in enumerate(export):
        region = {
            "type": "rectanglelabels",
            "original_width": task["data"]["width"],
            "original_height": task["data"]["height"],
            "value": {"x": 10, "y": 10, "width": 50, "height": 10, "rotation": 0, "rectanglelabels": ["TNT"]},
        }
        answers = [{"result": [region] if number % 2 else [], "was_cancelled": False}]
        task |= {"id": number, "annotations": answers if number != 5 else []}
    (tmp_path / "out/project-1.json").write_text(json.dumps(export))
    (tmp_path / "out" / TASKS).unlink()
    config = wanted()
    source = simulated(config.data, tmp_path / "out/project-1.json", tmp_path / "data")
    with zipfile.ZipFile(source) as archive:
        assert len(archive.namelist()) == 24  # an export and all pictures but one
    catalog = prepare(config, source=source, output=tmp_path / "prepared")
    assert len(catalog.samples) == 23
    assert sum(sample.num_objects for sample in catalog.samples) == 11
    fields = {
        sample.field: {other.split for other in catalog.samples if other.field == sample.field}
        for sample in catalog.samples
    }
    assert len(fields) == 4
    assert all(len(splits) == 1 for splits in fields.values())
    truth = tube_truth(next(sample for sample in catalog.samples if sample.num_objects))
    height, width = truth.labels.shape
    np.testing.assert_allclose(truth.boxes, [[0.1 * height, 0.1 * width, 0.2 * height, 0.6 * width]], rtol=1e-5)


@pytest.mark.parametrize(
    ("shape", "size", "expected"),
    [((512, 512), 512, 1), ((100, 100), 512, 1), ((1000, 600), 512, 2), ((5000, 6000), 512, 120)],
)
def test_the_grid_divides_an_image_evenly(shape, size, expected):
    windows = grid(shape, size)
    assert len(windows) == expected
    assert sum((w.y1 - w.y0) * (w.x1 - w.x0) for w in windows) == shape[0] * shape[1]
    heights = [w.y1 - w.y0 for w in windows]
    assert max(heights) - min(heights) <= 1


def test_images_that_cannot_be_read_are_told_and_the_others_cut(tmp_path):
    stitched(tmp_path / "images/a.tif")
    (tmp_path / "images/b.tif").write_bytes(b"broken")
    said: list[str] = []
    assert not label(tmp_path / "images", tmp_path / "out", size=128, say=said.append)
    assert said[-1] == "Warning: 1 of 2 images cannot be used, see above."
    assert "b.tif  | not a readable image" in said[0]
    assert "2 pictures of 1 image." in said[1]


def test_what_must_not_be_read_costs_no_other_image(tmp_path):
    stitched(tmp_path / "images/a.tif")
    (tmp_path / "images/out.png").symlink_to("/nowhere")
    (tmp_path / "images/within.png").symlink_to("nowhere.png")
    (tmp_path / "images/circle.png").symlink_to("circle.png")
    (tmp_path / "images/notes.txt").symlink_to("/nowhere")
    os.mkfifo(tmp_path / "images/pipe.png")
    os.mknod(os.fsencode(tmp_path / "images") + b"/\xff.png")
    said: list[str] = []
    assert not label(tmp_path / "images", tmp_path / "out", size=128, say=said.append)
    assert said[-1] == "Warning: 5 of 6 images cannot be used, see above."
    for file in ("out.png is a link that leads out of", "within.png: No such file", "circle.png is a link", "a pipe"):
        assert file in said[0]
    assert "notes" not in said[0]
    (tmp_path / "images/a.tif").unlink()
    with pytest.raises(DataError, match="but none can"):
        label(tmp_path / "images", tmp_path / "none", size=128, say=said.append)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 10}, r"size must be in 64\.\.4096 px, got 10"),
        ({"output": "images"}, "must be a new or empty folder"),
        ({"channel": "actin"}, "must hold an image that can be read, but none can"),
        ({"images": "empty"}, "must hold images, PNG, JPEG or TIFF"),
    ],
)
def test_what_cannot_be_done_leaves_nothing_behind(tmp_path, options, message):
    stitched(tmp_path / "images/a.tif")
    (tmp_path / "empty").mkdir()
    values = {"images": "images", "output": "out", "channel": 0, "size": 128} | options
    with pytest.raises(DataError, match=message):
        label(
            tmp_path / values["images"],
            tmp_path / values["output"],
            channel=values["channel"],
            size=values["size"],
            say=lambda _: None,
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "images"]


def test_channel_that_an_image_lacks_is_to_be_changed_by_its_option(tmp_path):
    stitched(tmp_path / "images/a.tif")
    said: list[str] = []
    with pytest.raises(DataError):
        label(tmp_path / "images", tmp_path / "out", channel="actin", size=128, say=said.append)
    assert "no channel 'actin'; there are: 0 grey. Change channel" in " ".join("\n".join(said).split())


def test_with_a_model_the_least_sure_pictures_come_first_and_hold_its_boxes(tmp_path, monkeypatch):
    stitched(tmp_path / "images/well.tif")
    scores = np.full((256, 300), 0.9, np.float32)
    scores[100:120, 100:120] = 0.95
    scores[:85] = 0.45
    boxes = np.array([[90, 60, 110, 90], [10, 10, 20, 20]], np.float32)  # the first reaches into two pictures
    seen = Look(scores, boxes, np.array([0.8, 0.7], np.float32))
    looking = Looking("abc", 0.5, lambda image: seen)
    monkeypatch.setattr("nanonuclei.stages.label._loaded", lambda model: (wanted(), looking))
    label(tmp_path / "images", tmp_path / "out", size=80, model="abc", say=lambda _: None)
    tasks = json.loads((tmp_path / "out" / TASKS).read_text())
    predictions = [task["predictions"][0] for task in tasks]
    assert [prediction["score"] for prediction in predictions] == pytest.approx([0.45, 0.45, 0.9, 0.9, 0.9, 0.95])
    assert sum(len(prediction["result"]) for prediction in predictions) == 3
    assert {prediction["model_version"] for prediction in predictions} == {"abc"}


def test_model_of_another_task_is_refused(tmp_path, monkeypatch, experiment):
    stitched(tmp_path / "images/well.tif")
    opened = OpenedModel(NamedModel("abc", tmp_path), experiment(), lambda batch: batch)
    monkeypatch.setattr("nanonuclei.stages.label.open_model", lambda model, **_: opened)
    with pytest.raises(ConfigError, match="annotated in them, but abc is a model of nuclei"):
        label(tmp_path / "images", tmp_path / "out", model="abc")
    assert not (tmp_path / "out").exists()
