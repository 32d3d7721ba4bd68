"""Figures of objects are those of scikit-image, and of the values that a hand computes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage.measure import label, regionprops_table
from tests.report.exports.discs import drawn, found

from nanonuclei.imaging.instances import Instances, empty, from_labels
from nanonuclei.report.exports.measures import channel_columns, intensities, measure

NAMES = {
    "centroid_y": "centroid-0",
    "centroid_x": "centroid-1",
    "y0": "bbox-0",
    "x0": "bbox-1",
    "y1": "bbox-2",
    "x1": "bbox-3",
    "area": "area",
    "equivalent_diameter": "equivalent_diameter_area",
    "perimeter": "perimeter",
    "eccentricity": "eccentricity",
    "orientation": "orientation",
    "solidity": "solidity",
}


@pytest.mark.parametrize("connectivity", [1, 2])
def test_figures_are_those_of_scikit_image(connectivity: int) -> None:
    rng = np.random.default_rng(connectivity)
    noise = ndimage.gaussian_filter(rng.normal(size=(160, 200)), 3)
    instances = from_labels(label(noise > 0.02, connectivity=connectivity).astype(np.int32))
    grey = rng.integers(0, 60_000, (160, 200)).astype(np.uint16)
    wide = rng.normal(size=(160, 200))
    properties = {name.partition("-")[0] for name in NAMES.values()}
    light = ("intensity_mean", "intensity_median", "intensity_std")
    expected = regionprops_table(
        instances.pixels(), np.stack([grey.astype(np.float64), wide], axis=-1), properties=(*properties, *light)
    )
    figures = measure(instances)
    for name, other in NAMES.items():
        np.testing.assert_allclose(figures[name], expected[other], atol=1e-9, err_msg=name)
    for place, channel in enumerate((grey, wide)):
        told = intensities(instances.pixels(), channel[None], ["a"], number=len(instances))
        for name, other in zip(("mean_a", "median_a", "std_a"), light, strict=True):
            np.testing.assert_allclose(told[name], expected[f"{other}-{place}"], rtol=1e-9, atol=1e-9, err_msg=name)
        np.testing.assert_allclose(told["sum_a"], expected[f"intensity_mean-{place}"] * figures["area"])


def test_a_square_has_the_figures_of_a_square() -> None:
    square = {name: values[0] for name, values in found(pixel_size=0.5).columns.items()}
    assert (square["area"], square["area_um2"]) == (100, 25.0)
    assert (square["perimeter"], square["perimeter_um"]) == (36.0, 18.0)
    assert square["circularity"] == pytest.approx(4 * np.pi * 100 / 36**2)
    assert square["equivalent_diameter_um"] == pytest.approx(square["equivalent_diameter"] / 2)
    assert (square["solidity"], square["eccentricity"]) == (1.0, 0.0)
    assert (square["centroid_y"], square["centroid_x"], square["centroid_x_um"]) == (4.5, 9.5, 4.75)
    assert square["mean_DAPI"] == square["median_DAPI"] == 200
    assert (square["mean_1"], square["sum_1"]) == (4.5, 450)
    assert (square["length"], square["length_um"]) == (2.0, 1.0)


def test_objects_at_the_border_of_the_image_are_marked() -> None:
    assert measure(drawn())["touches_border"].tolist() == [True, False, False, False]


def test_micrometres_are_told_only_where_the_size_of_a_pixel_is_known() -> None:
    assert not [name for name in found().columns if "um" in name.split("_")]


def test_no_objects_and_objects_without_pixels_have_no_figures() -> None:
    assert all(len(values) == 0 for values in measure(empty((5, 6))).values())
    assert all(
        len(values) == 0
        for values in intensities(np.zeros((5, 6), np.int32), np.ones((1, 5, 6)), [""], number=0).values()
    )
    hidden = Instances(
        np.array([[0, 0, 1, 2], [1, 1, 2, 3]], np.int32), np.ones(2, np.float32), np.zeros((4, 4), np.int32)
    )
    hidden.pixels()[0, :2] = 1
    figures = {**measure(hidden), **intensities(hidden.pixels(), np.ones((1, 4, 4)), ["a"], number=2)}
    assert figures["area"].tolist() == [2, 0]
    for name in ("centroid_y", "perimeter", "solidity", "orientation", "median_a", "sum_a"):
        assert np.isnan(figures[name][1]), name


@pytest.mark.parametrize(
    ("names", "columns"),
    [
        (("DAPI", "Actin 2"), ["DAPI", "Actin 2"]),
        (("", ""), ["0", "1"]),
        (("a", "a", "b"), ["0", "1", "b"]),
        (("405", ""), ["405", "1"]),
        (("1", ""), ["0", "1"]),
    ],
)
def test_channels_without_a_name_of_their_own_are_numbers(names: tuple[str, ...], columns: list[str]) -> None:
    assert channel_columns(names) == columns
