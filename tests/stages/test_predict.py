"""A folder of images in, tables and pictures out; the network is one that is bright where the image is."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile
from tests.conftest import disc_labels
from tests.run_lengths import from_run_lengths
from tests.stages.bright_model import DISCS, READING, opened, run

from nanonuclei.errors import ConfigError, DataError
from nanonuclei.report.exports.readme import FORMATS
from nanonuclei.stages.predict import predict as stage
from nanonuclei.stages.predict.predict import predict
from nanonuclei.stages.predict.request import Request, output_beside, parse_channel, parse_formats, parse_z
from nanonuclei.tasks.nuclei.config import NucleiExperiment

pytestmark = pytest.mark.usefixtures("known_model")


def counts(output: Path) -> dict[str, float]:
    table = pd.read_csv(output / "images.csv", dtype={"image": str})
    return dict(table.set_index("image")["num_objects"].to_dict())


def test_label_maps_tables_and_overlays_tell_the_same_nuclei(images: Path) -> None:
    output = run(images).output
    assert output == images.with_name("images-nuclei")
    assert counts(output) == {"discs": 3, "deeper/sixteen": 3, "empty": 0}
    truth = disc_labels((80, 70), DISCS)
    objects = pd.read_csv(output / "objects.csv")
    for name in ("discs", "deeper/sixteen"):
        labels = cv2.imread(str(output / "labels" / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        assert labels.dtype == np.uint16
        np.testing.assert_array_equal(labels > 0, truth > 0)
        rows = objects[objects["image"] == name].set_index("label")
        assert rows["area"].to_dict() == dict(enumerate(np.bincount(labels.ravel())[1:].tolist(), start=1))
        assert rows["mean_grey"].unique() == (240 if name == "discs" else 60000)
        assert cv2.imread(str(output / "overlay" / f"{name}.png")).shape == (80, 70, 3)
        pd.testing.assert_frame_equal(
            pd.read_csv(output / "objects" / f"{name}.csv"), objects[objects["image"] == name].reset_index(drop=True)
        )
    assert "3 nuclei" in (output / "predict.log").read_text()
    assert "mean_grey" in (output / "README.txt").read_text()


def test_every_format_is_written_below_the_folders_of_the_input(images: Path, tmp_path: Path) -> None:
    output = run(images, tmp_path / "found", formats=tuple(FORMATS)).output
    for place in ("objects", "geojson", "roi", "labels", "overlay"):
        names = {path.relative_to(output / place).with_suffix("").as_posix() for path in (output / place).rglob("*.*")}
        assert names == {"discs", "deeper/sixteen", "empty"}
    table = pd.read_parquet(output / "objects.parquet")
    pd.testing.assert_frame_equal(
        table, pd.read_csv(output / "objects.csv"), check_dtype=False, check_column_type=False
    )
    tree = json.loads((output / "geojson" / "deeper" / "sixteen.geojson").read_text())
    assert [feature["properties"]["measurements"]["area"] for feature in tree["features"]] == table[
        table["image"] == "deeper/sixteen"
    ]["area"].tolist()


def test_only_what_is_asked_for_is_written(images: Path, tmp_path: Path) -> None:
    output = run(images, tmp_path / "found", formats=("geojson",)).output
    names = {path.name for path in output.iterdir()}
    assert names == {"images.csv", "geojson", "predict.log", "README.txt", "nanonuclei.json"}


def test_submission_holds_every_nucleus_once_and_names_images_without_any(images: Path, tmp_path: Path) -> None:
    output = run(images, tmp_path / "found", submission=True).output
    table = pd.read_csv(output / "submission.csv", keep_default_na=False)
    assert list(table.columns) == ["ImageId", "EncodedPixels"]
    assert table.loc[table["ImageId"] == "empty", "EncodedPixels"].tolist() == [""]
    found = from_run_lengths(table.loc[table["ImageId"] == "discs", "EncodedPixels"].tolist(), (80, 70))
    np.testing.assert_array_equal(found.labels > 0, disc_labels((80, 70), DISCS) > 0)
    first = table.loc[table["ImageId"] == "discs", "EncodedPixels"].iloc[0].split()
    y0, x0 = np.argwhere(disc_labels((80, 70), DISCS).T == 1)[0][::-1]
    assert int(first[0]) == x0 * 80 + y0 + 1  # counted down the columns, from 1


def test_broken_images_are_rows_with_their_error_and_the_others_are_done(images: Path, tmp_path: Path) -> None:
    (images / "broken.png").write_bytes(b"\x89PNG\r\n")
    tifffile.imwrite(images / "two.tif", np.zeros((4, 4, 2), np.uint8), photometric="minisblack", planarconfig="contig")
    os.mkfifo(images / "pipe.png")
    (images / "out.png").symlink_to("/etc/passwd")
    for odd in ("two\nlines.png", os.fsdecode(b"no-\xff-utf8.png")):
        (images / odd).write_bytes((images / "discs.png").read_bytes())
    said: list[str] = []
    summary = predict(Request(str(images), "run", output=tmp_path / "found"), say=said.append)
    odd_ones = {"two\N{REPLACEMENT CHARACTER}lines.png", "no-\N{REPLACEMENT CHARACTER}-utf8.png"}
    assert set(summary.failed) == {"broken.png", "two.tif", "pipe.png", "out.png", *odd_ones}
    assert (summary.num_images, summary.num_objects) == (3, 6)
    errors = pd.read_csv(tmp_path / "found" / "images.csv").set_index("image")["error"]
    assert "pipe.png must be a file, but is a pipe" in errors["pipe"]
    assert "out.png is a link that leads out of" in errors["out"]
    assert "two\\nlines.png' is a name with control characters" in errors["two\N{REPLACEMENT CHARACTER}lines"]
    assert "two.tif: holds 2 channels, and none is chosen" in errors["two"]
    assert "broken.png" in errors["broken"]
    assert errors.isna().sum() == 3
    assert any("9 files: 3 done, 6 failed. 3 images, 6 nuclei. Results: " in line for line in said)
    assert pd.read_csv(tmp_path / "found" / "objects.csv")["image"].nunique() == 2


def test_an_image_on_which_the_network_fails_is_a_row_too(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, experiment: Callable[..., NucleiExperiment]
) -> None:
    def network(batch: np.ndarray) -> np.ndarray:
        if batch.shape[1] == 40:
            raise MemoryError("too large")
        return batch[..., :1]

    config = experiment({**READING, "normalize.kind": "range", "windows.size": 64, "windows.stride": 64})
    monkeypatch.setattr(stage, "open_model", opened(config, network, tmp_path / "model"))
    small = tmp_path / "small"
    small.mkdir()
    for name, size in (("a", 40), ("b", 60)):
        cv2.imwrite(str(small / f"{name}.png"), np.eye(size, dtype=np.uint8) * 255)
    assert run(small).failed == ("a.png",)
    errors = pd.read_csv(tmp_path / "small-nuclei" / "images.csv").set_index("image")["error"]
    assert errors["a"] == "MemoryError: too large"


def test_what_is_in_the_way_is_told(images: Path, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="holds no image"):
        run(tmp_path / "none", tmp_path / "found")
    with pytest.raises(DataError, match="does not exist"):
        run(tmp_path / "missing", tmp_path / "found")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("")
    with pytest.raises(ConfigError, match=r"new folder, but .*other exists"):
        run(images, tmp_path / "other")
    with pytest.raises(ConfigError, match=r"keeps its train\.epochs"):
        run(images, tmp_path / "found", settings=["train.epochs=3"])
    assert not (tmp_path / "found").exists()


def test_results_within_the_input_are_not_taken_for_images(images: Path) -> None:
    run(images, images / "first")
    assert set(counts(run(images, images / "second").output)) == {"discs", "deeper/sixteen", "empty"}
    with pytest.raises(DataError, match="results of earlier calls and no other image"):
        run(images / "first" / "labels", images / "third")


def test_every_time_of_a_film_is_an_image_and_wells_keep_their_names(tmp_path: Path) -> None:
    labels = disc_labels((80, 70), DISCS)
    film = np.stack([np.where(labels > 0, 60000, 500), np.where(labels == 1, 60000, 500)]).astype(np.uint16)
    for well in ("A01", "A02"):
        (tmp_path / "plate" / well).mkdir(parents=True)
        tifffile.imwrite(tmp_path / "plate" / well / "site1.tif", film, imagej=True, metadata={"axes": "TYX"})
    said: list[str] = []
    output = predict(Request(str(tmp_path / "plate"), "run", output=tmp_path / "found"), say=said.append).output
    names = {f"{well}/site1_t{time:03}": (3, 1)[time] for well in ("A01", "A02") for time in (0, 1)}
    assert counts(output) == names
    assert all((output / "labels" / f"{name}.png").is_file() for name in names)
    assert sum("each time by itself" in line for line in said) == 1
    assert pd.read_csv(output / "images.csv")["file"].tolist() == ["A01/site1.tif"] * 2 + ["A02/site1.tif"] * 2


def test_channels_and_focal_planes_are_chosen_and_every_channel_is_measured(tmp_path: Path) -> None:
    labels = disc_labels((80, 70), DISCS)
    stack = np.full((3, 2, 80, 70), 100, np.uint16)
    stack[1, 1] = np.where(labels > 0, 60_000, 500)
    (tmp_path / "images").mkdir()
    tifffile.imwrite(
        tmp_path / "images" / "a.ome.tif",
        stack,
        metadata={
            "axes": "ZCYX",
            "Channel": {"Name": ["Actin", "DAPI"]},
            "PhysicalSizeX": 0.5,
            "PhysicalSizeXUnit": "µm",
            "PhysicalSizeY": 0.5,
            "PhysicalSizeYUnit": "µm",
        },
    )
    said: list[str] = []
    for name, asked in {"stain": {}, "name": {"channel": "dapi"}, "number": {"channel": 1, "z": 1}}.items():
        predict(Request(str(tmp_path / "images"), "run", output=tmp_path / name, **asked), say=said.append)  # type: ignore[arg-type]
        assert counts(tmp_path / name) == {"a": 3}
        objects = pd.read_csv(tmp_path / name / "objects.csv")
        assert (objects["mean_DAPI"] == 60_000).all()
        assert (objects["sum_Actin"] == 100 * objects["area"]).all()
        np.testing.assert_allclose(objects["area_um2"], objects["area"] / 4)
    assert any("channel 1 (DAPI) of 2, maximum over 3 focal planes" in line for line in said)
    assert counts(run(tmp_path / "images", tmp_path / "other", channel="Actin").output) == {"a": 0}


def test_one_image_is_enough_and_a_name_of_digits_stays_as_it_is(images: Path, tmp_path: Path) -> None:
    (images / "discs.png").rename(tmp_path / "01.png")
    output = run(tmp_path / "01.png").output
    assert output == tmp_path / "01-nuclei"
    assert counts(output) == {"01": 3}
    assert pd.read_csv(output / "objects.csv", dtype={"image": str})["image"].unique().tolist() == ["01"]
    assert not (output / "submission.csv").exists()


def test_a_pattern_names_images_below_its_fixed_part(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = run(f"{images}/**/*.tif").output
    assert output == images.with_name("images-nuclei")
    assert counts(output) == {"deeper/sixteen": 3}
    monkeypatch.chdir(images)
    assert output_beside("*.png", "nuclei").resolve() == output
    assert output_beside(".", "nuclei").resolve() == output
    assert output_beside("deeper/", "nuclei") == Path("deeper-nuclei")


def test_words_of_the_command_line_are_read_and_wrong_ones_are_told() -> None:
    assert parse_formats("") == ("csv", "labels", "overlay")
    assert parse_formats("roi, CSV") == ("csv", "roi")
    with pytest.raises(ConfigError, match=r"unknown format 'geojsn'\. Did you mean geojson"):
        parse_formats("csv,geojsn")
    assert (parse_z(""), parse_z("3"), parse_z("mean")) == ("max", 3, "mean")
    with pytest.raises(ConfigError, match="max, mean or the number"):
        parse_z("sum")
    assert (parse_channel(""), parse_channel("2"), parse_channel("DAPI")) == (None, 2, "DAPI")
