"""Results never stand for other pixels than those of the file that is there: changed inputs and names that clash."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile
from tests.stages.bright_model import bright_model, disc_image, write_images

from nanonuclei.cli import main
from nanonuclei.stages.predict.large import windows

EMPTY = np.full((80, 70), 10, np.uint8)
ONE = np.where(np.arange(80)[:, None] < 9, disc_image(), 10).astype(np.uint8)


@pytest.fixture
def model(tmp_path: Path) -> str:
    return f"{bright_model(tmp_path / 'model')}/"


def found(images: Path, model: str, *more: str) -> dict[str, tuple[str, int]]:
    """Predicts, going on where results are there, and returns files and numbers of objects of images."""
    output = images.parent / "out"
    words = ["predict", str(images), "--model", model, "--output", str(output), "--formats", "csv,labels"]
    assert main([*words, *more, *(["--resume"] if output.exists() else [])]) in (0, 3)
    rows = pd.read_csv(output / "images.csv", dtype={"image": str}, keep_default_na=False)
    rows = rows[rows["error"] == ""]
    told = {image: (file, int(number)) for image, file, number in rows[["image", "file", "num_objects"]].values}
    objects = pd.read_csv(output / "objects.csv", dtype={"image": str})["image"].value_counts().to_dict()
    assert objects == {image: number for image, (_, number) in told.items() if number}
    labels = {path.relative_to(output / "labels").with_suffix("").as_posix() for path in output.rglob("labels/**/*.*")}
    assert labels == set(told)
    return told


def test_an_image_that_was_replaced_under_its_name_is_done_over(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    images = write_images(tmp_path / "in", ["a.png", "b.png"])
    assert found(images, model) == {"a": ("a.png", 3), "b": ("b.png", 3)}
    cv2.imwrite(str(images / "a.png"), EMPTY)
    assert found(images, model) == {"a": ("a.png", 0), "b": ("b.png", 3)}
    assert "The files of 1 images were changed since: these images are done over." in capsys.readouterr().out
    other = write_images(tmp_path / "other", ["a.png"])
    assert found(other, model)["a"] == ("a.png", 3)


def test_an_image_under_the_name_of_another_file_is_not_taken_for_done(tmp_path: Path, model: str) -> None:
    images = write_images(tmp_path / "in", ["a.png"])
    found(images, model)
    tifffile.imwrite(images / "a.tif", EMPTY)
    assert found(images, model) == {"a.png": ("a.png", 3), "a.tif": ("a.tif", 0)}
    (images / "a.png").unlink()
    assert found(images, model)["a"] == ("a.tif", 0)


def test_times_that_a_film_no_longer_has_are_gone(tmp_path: Path, model: str) -> None:
    images = write_images(tmp_path / "in", ["b.png"])
    film = np.stack([disc_image(), disc_image(), EMPTY])
    tifffile.imwrite(images / "a.tif", film, imagej=True, metadata={"axes": "TYX"})
    assert {name: number for name, (_, number) in found(images, model).items()} == {
        "a_t000": 3,
        "a_t001": 3,
        "a_t002": 0,
        "b": 3,
    }
    tifffile.imwrite(images / "a.tif", film[1:], imagej=True, metadata={"axes": "TYX"})
    assert {name: number for name, (_, number) in found(images, model).items()} == {"a_t000": 3, "a_t001": 0, "b": 3}


def test_a_plane_of_a_film_and_a_file_of_its_name_are_two_images(tmp_path: Path, model: str) -> None:
    images = write_images(tmp_path / "in", ["a_t000.png"])
    film = np.stack([EMPTY, ONE])
    tifffile.imwrite(images / "a.tif", film, imagej=True, metadata={"axes": "TYX"})
    assert found(images, model) == {
        "a.tif_t000": ("a.tif", 0),
        "a.tif_t001": ("a.tif", 1),
        "a_t000.png": ("a_t000.png", 3),
    }


def test_a_folder_that_is_called_as_a_result_costs_no_other_image(tmp_path: Path, model: str) -> None:
    images = write_images(tmp_path / "in", ["a.jpg", "a.csv/b.png", "a.png/c.png", "d.png"])
    done = found(images, model)
    assert {"a.csv/b", "a.png/c", "d"} - set(done) <= {"a.csv/b", "a.png/c"}
    rows = pd.read_csv(tmp_path / "out" / "images.csv").set_index("file")["error"].dropna()
    assert rows.str.contains("called as a folder of other results is").all()
    assert {"a", "a.csv/b", "a.png/c", "d"} == set(done) | {file.rsplit(".", 1)[0] for file in rows.index}


def test_a_large_image_with_too_long_a_name_costs_no_other_image(
    tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(windows, "LEAST_BYTES", 0)
    monkeypatch.setattr(windows.large_images, "__kwdefaults__", {"most": 5000})
    images = write_images(tmp_path / "in", ["b.png"])
    large = np.tile(disc_image(), (2, 1))
    tifffile.imwrite(images / f"{'x' * 251}.tif", large, tile=(16, 16))
    tifffile.imwrite(images / "c.tif", large, tile=(16, 16))
    assert set(found(images, model, "--formats", "csv,labels,geojson")) == {"b", "c"}
    assert "Of c.tif, and others like it: read window by window." in capsys.readouterr().out
    error = pd.read_csv(tmp_path / "out" / "images.csv").set_index("image")["error"]["x" * 251]
    assert error.endswith("Shorten the name of the image")
