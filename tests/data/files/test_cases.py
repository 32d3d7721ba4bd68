"""Small files of the kinds that people bring, where they are at hand: each shows the nuclei of the reference."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.data.files.synthetic import found_nuclei

from nanonuclei.config.experiment import NormalizeConfig
from nanonuclei.data.files.axes import Choice
from nanonuclei.data.files.listing import list_images
from nanonuclei.data.files.reading import iter_image_file, read_values
from nanonuclei.errors import DataError
from nanonuclei.imaging.normalize import grey_limits, normalize

SHARED = os.environ.get("NANONUCLEI_SHARED", "")
CASES = Path(SHARED) / "cases"
pytestmark = pytest.mark.skipif(not SHARED, reason="NANONUCLEI_SHARED names no folder")
PERCENTILES = NormalizeConfig(kind="percentile", low=1.0, high=99.8)

SAME = [
    *("12bit_in_16.tif", "float32_0_1.tif", "float32_counts_nan.tif", "grey.gif", "grey.jp2", "grey.webp"),
    *("int16_negative.tif", "palette.png", "uint32.tif", "channels_cyx.ome.tif", "zstack_zyx.tif"),
    *("from_a_mac/a.png", "one_broken/a.png", "one_broken/c.png", "plate/A01/site1.png"),
]


def shown(image: np.ndarray) -> np.ndarray:
    return normalize(image, grey_limits(image, PERCENTILES))[..., 0]


def reference() -> np.ndarray:
    return shown(next(iter_image_file(CASES / "reference.png")).image)


def labels() -> np.ndarray:
    return cv2.imread(str(CASES / "reference_labels.png"), cv2.IMREAD_UNCHANGED)


@pytest.mark.parametrize("name", SAME)
def test_the_nuclei_are_those_of_the_reference(name: str) -> None:
    (plane,) = iter_image_file(CASES / name)
    image = shown(plane.image)
    assert np.corrcoef(image.ravel(), reference().ravel())[0, 1] > 0.95
    assert found_nuclei(image, labels()) == found_nuclei(reference(), labels())


def test_channel_and_projection_are_said() -> None:
    assert next(iter_image_file(CASES / "channels_cyx.ome.tif")).choice == "channel 1 (DAPI) of 2"
    assert next(iter_image_file(CASES / "zstack_zyx.tif")).choice == "maximum over 5 focal planes"
    for name in ("two_samples_yxc.tif", "hyperstack_tzcyx.tif"):
        with pytest.raises(DataError, match=r"holds 2 channels, and none is chosen: 0, 1\. Name one"):
            list(iter_image_file(CASES / name))
    (second,) = iter_image_file(CASES / "two_samples_yxc.tif", Choice(channel=1))
    assert np.corrcoef(shown(second.image).ravel(), reference().ravel())[0, 1] > 0.95


def test_times_are_one_result_each() -> None:
    assert [plane.time for plane in iter_image_file(CASES / "timelapse_tyx.tif")] == [0, 1, 2]
    hyperstack = list(iter_image_file(CASES / "hyperstack_tzcyx.tif", Choice(channel=1)))
    assert [plane.time for plane in hyperstack] == [0, 1]
    assert np.corrcoef(shown(hyperstack[0].image).ravel(), reference().ravel())[0, 1] > 0.95


def test_a_mask_of_bits_is_that_of_the_reference() -> None:
    mask = read_values(CASES / "bool.tif")
    assert mask.dtype == np.bool_
    assert (mask & (labels() > 0)).sum() > 0.95 * (labels() > 0).sum()


def test_junk_is_passed_over_and_a_plate_keeps_its_wells() -> None:
    assert list(list_images(CASES / "from_a_mac")) == ["a"]
    assert list(list_images(CASES / "plate")) == ["A01/site1", "A02/site1"]


def test_the_broken_one_of_three_is_refused_with_its_name() -> None:
    assert list(list_images(CASES / "one_broken")) == ["a", "b", "c"]
    with pytest.raises(DataError, match=r"b\.png: not a readable image"):
        list(iter_image_file(CASES / "one_broken/b.png"))
