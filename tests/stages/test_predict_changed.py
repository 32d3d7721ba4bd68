"""Results never stand for other pixels than those of the file that is there: changed inputs and names that clash."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile
from filelock import FileLock
from tests.conftest import ROOT
from tests.data.files.ome_sets import full, put
from tests.stages.bright_model import bright_model, disc_image, write_images

from nanonuclei.cli import main
from nanonuclei.stages.predict.folder import LOCK
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
    files = [path.relative_to(output / "labels") for path in output.rglob("labels/**/*.*") if path.is_file()]
    labels = {path.with_suffix("").as_posix() for path in files}
    assert labels == set(told)
    return told


def test_an_image_that_was_replaced_under_its_name_is_done_over(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    images = write_images(tmp_path / "in", ["a.png", "b.png"])
    assert found(images, model) == {"a": ("a.png", 3), "b": ("b.png", 3)}
    cv2.imwrite(str(images / "a.png"), EMPTY)
    assert found(images, model) == {"a": ("a.png", 0), "b": ("b.png", 3)}
    assert "Changed since: 1 file. Done over: 1 image." in capsys.readouterr().out
    other = write_images(tmp_path / "other", ["a.png"])
    assert found(other, model)["a"] == ("a.png", 3)


def test_files_and_images_of_a_film_are_counted_alike_in_every_line(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    images, table = write_images(tmp_path / "in", ["a.png"]), tmp_path / "out" / "images.csv"
    film = np.stack([disc_image(number) for number in range(3)])
    tifffile.imwrite(images / "film.tif", film, imagej=True, metadata={"axes": "TYX"})
    (images / "broken.png").write_bytes(b"no image")
    whole = found(images, model)
    assert len(whole) == 4
    assert "3 files: 2 done, 1 failed. 4 images, 12 nuclei. Results: " in capsys.readouterr().out
    assert found(images, model) == whole
    told = capsys.readouterr().out
    assert "2 of 3 files done, with 4 images; going on with the others." in told
    assert "3 files: 2 done, 1 failed. 4 images, 12 nuclei. Results: " in told
    (images / "broken.png").unlink()
    rows = table.read_text().splitlines(keepends=True)
    table.write_text("".join(row for row in rows if not row.startswith("film_t001,")))
    assert found(images, model) == whole
    assert "1 of 2 files done, with 1 image; going on with the others." in capsys.readouterr().out
    assert found(images, model) == whole
    assert "2 of 2 files done, with 4 images; nothing is left." in capsys.readouterr().out
    (images / "film.tif").unlink()
    assert found(images, model) == whole
    told = capsys.readouterr().out
    assert "1 file: 1 done, 0 failed. 4 images (3 of earlier files, not in the input), 12 nuclei." in told


def test_files_of_one_image_are_one_row_and_a_change_of_any_is_seen(tmp_path: Path, model: str) -> None:
    images, table = write_images(tmp_path / "in", ["a.png"]), tmp_path / "out" / "images.csv"
    names = ("b.ome.tif", "b_1.ome.tif")
    stack = np.stack([np.stack([EMPTY, disc_image()])[None]] * 2)
    for number, name in enumerate(names):
        put(images / name, stack[number, 0], full(f"urn:uuid:{number}", names, stack))
    whole = {"a": ("a.png", 3), "b_t000": ("b.ome.tif", 3), "b_t001": ("b.ome.tif", 3)}
    assert found(images, model) == whole
    told = pd.read_csv(table, index_col="image", keep_default_na=False)["choice"]
    assert told["b_t001"] == "channel 1 (DAPI) of 2, planes of 2 files"
    put(images / names[1], np.stack([EMPTY, EMPTY]), full("urn:uuid:1", names, stack))
    assert found(images, model) == {**whole, "b_t001": ("b.ome.tif", 0)}
    (images / names[1]).unlink()
    assert found(images, model) == {"a": ("a.png", 3)}
    (error,) = pd.read_csv(table, index_col="image")["error"].dropna()
    assert "b.ome.tif: it is an image in 2 files, of which b_1.ome.tif is missing. Put all files" in error


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


def test_two_calls_do_not_write_to_one_folder_at_once(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    images = write_images(tmp_path / "in", ["a.png"])
    found(images, model)
    before = (tmp_path / "out" / "nanonuclei.json").read_bytes()
    words = ["predict", str(images), "--model", model, "--output", str(tmp_path / "out"), "--resume"]
    with FileLock(tmp_path / "out" / LOCK):
        assert main([*words, "--z", "mean"]) == 2
    assert "but another is at work in" in capsys.readouterr().err
    assert (tmp_path / "out" / "nanonuclei.json").read_bytes() == before
    assert found(images, model) == {"a": ("a.png", 3)}
    assert not (tmp_path / "out" / LOCK).exists()


def test_a_pipe_in_a_list_of_images_costs_no_other_image(tmp_path: Path, model: str) -> None:
    images = write_images(tmp_path / "in", ["a.png"])
    os.mkfifo(images / "b.png")
    (tmp_path / "list.csv").write_text("path\nin/b.png\nin/a.png\n")
    assert found(tmp_path / "list.csv", model) == {"a": ("a.png", 3)}
    rows = pd.read_csv(tmp_path / "out" / "images.csv").set_index("image")
    assert "must be a file, but is a folder, pipe" in rows["error"]["b"]


def test_what_a_file_calls_its_channels_breaks_neither_tables_nor_terminals(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    images = tmp_path / "in"
    images.mkdir()
    both = np.stack([disc_image(), EMPTY])
    for name, channel in (("a", "DAPI" + "x" * 200_000), ("b", "DAPI\x1b[31m\u202e")):
        options = {"ome": True} if name == "a" else {"imagej": True}
        names = {"Channel": {"Name": [channel, ""]}} if name == "a" else {"Labels": [channel, "c"]}
        tifffile.imwrite(
            images / f"{name}.tif", both, **options, photometric="minisblack", metadata={"axes": "CYX", **names}
        )
    assert {name: number for name, (_, number) in found(images, model).items()} == {"a": 3, "b": 3}
    assert found(images, model)
    assert all(letter.isprintable() or letter == "\n" for letter in capsys.readouterr().out)
    assert max(map(len, (tmp_path / "out" / "images.csv").read_text().splitlines())) < 400


def test_a_name_that_the_terminal_cannot_show_ends_no_call(tmp_path: Path, model: str) -> None:
    images = write_images(tmp_path / "in", ["a.png", "b.png"])
    (images / "\u753b.png").write_bytes(b"broken")
    words = ["predict", str(images), "--model", model, "--output", str(tmp_path / "\u00e9")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [sys.executable, "-m", "nanonuclei", *words], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (3, "")
    assert "\\u753b.png: not a readable image" in done.stdout
    assert "3 files: 2 done, 1 failed. 2 images, 6 nuclei." in done.stdout
