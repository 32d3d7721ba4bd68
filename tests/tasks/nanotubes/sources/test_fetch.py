"""Fetching nanotubes: one zip with always the same bytes, or nothing."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from nanonuclei.errors import DataError
from nanonuclei.tasks.nanotubes.data_config import ChannelsConfig, SimulatedNanotubesConfig
from nanonuclei.tasks.nanotubes.dataset import NanotubeDataset
from nanonuclei.tasks.nanotubes.sources.fetch import fetch_tnt
from nanonuclei.tasks.nanotubes.sources.images import read_tnt, simulated_tubes
from nanonuclei.tasks.nanotubes.sources.samples import TubeSample

SIMULATED = SimulatedNanotubesConfig(
    num_images=3,
    size=128,
    cell_radius=14.0,
    coverage=0.3,
    tubes_per_cell=0.5,
    faint=0.2,
    distractors=1.0,
    noise=1.0,
    tile=0,
)


def fetch(source: object, data: Path) -> list[str]:
    said: list[str] = []
    fetch_tnt(str(source), data, simulated=SIMULATED, seed=3, report=said.append)
    return said


def names(data: Path) -> list[str]:
    with zipfile.ZipFile(data / "tnt/tnt.zip") as archive:
        assert all(entry.compress_type == zipfile.ZIP_STORED for entry in archive.infolist())
        return archive.namelist()


def picture(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.random.default_rng(seed).integers(1, 255, (30, 40)).astype(np.uint8))


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    folder = tmp_path / "my set"
    for name in "ab":
        picture(folder / f"images/{name}.png")
        picture(folder / f"masks/{name}.png")
        cv2.imwrite(str(folder / f"masks/{name}.png"), np.eye(30, 40, dtype=np.uint8))
    (folder / "notes.txt").write_text("private")
    (folder / ".DS_Store").write_text("")
    return folder


def test_a_folder_becomes_a_zip_that_can_be_read(dataset, tmp_path):
    said = fetch(dataset, tmp_path / "data")
    assert NanotubeDataset.locate("tnt", tmp_path / "data") == tmp_path / "data/tnt/tnt.zip"
    assert names(tmp_path / "data") == ["images/a.png", "images/b.png", "masks/a.png", "masks/b.png"]
    assert "2 images with masks" in said[-1]
    samples = list(read_tnt(tmp_path / "data/tnt/tnt.zip", ChannelsConfig(tubes=0, nuclei="none")))
    assert [sample.sample_id for sample in samples] == ["a", "b"]


def test_the_same_files_give_the_same_bytes_wherever_they_lie(dataset, tmp_path):
    fetch(dataset, tmp_path / "one")
    with zipfile.ZipFile(tmp_path / "set.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(dataset.rglob("*.png"), reverse=True):
            archive.write(file, f"top/{file.relative_to(dataset).as_posix()}")
    fetch(tmp_path / "set.zip", tmp_path / "two")
    one, two = ((tmp_path / name / "tnt/tnt.zip").read_bytes() for name in ("one", "two"))
    assert one == two
    fetch(tmp_path / "two/tnt/tnt.zip", tmp_path / "three")
    assert (tmp_path / "three/tnt/tnt.zip").read_bytes() == one
    assert "nothing to do" in fetch(tmp_path / "two/tnt/tnt.zip", tmp_path / "two")[0]


@pytest.mark.parametrize("place", ["windows", "images", "."])
def test_annotations_bring_the_images_beside_them(tmp_path, place):
    tasks = []
    for number in range(3):
        picture(tmp_path / "labelled" / place / f"w{number}.png", number)
        region = {
            "type": "rectanglelabels",
            "original_width": 40,
            "original_height": 30,
            "value": {"x": 25, "y": 10, "width": 50, "height": 10, "rectanglelabels": ["TNT"]},
        }
        answers = [{"result": [region] * number, "was_cancelled": False}] if number < 2 else []
        data = {"image": f"/data/local-files/?d=windows/w{number}.png", "source": "big.tif"}
        tasks.append({"id": number, "data": data, "annotations": answers})
    export = tmp_path / "labelled/project-1.json"
    export.write_text(json.dumps(tasks))
    said = fetch(export, tmp_path / "data")
    assert names(tmp_path / "data") == ["images/windows/w0.png", "images/windows/w1.png", "project-1.json"]
    assert "1 tasks without a finished annotation are left out" in said[1]
    samples = list(read_tnt(tmp_path / "data/tnt/tnt.zip", ChannelsConfig(tubes=0, nuclei="none")))
    assert all(isinstance(one, TubeSample) for one in samples)
    assert [(one.sample_id, one.truth.boxes.tolist(), one.group) for one in samples] == [  # type: ignore[union-attr]
        ("w0", [], "big.tif"),
        ("w1", [[3.0, 10.0, 6.0, 30.0]], "big.tif"),
    ]


def test_problems_are_told_but_do_not_stop_the_fetch(dataset, tmp_path):
    picture(dataset / "images/c.png")
    said = fetch(dataset, tmp_path / "data")
    assert any("images/c.png | no mask" in line for line in said)
    assert "images/c.png" in names(tmp_path / "data")


def test_simulated_images_are_fetched_with_their_masks_and_cells(tmp_path):
    fetch("simulated", tmp_path / "data")
    fetch("simulated", tmp_path / "again")
    assert (tmp_path / "data/tnt/tnt.zip").read_bytes() == (tmp_path / "again/tnt/tnt.zip").read_bytes()
    channels = ChannelsConfig(tubes="membranes", nuclei="nuclei")
    read = [one for one in read_tnt(tmp_path / "data/tnt/tnt.zip", channels) if isinstance(one, TubeSample)]
    for one, drawn in zip(read, simulated_tubes(SIMULATED, seed=3), strict=True):
        np.testing.assert_array_equal(one.image, drawn.image)
        np.testing.assert_array_equal(one.nuclei, drawn.nuclei)
        np.testing.assert_array_equal(one.truth.labels > 0, drawn.truth.labels > 0)
        assert one.truth.num_cells == drawn.truth.num_cells


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("public", r"source must be simulated or the path.*No dataset of nanotubes is public"),
        ("simulted", r"got 'simulted', which does not exist\. Did you mean simulated\?"),
        ("empty", "must hold images"),
        ("no.json", "must be annotations of COCO, LabelMe or Label Studio"),
        ("alone.json", r"the images of .*alone\.json must lie beside it.*no far/a\.png is in"),
        ("text.zip", "is no complete zip"),
    ],
)
def test_what_cannot_be_fetched_leaves_everything_as_it_was(dataset, tmp_path, source, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "no.json").write_text("{}")
    (tmp_path / "text.zip").write_text("no zip")
    alone = {"images": [{"id": 1, "file_name": "far/a.png"}], "annotations": [], "categories": []}
    (tmp_path / "alone.json").write_text(json.dumps(alone))
    fetch(dataset, tmp_path / "data")
    before = (tmp_path / "data/tnt/tnt.zip").read_bytes()
    with pytest.raises(DataError, match=message):
        fetch(source if source in ("public", "simulted") else tmp_path / source, tmp_path / "data")
    assert (tmp_path / "data/tnt/tnt.zip").read_bytes() == before
    assert [path.name for path in (tmp_path / "data/tnt").iterdir()] == ["tnt.zip"]
