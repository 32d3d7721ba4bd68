"""No window sees two splits: images of one field stay together, quadrants stay apart."""

from __future__ import annotations

import numpy as np
import pytest

from nanonuclei.config.shared import SplitConfig
from nanonuclei.errors import DataError
from nanonuclei.tasks.nanotubes.sources.samples import TubeSample, TubeTruth
from nanonuclei.tasks.nanotubes.sources.splits import TubeFacts, cut_quadrants, missing_classes, split_tubes

SHARES = SplitConfig(train=0.5, val=0.25, test=0.25)


def facts(number: int, num_tubes: int = 1, **changes: object) -> TubeFacts:
    values = {"group": f"g{number}", "twin": f"t{number}", "kind": "mask"} | changes
    return TubeFacts(f"s{number}", num_tubes=num_tubes, **values)  # type: ignore[arg-type]


def stitched(height: int = 100, width: int = 141) -> TubeSample:
    """Every pixel has a value of its own; one nanotube lies in the upper left, one crosses the middle."""
    image = np.arange(height * width, dtype=np.uint16).reshape(height, width)
    labels = np.zeros((height, width), np.uint16)
    labels[10, 5:25] = 1
    labels[80, 20:120] = 2
    cells = np.zeros((height, width), np.uint16)
    cells[5:15, 25:35] = 4
    truth = TubeTruth("mask", labels, (), (), 0.5, 1)
    return TubeSample("big", image, truth, "big", image, cells)


def test_quadrants_are_a_window_apart_and_together_all_but_a_cross():
    sample = stitched()
    parts = cut_quadrants(sample, gap=21)
    assert [part.sample_id for part in parts] == ["big_nw", "big_ne", "big_sw", "big_se"]
    assert len({part.group for part in parts}) == 4
    covered = np.zeros(sample.image.shape, int)
    for part in parts:
        at = np.isin(sample.image, part.image)
        covered += at
        rows, columns = np.flatnonzero(at.any(axis=1)), np.flatnonzero(at.any(axis=0))
        np.testing.assert_array_equal(sample.image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], part.image)
    rows, columns = np.flatnonzero(~covered.any(axis=1)), np.flatnonzero(~covered.any(axis=0))
    assert covered.max() == 1
    assert len(rows) >= 21
    assert len(columns) >= 21
    assert (covered[np.ix_(np.setdiff1d(np.arange(100), rows), np.setdiff1d(np.arange(141), columns))] == 1).all()


def test_quadrants_keep_their_part_of_the_truth():
    north_west, north_east, south_west, south_east = cut_quadrants(stitched(), gap=20)
    assert [len(part.truth.lines) for part in (north_west, north_east, south_west, south_east)] == [1, 0, 1, 1]
    assert south_west.truth.lines[0].length == pytest.approx(60 - 20 - 1, abs=2)
    assert north_west.truth.joins == ((0, 4),) or north_west.truth.joins == ((4, 0),)
    assert (north_west.truth.num_cells, south_east.truth.num_cells) == (1, 0)
    assert {part.truth.pixel_size for part in (north_west, south_east)} == {0.5}


def test_boxes_are_cut_at_the_border_of_their_quadrant():
    boxes = np.array([[70, 10, 90, 140]], np.float32)
    truth = TubeTruth("boxes", np.zeros((100, 150), np.uint16), (), (), None, None, boxes)
    parts = cut_quadrants(TubeSample("a", np.zeros((100, 150), np.uint8), truth, "a"), gap=30)
    assert [part.truth.boxes.tolist() for part in parts] == [[], [], [[5, 10, 25, 60]], [[5, 0, 25, 50]]]
    assert parts[2].truth.labels.sum() == 20 * 50


@pytest.mark.parametrize(
    ("kind", "gap", "message"),
    [("patch", 10, "a patch cannot be cut"), ("mask", 99, r"141x100 px leave no quadrants beside 99 px")],
)
def test_what_cannot_be_cut_is_refused(kind, gap, message):
    sample = stitched()
    truth = TubeTruth(kind, sample.truth.labels, (), (), None, None)
    with pytest.raises(DataError, match=message):
        cut_quadrants(TubeSample("big", sample.image, truth, "big"), gap=gap)


@pytest.mark.parametrize(
    "changes",
    [{"group": "same"}, {"twin": "same"}, {"kind": "patch", "neighbours": 5}, {"kind": "patch", "overlapping": 5}],
)
def test_images_that_belong_together_are_of_one_field_and_split(changes):
    many = [facts(number, **(changes if number % 3 == 0 else {})) for number in range(12)]
    fields, splits = split_tubes(many, shares=SHARES, seed=3)
    assert {fields[number] for number in (0, 3, 6, 9)} == {0}
    assert len({splits[number] for number in (0, 3, 6, 9)}) == 1
    assert len(set(fields)) == 9


def test_what_belongs_together_is_found_through_others():
    many = [facts(0, twin="x"), facts(1, twin="x", group="y"), facts(2, group="y"), facts(3), facts(4)]
    assert split_tubes(many, shares=SHARES, seed=0)[0] == [0, 0, 0, 1, 2]


def test_images_with_and_without_nanotubes_are_in_every_split():
    many = [facts(number, num_tubes=int(number < 4)) for number in range(16)]
    for seed in range(5):
        _, splits = split_tubes(many, shares=SHARES, seed=seed)
        for part in (splits[:4], splits[4:]):
            assert set(part) == {"train", "val", "test"}


@pytest.mark.parametrize(
    ("kind", "num_tubes", "expected"),
    [
        ("mask", [1, 1, 1], {}),
        ("mask", [1, 0, 1], {"split val": "its 1 images lack a nanotube"}),
        (
            "patch",
            [1, 1, 0],
            {"split train": "lack a patch without", "split val": "lack a patch", "split test": "lack a"},
        ),
    ],
)
def test_splits_that_lack_a_class_are_told(kind, num_tubes, expected):
    many = [facts(number, num, kind=kind) for number, num in enumerate(num_tubes)]
    problems = {one.file: one.problem for one in missing_classes(many, ["train", "val", "test"])}
    assert problems.keys() == expected.keys()
    assert all(text in problems[file] for file, text in expected.items())


def test_fewer_than_three_fields_cannot_be_dealt():
    with pytest.raises(DataError, match="at least 3"):
        split_tubes([facts(0), facts(1), facts(2, group="g1")], shares=SHARES, seed=0)
