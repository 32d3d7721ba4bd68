"""What is written of a nanotube is what is read."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest

from nanonuclei.data.catalog import SampleRef, image_path, labels_path
from nanonuclei.errors import DataError
from nanonuclei.tasks.nanotubes.lines.line import Line
from nanonuclei.tasks.nanotubes.sources.samples import (
    TubeSample,
    TubeTruth,
    cells_path,
    nuclei_image,
    truth_path,
    tube_truth,
    write_tube_sample,
)


def sample() -> TubeSample:
    labels = np.zeros((20, 30), np.uint16)
    labels[5, 3:20] = 1
    line = Line(np.stack([np.full(9, 5.0), np.linspace(3, 19, 9)], axis=1).astype(np.float32), 1.25)
    image = np.arange(600, dtype=np.uint16).reshape(20, 30)
    truth = TubeTruth("mask", labels, (line,), ((2, 0),), 0.325, 3)
    return TubeSample("one", image, truth, "field", (image % 251).astype(np.uint8), (labels + 1).astype(np.uint16))


def ref(folder: Path, sample_id: str = "one") -> SampleRef:
    return SampleRef(
        sample_id=sample_id,
        image_path=image_path(folder, sample_id),
        labels_path=labels_path(folder, sample_id),
        height=20,
        width=30,
        modality="fluorescence",
        num_objects=1,
        field=0,
        split="train",
        digest="",
    )


def test_a_sample_is_read_as_it_was_written(tmp_path):
    written = sample()
    write_tube_sample(tmp_path, written)
    truth = tube_truth(ref(tmp_path))
    assert (truth.kind, truth.joins, truth.pixel_size, truth.num_cells) == ("mask", ((2, 0),), 0.325, 3)
    np.testing.assert_array_equal(truth.labels, written.truth.labels)
    np.testing.assert_allclose(truth.lines[0].points, written.truth.lines[0].points, atol=1e-3)
    assert truth.lines[0].width == 1.25
    assert truth.boxes.shape == (0, 4)
    np.testing.assert_array_equal(ref(tmp_path).image(), written.image)
    np.testing.assert_array_equal(nuclei_image(ref(tmp_path)), written.nuclei)
    np.testing.assert_array_equal(cv2.imread(str(cells_path(tmp_path, "one")), cv2.IMREAD_UNCHANGED), written.cells)


def test_boxes_and_what_is_not_known_come_back(tmp_path):
    boxes = np.array([[1.5, 2.0, 9.25, 12.0]], np.float32)
    labels = np.zeros((20, 30), np.uint16)
    truth = TubeTruth("boxes", labels, (), (), None, None, boxes)
    write_tube_sample(tmp_path, TubeSample("one", labels.astype(np.uint8), truth, "one"))
    read = tube_truth(ref(tmp_path))
    np.testing.assert_array_equal(read.boxes, boxes)
    assert (read.lines, read.joins, read.pixel_size, read.num_cells) == ((), (), None, None)
    assert nuclei_image(ref(tmp_path)) is None
    assert not cells_path(tmp_path, "one").exists()


@pytest.mark.parametrize("part", ["image", "labels", "lines", "nuclei", "cells", "pixel_size"])
def test_the_digest_follows_everything_that_is_written(part):
    one = sample()
    changes = {
        "image": lambda: dataclasses.replace(one, image=one.image + 1),
        "labels": lambda: dataclasses.replace(one, truth=dataclasses.replace(one.truth, labels=one.truth.labels * 2)),
        "lines": lambda: dataclasses.replace(one, truth=dataclasses.replace(one.truth, joins=((1, 2),))),
        "nuclei": lambda: dataclasses.replace(one, nuclei=None),
        "cells": lambda: dataclasses.replace(one, cells=None),
        "pixel_size": lambda: dataclasses.replace(one, truth=dataclasses.replace(one.truth, pixel_size=None)),
    }
    assert sample().digest() == one.digest()
    assert changes[part]().digest() != one.digest()


@pytest.mark.parametrize("content", [None, "{}", "no json", '{"kind": "mask", "lines": 3}'])
def test_broken_truth_is_refused_with_its_file(tmp_path, content):
    write_tube_sample(tmp_path, sample())
    path = truth_path(tmp_path, "one")
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    with pytest.raises(DataError, match=r"tubes/one\.json must hold the nanotubes.*Run the prepare stage again"):
        tube_truth(ref(tmp_path))
