"""Whatever cuts a call off, what was done stays whole, and the same call with `--resume` does the rest."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from tests.conftest import ROOT
from tests.stages.bright_model import bright_model, disc_image, write_images

from nanonuclei import writing
from nanonuclei.cli import main
from nanonuclei.imaging.score_maps import score_maps
from nanonuclei.stages.predict.record import ImagesTable
from nanonuclei.stages.predict.results import Results
from nanonuclei.writing import PARTIAL

NAMES = ["01.png", "A01/site1.png", "A02/site1.png", "b.png", "c.png", "d.png"]
FORMATS = "csv,parquet,geojson,roi,labels,overlay"
OWN = {"predict.log"}
"""Files that tell times."""


@pytest.fixture
def model(tmp_path: Path) -> str:
    return f"{bright_model(tmp_path / 'model')}/"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return write_images(tmp_path / "images", NAMES)


def words(images: Path, model: str, output: Path, *more: str) -> list[str]:
    return ["predict", str(images), "--model", model, "--output", str(output), "--formats", FORMATS, *more]


def contents(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths if path.name not in OWN}


def check_whole(folder: Path) -> set[str]:
    """Reads every file of a folder of results that was cut off; returns the images that are done."""
    for path in folder.rglob("*"):
        if path.name.startswith(PARTIAL):
            continue
        if path.suffix == ".png":
            assert cv2.imread(str(path), cv2.IMREAD_UNCHANGED) is not None, path
        elif path.suffix == ".csv":
            assert path.read_bytes().endswith(b"\n")
            pd.read_csv(path)
    table = pd.read_csv(folder / "images.csv", dtype={"image": str})
    for name in table["image"]:
        places = {"objects": "csv", "labels": "png", "overlay": "png", "geojson": "geojson", "roi": "zip"}
        assert all((folder / place / f"{name}.{suffix}").is_file() for place, suffix in places.items())
    return set(table["image"])


KILLED = """
import os, signal, sys
from nanonuclei.stages.predict import results
real, calls = results.write_bytes, []
def write(path, content):
    calls.append(path)
    if len(calls) == {call}:
        path.parent.mkdir(parents=True, exist_ok=True)
        (path.parent / f"partial-{{os.getpid()}}-{{path.name}}").write_bytes(content[: len(content) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    real(path, content)
results.write_bytes = write
from nanonuclei.cli import main
main({words!r})
"""


@pytest.mark.parametrize("call", [8, 19])
def test_a_killed_call_is_gone_on_with_and_gives_the_same_files(
    images: Path, model: str, tmp_path: Path, call: int
) -> None:
    script = KILLED.format(call=call, words=words(images, model, tmp_path / "found"))
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    finished = check_whole(tmp_path / "found") if (tmp_path / "found" / "images.csv").exists() else set()
    assert len(finished) < len(NAMES)
    assert any(path.name.startswith(PARTIAL) for path in (tmp_path / "found").rglob("*"))
    assert main(words(images, model, tmp_path / "found", "--resume")) == 0
    assert main(words(images, model, tmp_path / "whole")) == 0
    assert contents(tmp_path / "found") == contents(tmp_path / "whole")


def test_going_on_does_only_what_is_left(
    images: Path, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "found"
    assert main(words(images, model, output)) == 0
    assert main(words(images, model, output)) == 2
    assert "Add `-P resume=true` to go on with it" in capsys.readouterr().err
    cv2.imwrite(str(images / "new.png"), disc_image())
    written = []
    real = Results.write
    monkeypatch.setattr(Results, "write", lambda self, name, *a, **k: (written.append(name), real(self, name, *a, **k)))
    assert main(words(images, model, output, "--resume")) == 0
    assert written == ["new"]
    assert "6 of 7 files done, with 6 images; going on with the others." in capsys.readouterr().out
    assert pd.read_csv(output / "objects.csv")["image"].nunique() == 7


@pytest.mark.parametrize(
    "more", [("--set", "instances.min_area=150"), ("--formats", "csv,labels"), ("--z", "mean"), ("--channel", "0")]
)
def test_with_other_settings_images_are_done_over(
    images: Path, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...]
) -> None:
    output = tmp_path / "found"
    assert main(words(images, model, output)) == 0
    first = pd.read_csv(output / "images.csv")
    assert main([*words(images, model, output), *more]) == 2
    assert "Add `-P resume=true` to do its images over" in capsys.readouterr().err
    assert main([*words(images, model, output), *more, "--resume"]) == 0
    assert "its images are done over" in capsys.readouterr().out
    second = pd.read_csv(output / "images.csv")
    assert second["image"].tolist() == first["image"].tolist()
    assert set(second["fingerprint"]).isdisjoint(first["fingerprint"])
    assert main([*words(images, model, tmp_path / "new"), *more]) == 0
    assert contents(output) == contents(tmp_path / "new")


@pytest.mark.parametrize("more", [("--set", "instances.min_area=150"), ("--formats", "csv,labels")])
def test_other_settings_and_a_part_of_the_images_are_refused_and_change_nothing(
    images: Path, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...]
) -> None:
    output, part = tmp_path / "found", write_images(tmp_path / "part", ["b.png", "new.png"])
    assert main(words(images, model, output)) == 0
    before = contents(output)
    assert main([*words(part, model, output, "--resume"), *more]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"but {output} holds those of 5 images not in the input, made otherwise. Name another folder" in line
    assert contents(output) == before
    assert main(words(part, model, output, "--resume")) == 0
    check_agree(output, {*NAMES, "new.png"})


def test_images_done_over_in_two_calls_leave_no_row_of_other_settings(
    images: Path, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, more = tmp_path / "found", ("--set", "instances.min_area=150", "--formats", "csv,labels")
    assert main(words(images, model, output)) == 0
    (images / "b.png").write_bytes(b"no image any more")
    assert main([*words(images, model, output, "--resume"), *more]) == 3
    told = "6 of its images are done over, and what is no longer asked for is removed: parquet, geojson, roi, overlay."
    assert told in capsys.readouterr().out
    check_agree(output, {*NAMES} - {"b.png"})
    assert not [path for path in output.rglob("*") if path.suffix in (".parquet", ".geojson", ".zip")]
    rows = (output / "images.csv").read_text().splitlines(keepends=True)
    (output / "images.csv").write_text("".join([*rows[:3], *(row[:-13] + "0" * 12 + "\n" for row in rows[3:])]))
    assert main([*words(write_images(tmp_path / "all", NAMES), model, output, "--resume"), *more]) == 0
    assert "3 of its images are done over." in capsys.readouterr().out
    check_agree(output, set(NAMES))


def joined(output: Path) -> list[str]:
    """Returns the images in the table of all objects."""
    return list(pd.read_csv(output / "objects.csv", dtype={"image": str})["image"].unique())


def check_agree(output: Path, files: set[str]) -> None:
    """Makes sure that tables, folders and README.txt tell the same images, of one fingerprint."""
    table = pd.read_csv(output / "images.csv", dtype={"image": str})
    good = table[table["error"].isna()]
    assert (set(good["file"]), table["fingerprint"].nunique()) == (files, 1)
    assert joined(output) == good["image"].tolist()
    labels = [path.relative_to(output / "labels") for path in output.rglob("labels/**/*.png")]
    assert {path.with_suffix("").as_posix() for path in labels} == set(good["image"])
    assert f"nuclei in {len(good)} images." in (output / "README.txt").read_text()


def test_rows_of_earlier_files_stay_in_their_order(images: Path, model: str, tmp_path: Path) -> None:
    output, other = tmp_path / "found", write_images(tmp_path / "other", ["a.png"])
    assert main(words(images, model, output)) == 0
    assert main(words(other, model, output, "--resume")) == 0
    assert pd.read_csv(output / "images.csv", dtype={"image": str})["file"].tolist() == ["a.png", *NAMES]
    assert joined(output) == ["a", *(name.removesuffix(".png") for name in NAMES)]


def test_images_that_failed_are_tried_again(images: Path, model: str, tmp_path: Path) -> None:
    output, good = tmp_path / "found", (images / "b.png").read_bytes()
    (images / "b.png").write_bytes(good[:50])
    assert main(words(images, model, output)) == 3
    assert main(words(images, model, output, "--resume")) == 3
    (images / "b.png").write_bytes(good)
    assert main(words(images, model, output, "--resume")) == 0
    assert main(words(images, model, tmp_path / "new")) == 0
    assert contents(output) == contents(tmp_path / "new")


def test_a_full_disk_is_told_in_a_line_and_what_was_done_stays(
    images: Path, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real, calls = Path.write_bytes, []

    def full(path: Path, content: bytes) -> int:
        calls.append(path)
        if len(calls) > 12:
            real(path, content[: len(content) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(writing.Path, "write_bytes", full)
        assert main(words(images, model, tmp_path / "found")) == 2
    told = capsys.readouterr().err
    assert "No space left on device" in told
    assert "What was done stays" in told
    assert "Traceback" not in told
    assert 0 < len(check_whole(tmp_path / "found")) < len(NAMES)
    assert not [path for path in (tmp_path / "found").rglob("*") if path.name.startswith(PARTIAL)]
    assert main(words(images, model, tmp_path / "found", "--resume")) == 0
    assert main(words(images, model, tmp_path / "whole")) == 0
    assert contents(tmp_path / "found") == contents(tmp_path / "whole")


@pytest.mark.parametrize("first", ["nanonuclei.json", "a/b/images.csv"])
def test_what_ends_a_call_before_its_first_image_leaves_no_folder(
    first: str, images: Path, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = (tmp_path / "found" / first).parent
    real = writing.Path.replace

    def full(path: Path, target: Path) -> Path:
        if Path(target).name == Path(first).name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(path, target)

    monkeypatch.setattr(writing.Path, "replace", full)
    found = sorted(tmp_path.rglob("*"))
    assert main(words(images, model, output)) == 2
    assert sorted(tmp_path.rglob("*")) == found


def test_ctrl_c_keeps_what_was_done_and_says_how_to_go_on(
    images: Path, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[np.ndarray] = []

    def interrupted(network: object, inputs: list[np.ndarray], **more: object) -> object:
        seen.append(inputs)  # type: ignore[arg-type]
        if len(seen) == 4:
            os.kill(os.getpid(), signal.SIGINT)
        return score_maps(network, inputs, **more)  # type: ignore[arg-type]

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the tests may run in the background of a script
    with monkeypatch.context() as patch:
        patch.setattr("nanonuclei.imaging.sizing.diameters.score_maps", interrupted)
        assert main(words(images, model, tmp_path / "found")) == 130
    for number, handler in before.items():
        signal.signal(number, handler)
    told = capsys.readouterr()
    assert "go on with `-P resume=true`" in told.out
    assert 0 < len(check_whole(tmp_path / "found")) <= 4
    assert main(words(images, model, tmp_path / "found", "--resume")) == 0
    assert main(words(images, model, tmp_path / "whole")) == 0
    assert contents(tmp_path / "found") == contents(tmp_path / "whole")


def test_a_row_that_was_cut_off_is_dropped_and_its_image_done_again(tmp_path: Path) -> None:
    table = ImagesTable(tmp_path, fingerprint="f")
    table.add({"image": "01", "file": "01.png", "num_objects": 3, "diameter": 2.5})
    table.add({"image": "b", "file": "b.png", "num_objects": 4, "diameter": 2.5, "num_cells": 2})
    whole = (tmp_path / "images.csv").read_bytes()
    (tmp_path / "images.csv").write_bytes(whole + b"c,c.png,,,")
    again = ImagesTable(tmp_path, fingerprint="f")
    assert set(again.done) == {"01", "b"}
    assert (tmp_path / "images.csv").read_bytes() == whole
    assert ImagesTable(tmp_path, fingerprint="g").done == {}
    read = pd.read_csv(tmp_path / "images.csv", dtype={"image": str})
    assert read["image"].tolist() == ["01", "b"]
    assert read["num_cells"].isna().tolist() == [True, False]


def test_exit_codes_tell_what_happened(images: Path, model: str, tmp_path: Path) -> None:
    assert main(["predict", "--model", model]) == 2
    assert main(words(images, model, tmp_path / "a", "--z", "sum")) == 2
    assert main(words(tmp_path / "missing", model, tmp_path / "a")) == 2
    (images / "e.png").write_bytes(b"")
    assert main(words(images, model, tmp_path / "a")) == 3


def test_going_on_where_nothing_is_begins_and_says_so(
    images: Path, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(images, model, tmp_path / "mistyped", "--resume", "true")) == 0
    assert f"{tmp_path / 'mistyped'} holds no results yet: all images are done.\n" in capsys.readouterr().out
