"""Names of images that are odd, and results that another program has changed: done, or told with what to do."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from tests.stages.bright_model import bright_model, write_images

from nanonuclei.cli import main
from nanonuclei.errors import ConfigError, DataError, TrackingError
from nanonuclei.serving.named import check_name
from nanonuclei.stages.predict.record import IMAGES, ImagesTable
from nanonuclei.stages.predict.request import check_free

ODD = ['é 🧬, "q".png', "-rf.png", "..png", "[red]x[].png", "partial-1.png", "partial-scan/1.png", "=1+1.png", " .png"]
LONGEST = "x" * 251 + ".png"
"""A name of 255 bytes, which file systems just take; its outlines would have four more."""


def test_odd_names_are_done_come_back_in_every_table_and_outlive_a_resumed_call(tmp_path: Path) -> None:
    images, model, output = tmp_path / "in", bright_model(tmp_path / "model"), tmp_path / "out"
    write_images(images, [*ODD, LONGEST])
    words = ["predict", str(images), "--model", f"{model}/", "--output", str(output), "--formats", "csv,geojson,labels"]
    assert main([*words, "--submission"]) == 3
    names = {name.removesuffix(".png") for name in ODD}
    table = pd.read_csv(output / IMAGES, dtype={"image": str}, keep_default_na=False)
    told = dict(zip(table["image"], table["error"], strict=True))
    assert told.pop(LONGEST.removesuffix(".png")).endswith("Shorten the name of the image")
    assert told == dict.fromkeys(names, "")
    for joined, column in (("objects.csv", "image"), ("submission.csv", "ImageId")):
        counts = pd.read_csv(output / joined, dtype=str)[column].value_counts().to_dict()
        assert counts == dict.fromkeys(names, 3), joined
    (images / LONGEST).unlink()
    (output / "objects" / "-rf.csv").unlink()
    assert main([*words, "--submission", "--resume"]) == 0
    assert set(pd.read_csv(output / "objects.csv", dtype=str)["image"]) == names


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: b"\xff\xfe\x80" + text.encode(),
        lambda text: text.encode("utf-16"),
        lambda text: text.encode("utf-8-sig"),
        lambda text: text.replace(",", ";").encode(),
        lambda text: b"a,b\n1,2\n",
        lambda text: text.encode() + b"x,y\n",
        lambda text: text.encode() + b'"' + b"x" * 200_000 + b'"\n',
    ],
)
def test_a_table_that_another_program_has_changed_is_told(tmp_path: Path, spoil: Callable[[str], bytes]) -> None:
    ImagesTable(tmp_path, fingerprint="f").add({"image": "a", "file": "a.png", "num_objects": 3})
    assert set(ImagesTable(tmp_path, fingerprint="f").done) == {"a"}
    (tmp_path / IMAGES).write_bytes(spoil((tmp_path / IMAGES).read_text()))
    before = (tmp_path / IMAGES).read_bytes()
    with pytest.raises(DataError, match=r"images\.csv .*Remove it: the images are done again"):
        ImagesTable(tmp_path, fingerprint="f")
    assert (tmp_path / IMAGES).read_bytes() == before


def test_a_damaged_table_of_one_image_is_told_and_done_again_once_it_is_removed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, model, output = tmp_path / "in", bright_model(tmp_path / "model"), tmp_path / "out"
    write_images(images, ["a.png", "b.png"])
    words = ["predict", str(images), "--model", f"{model}/", "--output", str(output), "--formats", "csv"]
    assert main(words) == 0
    for content in (b"", b"\xff\xff\xff"):
        (output / "objects" / "a.csv").write_bytes(content)
        assert main([*words, "--resume"]) == 2
        assert "a.csv must hold the objects of an image, but is gone or damaged" in capsys.readouterr().err
    (output / "objects" / "a.csv").unlink()
    assert main([*words, "--resume"]) == 0
    rows = csv.DictReader(io.StringIO((output / "objects.csv").read_text()))
    assert {row["image"] for row in rows} == {"a", "b"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["predict", "x" * 5000], "File name too long. Shorten the name"),
        (["predict", "in", "--output", "x" * 300], "File name too long. Shorten the name"),
        (["predict", "in", "--output", "loop"], "Symlink loop"),
        (["predict", "a\nb"], r"'a\nb' does not exist"),
        (["label", "--images", "in", "--output", "x" * 300], "File name too long. Shorten the name"),
        (["predict", "in", "--model", "x" * 5000], "File name too long. Shorten the name"),
    ],
)
def test_paths_that_cannot_be_are_told_in_one_line(
    words: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_images(tmp_path / "in", ["a.png"])
    (tmp_path / "loop").symlink_to("loop")
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Error: ")]
    assert told in line
    assert len(line) < 600


@pytest.mark.parametrize("reference", ["", "models:/", "models://"])
def test_a_name_that_is_empty_is_no_model(reference: str) -> None:
    with pytest.raises(TrackingError, match=f"no model '{reference}'. Known"):
        check_name(reference)


def test_results_cannot_lie_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(ConfigError, match=r"a/b cannot be one: \S+/a is a file"):
        check_free(tmp_path / "a" / "b", resume=False)
