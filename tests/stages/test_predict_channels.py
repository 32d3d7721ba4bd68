"""Of channels without names the one is taken that alone shows objects, and that is said; in doubt none is."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile
from tests.stages.bright_model import bright_model, disc_image

from nanonuclei.data.files.listing import RECORD
from nanonuclei.errors import ConfigError, DataError
from nanonuclei.stages.predict.predict import predict
from nanonuclei.stages.predict.request import Request, parse_axes

DARK = np.full((80, 70), 12, np.uint8)
DISCS = disc_image()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def write(path: Path, *channels: np.ndarray) -> None:
    tifffile.imwrite(path, np.stack(channels, axis=-1), photometric="minisblack", planarconfig="contig")


def run(folder: Path, **asked: object) -> tuple[pd.DataFrame, list[str]]:
    said: list[str] = []
    output = folder.with_name("out")
    model = f"{bright_model(folder.with_name('model'))}/"
    predict(Request(str(folder), model, output=output, **asked), say=said.append)  # type: ignore[arg-type]
    return pd.read_csv(output / "images.csv").set_index("image"), said


def test_the_channel_that_alone_shows_objects_is_taken_and_said(folder: Path) -> None:
    write(folder / "a.tif", DARK, DISCS)
    rows, said = run(folder)
    taken = "channel 1 of 2 (it alone shows nuclei; for another: --channel)"
    assert (rows.loc["a", "num_objects"], rows.loc["a", "choice"]) == (3, taken)
    assert f"Of a.tif: {taken}." in said
    assert not any("Warning: no channel" in line for line in said)


def test_a_choice_of_the_user_is_not_put_in_question(folder: Path) -> None:
    write(folder / "a.tif", DARK, DISCS)
    rows, _ = run(folder, channel=0)
    assert (rows.loc["a", "num_objects"], rows.loc["a", "choice"]) == (0, "channel 0 of 2")


@pytest.mark.parametrize("channels", [(DISCS, DISCS), (DARK, DARK)])
def test_in_doubt_none_is_taken_and_the_channels_are_listed(folder: Path, channels: tuple[np.ndarray, ...]) -> None:
    write(folder / "a.tif", *channels)
    rows, _ = run(folder)
    assert "holds 2 channels, and none is chosen: 0, 1. Name one with `-P channel=0`" in rows.loc["a", "error"]


@pytest.mark.parametrize("names", [[], ["Ki-67", "EGFP"]])
def test_a_warning_tells_that_images_differ_in_the_channel_that_was_taken(folder: Path, names: list[str]) -> None:
    for name, channels in (("a.ome.tif", [DARK, DISCS]), ("b.ome.tif", [DISCS, DARK])):
        metadata = {"axes": "CYX", **({"Channel": {"Name": names}} if names else {})}
        tifffile.imwrite(folder / name, np.stack(channels), photometric="minisblack", metadata=metadata)
    _, said = run(folder)
    (warning,) = [line for line in said if "Warning: no channel is named after nuclei or a stain of them" in line]
    assert "channel 0 in 1, channel 1 in 1 of them. Name one with `-P channel=C`" in warning


@pytest.mark.parametrize(("axes", "num_objects"), [("ZYX", [3]), ("TYX", [0] * 8 + [3])])
def test_the_axes_of_pages_are_those_that_the_user_says(folder: Path, axes: str, num_objects: list[int]) -> None:
    tifffile.imwrite(folder / "a.tif", np.stack([DARK] * 8 + [DISCS]), photometric="minisblack", metadata=None)
    rows, _ = run(folder, axes=axes)
    assert rows["num_objects"].tolist() == num_objects
    assert json.loads((folder.with_name("out") / RECORD).read_text())["axes"] == axes


def test_a_focal_plane_is_looked_for_along_the_axes_that_the_user_says(folder: Path) -> None:
    tifffile.imwrite(folder / "a.tif", np.stack([DARK, DISCS]), photometric="minisblack", metadata=None)
    with pytest.raises(DataError, match=r"no focal plane 2; there are 2"):
        run(folder, axes="ZYX", z=2)


@pytest.mark.parametrize(("text", "axes"), [("", None), (" zyx ", "ZYX"), ("TZCYX", "TZCYX")])
def test_axes_are_read(text: str, axes: str | None) -> None:
    assert parse_axes(text) == axes


@pytest.mark.parametrize("text", ["ZXY", "Z", "QYX", "ZZYX", "planes"])
def test_what_are_no_axes_of_an_image_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=rf"with YX for rows and columns, got '{text}'\. Write ZYX for focal planes"):
        parse_axes(text)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            {"channel": "foo"},
            r"0\.png: no channel 'foo'; there are: 0 grey\. Name another with `-P channel=C`\. 2 more images lack it",
        ),
        ({"channel": 2}, r"0\.png: no channel 2; there are: 0 grey\. .*2 more images lack it too"),
        ({"z": 4}, r"0\.png: no focal plane 4; there are 1, from 0\. .*2 more images lack it too"),
    ],
)
def test_what_no_image_has_is_told_before_anything_is_written(
    folder: Path, asked: dict[str, int | str], message: str
) -> None:
    cv2.imwrite(str(folder / "0.png"), DISCS)
    write(folder / "a.tif", DARK, DISCS)
    write(folder / "b.tif", DISCS, DARK)
    (folder / "broken.tif").write_bytes(b"no image")
    with pytest.raises(DataError, match=message):
        run(folder, **asked)
    assert not folder.with_name("out").exists()


def test_an_image_that_lacks_what_others_have_is_a_row(folder: Path) -> None:
    cv2.imwrite(str(folder / "0.png"), DISCS)
    write(folder / "a.tif", DARK, DISCS)
    rows, _ = run(folder, channel=1)
    assert "no channel 1; there are: 0 grey" in rows.loc["0", "error"]
    assert rows.loc["a", "num_objects"] == 3
