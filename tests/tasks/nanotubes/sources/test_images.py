"""Datasets of nanotubes in every form, and everything that can be wrong with them, found in one pass."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from tests.tasks.nanotubes.sources.forms import FORMS, SHAPE, as_coco, as_table, masks, noise, put, read, tube_mask

from nanonuclei.data.archives import open_files, write_zip
from nanonuclei.errors import DataError
from nanonuclei.tasks.nanotubes.data_config import ChannelsConfig, SimulatedNanotubesConfig
from nanonuclei.tasks.nanotubes.sources.fetch import describe
from nanonuclei.tasks.nanotubes.sources.images import open_tnt, simulated_tubes


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_nanotubes(tmp_path, form, packed):
    folder = tmp_path / "set"
    folder.mkdir()
    FORMS[form](folder)
    path = folder
    if packed:
        path = tmp_path / "set.zip"
        with open_files(folder) as files:
            write_zip(path, [(f"deep/er/{name}", files.read(name)) for name in files.names])
    samples, problems = read(path)
    assert problems == []
    assert sorted(samples) == ["a", "b", "c"]
    for name in "ab":
        truth = samples[name].truth
        assert len(np.unique(truth.labels)) == 3
        assert truth.kind == ("mask" if form == "masks" else "boxes")
        if form == "masks":
            assert sorted(line.length for line in truth.lines) == pytest.approx([19, 39], abs=2.0)
            np.testing.assert_array_equal(truth.labels > 0, tube_mask() > 0)
        else:
            np.testing.assert_allclose(truth.boxes, [[10, 10, 12, 50], [30, 20, 32, 40]], atol=0.51)
    assert not samples["c"].truth.labels.any()
    np.testing.assert_array_equal(samples["b"].image, noise(1 if form == "masks" else 0))


def test_patches_are_positive_or_negative_all_over(tmp_path):
    for number, kind in enumerate(("positive", "negative")):
        put(tmp_path / kind / "p1.png", noise(number))
    samples, problems = read(tmp_path)
    assert problems == []
    assert {name: sample.truth.labels.mean() for name, sample in samples.items()} == {
        "positive_p1": 1.0,
        "negative_p1": 0.0,
    }
    assert {sample.truth.kind for sample in samples.values()} == {"patch"}


def test_cells_give_counts_and_what_nanotubes_join(tmp_path):
    put(tmp_path / "images" / "a.png", noise())
    put(tmp_path / "masks" / "a.png", tube_mask())
    cells = np.zeros(SHAPE, np.uint8)
    cells[5:18, 1:10], cells[5:18, 50:70], cells[40:50, 60:75] = 1, 2, 3
    put(tmp_path / "cells" / "a.png", cells)
    samples, problems = read(tmp_path)
    assert problems == []
    assert samples["a"].truth.num_cells == 3
    assert set(samples["a"].truth.joins[0]) == {1, 2}
    assert samples["a"].truth.joins[1] == (0, 0)


def test_fields_of_view_come_from_a_table_or_from_label_studio(tmp_path):
    masks(tmp_path)
    (tmp_path / "fields.csv").write_text("image,field\na.png,dish 1\nimages/b.tif,dish 1\n")
    samples, problems = read(tmp_path)
    assert problems == []
    assert [samples[name].group for name in "abc"] == ["dish 1", "dish 1", "c"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("name,dish\na.png,1\n", "must have the columns image,field, got name,dish. Rename them"),
        ("image,field\nz.png,1\n", "image 'z.png' is not among the files. Leave it out"),
    ],
)
def test_a_table_of_fields_that_does_not_fit_is_told(tmp_path, table, message):
    masks(tmp_path)
    (tmp_path / "fields.csv").write_text(table)
    _, problems = read(tmp_path)
    assert [(one.file, one.problem) for one in problems] == [("fields.csv", message)]


def test_channels_are_chosen_by_name(tmp_path):
    image = np.stack([noise(1), noise(2), noise(3)])
    (tmp_path / "images").mkdir()
    names = {"axes": "CYX", "Labels": ["brightfield", "actin", "dapi"], "unit": "um"}
    tifffile.imwrite(tmp_path / "images/a.tif", image, imagej=True, metadata=names, resolution=(2.0, 2.0))
    put(tmp_path / "masks" / "a.png", tube_mask())
    samples, _ = read(tmp_path, ChannelsConfig(tubes="actin", nuclei="dapi"))
    np.testing.assert_array_equal(samples["a"].image, image[1])
    np.testing.assert_array_equal(samples["a"].nuclei, image[2])
    assert samples["a"].truth.pixel_size == 0.5


def test_all_that_is_wrong_is_told_in_one_pass_with_file_and_remedy(tmp_path):
    good = noise()
    put(tmp_path / "images/good.png", good)
    put(tmp_path / "images/none.png", good)
    put(tmp_path / "images/size.png", good)
    put(tmp_path / "images/black.png", np.zeros(SHAPE, np.uint8))
    put(tmp_path / "images/soft.png", good)
    put(tmp_path / "images/both.png", good)
    (tmp_path / "images/broken.png").write_bytes(b"no image")
    put(tmp_path / "images/nan.tif", np.full(SHAPE, np.nan, np.float32))
    for name in ("good", "black", "broken", "nan", "both", "orphan"):
        put(tmp_path / f"masks/{name}.png", tube_mask())
    put(tmp_path / "masks/size.png", tube_mask()[1:])
    put(tmp_path / "masks/soft.png", np.tile(np.arange(80, dtype=np.uint8), (60, 1)))
    (tmp_path / "boxes.csv").write_text(
        "image,y0,x0,y1,x1\nboth.png,1,1,5,5\nghost.png,1,1,5,5\nboth.png,9,1,5,5\nout.png,1,1,5,99\nout.png,-3,1,5,9\n"
    )
    put(tmp_path / "images/out.png", good)
    samples, problems = read(tmp_path)
    assert sorted(samples) == ["good"]
    expected = {
        ("boxes.csv line 4", "y1 and x1 must exceed"),
        ("boxes.csv", "image 'ghost.png' is not among the files. Add it"),
        ("images/both.png", "has a mask, masks/both.png, and boxes in boxes.csv. Keep one"),
        ("masks/orphan.png", "mask of no image. Name it like its image"),
        ("images/none.png", "no mask. Draw one, all black if it holds no nanotube"),
        ("images/black.png", "shows nothing: all black. Leave it out"),
        ("images/broken.png", "not a readable image"),
        ("images/nan.tif", "no pixel holds a number, all are NaN or infinite"),
        ("images/out.png", "box 1, 1, 5, 99 (y0, x0, y1, x1) lies outside of the image, 80x60 px"),
        ("images/out.png", "box -3, 1, 5, 9 (y0, x0, y1, x1) lies outside of the image"),
        ("masks/size.png", "has 80x59 px, its image 80x60 px"),
        ("masks/soft.png", "as a soft brush leaves them"),
    }
    told = {(problem.file, text) for problem in problems for _, text in expected if text in problem.problem}
    assert told == expected
    assert len(problems) == len(expected)
    assert all(problem.problem.rstrip().count(". ") >= 1 for problem in problems)


@pytest.mark.parametrize(
    ("channels", "message"),
    [
        (ChannelsConfig(tubes="actin", nuclei="none"), "no channel 'actin'; there are: 0 grey. Change data.channels"),
        (ChannelsConfig(tubes=0, nuclei=2), "no channel 2; there are: 0 grey. Change data.channels"),
    ],
)
def test_a_channel_that_is_not_there_is_told_for_every_image(tmp_path, channels, message):
    masks(tmp_path)
    (tmp_path / "images/c.jpg").unlink()
    (tmp_path / "masks/c.png").unlink()
    _, problems = read(tmp_path, channels)
    assert [(problem.file, problem.problem) for problem in problems] == [
        ("images/a.png", message),
        ("images/b.tif", message),
    ]


def test_images_of_another_size_than_was_marked_are_told(tmp_path):
    as_coco(tmp_path)
    put(tmp_path / "pictures/a.png", noise()[:50])
    _, problems = read(tmp_path)
    assert [problem.file for problem in problems] == ["pictures/a.png"]
    assert "was marked with 80x60 px (instances.json), but has 80x50 px" in problems[0].problem


def test_images_without_annotation_are_left_out_beside_json_and_told_beside_a_table(tmp_path):
    (tmp_path / "json").mkdir()
    as_coco(tmp_path / "json")
    with open_tnt(tmp_path / "json") as (_, layout):
        assert layout.notes == ("Left out: 1 image without annotation, such as pictures/unseen.png",)
        assert "pictures/unseen.png" not in layout.files
        assert describe(layout) == "3 images with 4 boxes"
    (tmp_path / "table").mkdir()
    as_table(tmp_path / "table")
    put(tmp_path / "table/unseen.png", noise())
    _, problems = read(tmp_path / "table")
    assert [problem.problem for problem in problems] == [
        "no row in the table. Add `unseen.png,,,,` if it holds no nanotube"
    ]


def test_names_that_clash_get_their_folders(tmp_path):
    for folder in ("day1", "day2"):
        put(tmp_path / folder / "a b.png", noise())
    (tmp_path / "boxes.csv").write_text("image,y0,x0,y1,x1\nday1/a b.png,1,1,5,5\nday2/a b.png,,,,\n")
    samples, problems = read(tmp_path)
    assert problems == []
    assert {name: len(sample.truth.boxes) for name, sample in samples.items()} == {
        "day1_a_b": 1,
        "day2_a_b": 0,
    }
    (tmp_path / "boxes.csv").write_text("image,y0,x0,y1,x1\na b.png,1,1,5,5\n")
    _, problems = read(tmp_path)
    assert "could be day1/a b.png or day2/a b.png. Write the path" in problems[0].problem


def test_masks_of_equal_names_belong_to_the_images_beside_them(tmp_path):
    for number, day in enumerate(("day1", "day2")):
        put(tmp_path / day / "images/a.png", noise(number))
        put(tmp_path / day / "masks/a.png", tube_mask() * np.uint8(number))
    put(tmp_path / "day3/a.ome.tif", noise(3))
    put(tmp_path / "day3/masks/a_mask.png", tube_mask())
    put(tmp_path / "day3/masks/a_mask.tif", tube_mask())
    samples, problems = read(tmp_path)
    assert {name: bool(sample.truth.labels.any()) for name, sample in samples.items()} == {
        "day1_images_a": False,
        "day2_images_a": True,
        "day3_a": True,
    }
    assert [one.problem for one in problems] == ["day3/masks/a_mask.png is of the same image. Keep one"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: None, "must hold images, PNG, JPEG or TIFF, but holds none"),
        (lambda folder: put(folder / "images/a.png", noise()), "holds 1 image and no masks, lines, boxes or patches"),
    ],
)
def test_what_is_no_dataset_is_refused_with_the_forms(tmp_path, make: Callable[[Path], None], message):
    make(tmp_path)
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path)
    assert "docs/nanotubes-data.md" in str(caught.value)


def test_simulated_images_know_lines_cells_and_nuclei():
    config = SimulatedNanotubesConfig(
        num_images=3,
        size=192,
        cell_radius=20.0,
        coverage=0.3,
        tubes_per_cell=0.5,
        faint=0.2,
        distractors=1.0,
        noise=1.0,
        tile=0,
    )
    sample = next(simulated_tubes(config, seed=3))
    assert sample.image.shape == (192, 192)
    assert sample.nuclei is not None
    assert sample.cells is not None
    assert sample.truth.num_cells == len(np.unique(sample.cells)) - 1
    assert len(sample.truth.lines) == len(sample.truth.joins) == len(np.unique(sample.truth.labels)) - 1
    assert all(0 < cell <= sample.cells.max() for pair in sample.truth.joins for cell in pair)
