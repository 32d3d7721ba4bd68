"""Outlines are read back by the libraries of their formats, and hold the pixels of the label image."""

from __future__ import annotations

import io
import json
import zipfile

import cv2
import numpy as np
import pytest
import roifile
import shapely
from numpy.typing import NDArray
from shapely.geometry import MultiPolygon, Polygon, shape
from skimage.draw import polygon2mask
from skimage.measure import label
from tests.report.exports.discs import drawn, found

from nanonuclei.imaging.instances import Instances, empty, from_labels
from nanonuclei.report.exports.found import Found
from nanonuclei.report.exports.geojson import geojson
from nanonuclei.report.exports.imagej_roi import imagej_rois
from nanonuclei.report.exports.outlines import outlines


def pixels_of(geometry: Polygon | MultiPolygon, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels whose middle is in a geometry."""
    y, x = np.mgrid[: size[0], : size[1]]
    inside: NDArray[np.bool_] = shapely.contains_xy(geometry, x + 0.5, y + 0.5)
    return inside


@pytest.mark.parametrize("connectivity", [1, 2])
@pytest.mark.parametrize("density", [0.4, 0.6])
def test_outlines_of_random_objects_hold_their_pixels_and_are_valid(connectivity: int, density: float) -> None:
    noise = np.random.default_rng(3).random((40, 50)) < density
    instances = from_labels(label(noise, connectivity=connectivity).astype(np.int32))
    for number, geometry in enumerate(outlines(instances), start=1):
        assert geometry.is_valid
        own = instances.pixels() == number
        assert geometry.area == own.sum()
        np.testing.assert_array_equal(pixels_of(geometry, own.shape), own)


def test_geojson_is_read_back_as_detections_with_holes_and_measurements() -> None:
    tree = json.loads(geojson(found(pixel_size=0.5)))
    assert tree["type"] == "FeatureCollection"
    kinds = [feature["geometry"]["type"] for feature in tree["features"]]
    assert kinds == ["Polygon", "Polygon", "MultiPolygon", "Polygon"]
    assert [len(feature["geometry"]["coordinates"]) for feature in tree["features"]][:2] == [1, 2]
    labels = drawn().pixels()
    for number, feature in enumerate(tree["features"], start=1):
        geometry = shape(feature["geometry"])
        assert geometry.is_valid
        for part in getattr(geometry, "geoms", [geometry]):
            assert part.exterior.is_ring
        np.testing.assert_array_equal(pixels_of(geometry, labels.shape), labels == number)
        properties = feature["properties"]
        assert (properties["objectType"], properties["name"]) == ("detection", f"disc {number}")
        assert properties["classification"]["name"] == "Disc"
        measurements = properties["measurements"]
        assert measurements["area"] == geometry.area == (labels == number).sum()
        assert {"mean_DAPI", "perimeter_um", "score", "label"} <= set(measurements)
        assert all(isinstance(value, float) for value in measurements.values())


def test_figures_that_are_not_known_are_left_out_of_geojson() -> None:
    point = from_labels(np.eye(1, dtype=np.int32))
    (feature,) = json.loads(geojson(found(instances=point)))["features"]
    assert "circularity" not in feature["properties"]["measurements"]


def test_an_image_without_objects_is_an_empty_collection_and_an_empty_zip() -> None:
    nothing = found(instances=empty((20, 30)))
    assert json.loads(geojson(nothing)) == {"type": "FeatureCollection", "features": []}
    assert zipfile.ZipFile(io.BytesIO(imagej_rois(nothing))).namelist() == []


def rois(content: bytes) -> dict[str, roifile.ImagejRoi]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: roifile.ImagejRoi.frombytes(archive.read(name)) for name in archive.namelist()}


def test_regions_of_imagej_are_read_back_with_the_pixels_of_the_label_image() -> None:
    labels, read = drawn().pixels(), rois(imagej_rois(found()))
    assert list(read) == ["0001.roi", "0002.roi", "0003.roi", "0004.roi"]
    for number, (name, region) in enumerate(read.items(), start=1):
        assert region.name == name.removesuffix(".roi")
        if number in (2, 3):  # with a hole, and of two parts
            assert region.composite
            rings = [Polygon(ring) for ring in region.coordinates(multi=True)]
            inside = np.logical_xor.reduce([pixels_of(ring, labels.shape) for ring in rings])
        else:
            assert region.roitype == roifile.ROI_TYPE.TRACED
            inside = pixels_of(Polygon(region.coordinates()), labels.shape)
        np.testing.assert_array_equal(inside, labels == number)
        y, x = np.nonzero(labels == number)
        assert (region.top, region.left, region.bottom, region.right) == (y.min(), x.min(), y.max() + 1, x.max() + 1)


def test_the_same_objects_give_the_same_bytes() -> None:
    assert imagej_rois(found()) == imagej_rois(found())
    assert geojson(found()) == geojson(found())


@pytest.fixture
def tubes() -> Found:
    labels = np.zeros((20, 30), np.int32)
    cv2.line(labels, (3, 5), (20, 5), 1)
    plain = found(instances=from_labels(labels))
    hidden = Instances(
        np.concatenate([plain.instances.boxes] * 2), np.ones(2, np.float32), plain.instances.pixels()
    )  # the second lies below the first
    columns = {"label": [1, 2], "length": [17.0, float("nan")], "line": ["[[3.0, 5.0], [20.0, 5.0]]"] * 2}
    return Found("a", "nanotube", plain.image, hidden, columns, None)


def test_objects_that_are_lines_stay_lines(tubes: Found) -> None:
    first, second = json.loads(geojson(tubes))["features"]
    assert first["geometry"] == {"type": "LineString", "coordinates": [[3.5, 5.5], [20.5, 5.5]]}
    assert first["properties"]["measurements"] == {"label": 1.0, "length": 17.0}
    assert second["properties"]["measurements"] == {"label": 2.0}
    for region in rois(imagej_rois(tubes)).values():
        assert region.roitype == roifile.ROI_TYPE.POLYLINE
        np.testing.assert_allclose(region.coordinates(), [[3.5, 5.5], [20.5, 5.5]])


def test_polygons_drawn_by_another_library_are_the_same_pixels() -> None:
    disc = list(outlines(drawn()))[3]
    corners = np.array(disc.exterior.coords)[:, ::-1] - 0.5
    np.testing.assert_array_equal(polygon2mask((60, 80), corners), drawn().pixels() == 4)
