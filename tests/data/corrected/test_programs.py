"""Files as QuPath, ImageJ and Label Studio write them are read to the pixel."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from roifile import ROI_OPTIONS, ROI_TYPE, ImagejRoi

from nanonuclei.data.corrected.brush import decode, encode
from nanonuclei.data.corrected.geojson import read_geojson
from nanonuclei.data.corrected.imagej_roi import read_rois
from nanonuclei.data.corrected.label_studio import file_of, is_label_studio, read_label_studio
from nanonuclei.data.corrected.shapes import Drawn, pixels
from nanonuclei.errors import DataError

SIZE = (20, 30)
BOX = np.zeros(SIZE, bool)
BOX[3:8, 2:6] = True
CORNERS = [[2, 3], [6, 3], [6, 8], [2, 8]]


def masks(drawn: Drawn) -> list[np.ndarray]:
    found = []
    for shape in drawn.shapes:
        found.append(np.zeros(SIZE, bool))
        found[-1].ravel()[pixels(shape, SIZE)] = True
    return found


def feature(kind: str, corners: list[Any], **more: Any) -> dict[str, Any]:
    """As QuPath 0.6 exports an object: the ring is closed, ids are UUIDs."""
    return {
        "type": "Feature",
        "id": "8f3b6f2e-3f7f-4b0e-9a51-0d4f8f1a2b3c",
        "geometry": {"type": "Polygon", "coordinates": [[*corners, corners[0]]]},
        "properties": {"objectType": kind},
        **more,
    }


@pytest.mark.parametrize("form", ["collection", "list", "single"])
def test_geojson_of_qupath_is_read_in_each_form(form: str) -> None:
    one = feature("annotation", CORNERS)
    tree = {"collection": {"type": "FeatureCollection", "features": [one]}, "list": [one], "single": one}[form]
    (mask,) = masks(read_geojson(json.dumps(tree).encode("utf-8-sig")))
    np.testing.assert_array_equal(mask, BOX)


def test_a_region_around_objects_and_points_are_passed_over_and_a_cell_is_its_nucleus() -> None:
    around = feature("annotation", [[0, 0], [30, 0], [30, 20], [0, 20]])
    other = feature("detection", [[10, 10], [14, 10], [14, 14], [10, 14]])
    nucleus = {"type": "Polygon", "coordinates": [[*CORNERS, CORNERS[0]]]}
    cell = feature("cell", [[1, 1], [9, 1], [9, 12], [1, 12]], nucleusGeometry=nucleus)
    point = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [3, 3]}, "properties": {}}
    drawn = read_geojson(json.dumps([around, cell, other, point]).encode())
    found = masks(drawn)
    assert len(found) == 2
    np.testing.assert_array_equal(found[0], BOX)
    assert drawn.notes == ("passed over: 1 region around objects", "passed over: 1 point or line")


@pytest.mark.parametrize("content", [b"{", b"[1]", b'{"features": 3}', b"\xff\xfe"])
def test_what_is_no_geojson_is_refused_with_the_remedy(content: bytes) -> None:
    with pytest.raises(DataError, match="no GeoJSON"):
        read_geojson(content)


def test_coordinates_that_are_none_are_refused() -> None:
    bad = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [[["a", 1], [2, 3]]]}, "properties": {}}
    with pytest.raises(DataError, match="without sound coordinates"):
        read_geojson(json.dumps(bad).encode())


def roi(kind: ROI_TYPE, points: list[list[float]], *, subpixel: bool = False) -> ImagejRoi:
    region = ImagejRoi.frompoints(np.array(points, np.float32 if subpixel else np.int32))
    region.roitype = kind
    if subpixel:
        region.options |= ROI_OPTIONS.SUB_PIXEL_RESOLUTION
    return region


def zipped(*regions: ImagejRoi) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for number, region in enumerate(regions):
            archive.writestr(f"{number:04}-0012.roi", region.tobytes())
    return content.getvalue()


@pytest.mark.parametrize("kind", [ROI_TYPE.POLYGON, ROI_TYPE.FREEHAND, ROI_TYPE.TRACED])
@pytest.mark.parametrize("subpixel", [False, True])
def test_areas_of_imagej_run_along_the_corners_of_pixels(kind: ROI_TYPE, subpixel: bool) -> None:
    (mask,) = masks(read_rois(zipped(roi(kind, CORNERS, subpixel=subpixel))))
    np.testing.assert_array_equal(mask, BOX)


def test_rectangles_and_ovals_of_imagej_are_areas_and_points_are_passed_over() -> None:
    box, oval = ImagejRoi(), ImagejRoi()
    for region, kind in ((box, ROI_TYPE.RECT), (oval, ROI_TYPE.OVAL)):
        region.roitype = kind
        region.left, region.top, region.right, region.bottom = 2, 3, 6, 8
    drawn = read_rois(zipped(box, oval, roi(ROI_TYPE.POINT, [[4, 4]])))
    rectangle, ellipse = masks(drawn)
    np.testing.assert_array_equal(rectangle, BOX)
    assert ellipse.sum() == pytest.approx(np.pi * 2 * 2.5, abs=3)
    assert not (ellipse & ~BOX).any()
    assert drawn.notes == ("passed over: 1 point or line",)


def test_a_single_region_file_is_read_and_a_damaged_zip_refused() -> None:
    assert len(read_rois(roi(ROI_TYPE.POLYGON, CORNERS).tobytes()).shapes) == 1
    with pytest.raises(DataError, match="no zip of regions"):
        read_rois(b"PK nothing")


def test_a_region_that_is_cut_short_is_refused_by_its_name(caplog: pytest.LogCaptureFixture) -> None:
    region = roi(ROI_TYPE.POLYGON, CORNERS)
    region.name = "nucleus"
    with pytest.raises(DataError, match="the file is a region of ImageJ that is cut short"):
        read_rois(region.tobytes()[:-5])
    assert not caplog.records


def test_brush_strokes_are_a_stream_of_bits() -> None:
    # 1 x 2 px: 8 values; words of 8 bits; widths 3, 4, 8, 16; four times 0 as a run of width 3, four times 255.
    bits = (
        f"{8:032b}{7:05b}{2:04b}{3:04b}{7:04b}{15:04b}"
        + "1"
        + "00"
        + f"{3:03b}{0:08b}"
        + "1"
        + "00"
        + f"{3:03b}{255:08b}"
    )
    stream = [int(bits[place : place + 8].ljust(8, "0"), 2) for place in range(0, len(bits), 8)]
    assert decode(stream, (1, 2)).tolist() == [[False, True]]
    assert encode(np.array([[False, True]])) == stream


def test_brush_strokes_without_repetition_are_read() -> None:
    bits = f"{4:032b}{7:05b}{2:04b}{3:04b}{7:04b}{15:04b}" + "0" + "00" + f"{3:03b}" + f"{9:08b}" * 3 + f"{255:08b}"
    stream = [int(bits[place : place + 8].ljust(8, "0"), 2) for place in range(0, len(bits), 8)]
    assert decode(stream, (1, 1)).tolist() == [[True]]


@settings(max_examples=30, deadline=None)
@given(arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 40))))
def test_brush_strokes_come_back_as_they_were(mask: np.ndarray) -> None:
    np.testing.assert_array_equal(decode(encode(mask), mask.shape), mask)


@pytest.mark.parametrize(
    ("stream", "message"),
    [([0, 0, 0, 8], "end too early"), (encode(BOX[:5]), "on an image of 30 x 20 px"), ([999], "bytes")],
)
def test_brush_strokes_of_another_image_or_cut_off_are_refused(stream: list[int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        decode(stream, SIZE)


def task(number: int, *results: dict[str, Any], image: str = "/data/local-files/?d=pictures/a.png", **more: Any) -> Any:
    annotation = {
        "id": number,
        "was_cancelled": False,
        "ground_truth": False,
        "updated_at": "2026-01-02",
        "result": list(results),
    }
    return {"id": number, "data": {"image": image}, "annotations": [annotation | more]}


def polygon(points: list[list[float]]) -> dict[str, Any]:
    percent = [[100 * x / SIZE[1], 100 * y / SIZE[0]] for x, y in points]
    value = {"points": percent, "closed": True, "polygonlabels": ["Nucleus"]}
    return {
        "type": "polygonlabels",
        "original_width": SIZE[1],
        "original_height": SIZE[0],
        "image_rotation": 0,
        "value": value,
    }


def brush(mask: np.ndarray) -> dict[str, Any]:
    value = {"format": "rle", "rle": encode(mask), "brushlabels": ["Nucleus"]}
    return {
        "type": "brushlabels",
        "original_width": SIZE[1],
        "original_height": SIZE[0],
        "image_rotation": 0,
        "value": value,
    }


def test_polygons_and_brush_strokes_of_label_studio_are_read_to_the_pixel() -> None:
    tree = [task(1, polygon(CORNERS), brush(~BOX), {"type": "choices", "value": {}})]
    assert is_label_studio(tree)
    drawn = read_label_studio(tree)["pictures/a.png"]
    first, second = masks(drawn)
    np.testing.assert_array_equal(first, BOX)
    np.testing.assert_array_equal(second, ~BOX)
    assert drawn.size == SIZE
    assert "1 regions that are neither" in drawn.notes[0]


def test_the_latest_finished_annotation_counts_and_a_task_that_nobody_finished_is_left_out() -> None:
    several = task(1, polygon(CORNERS))
    several["annotations"] += task(1, updated_at="2026-01-03")["annotations"]
    several["annotations"] += task(1, polygon(CORNERS), was_cancelled=True, updated_at="2026-01-04")["annotations"]
    untouched = {"id": 2, "data": {"image": "b.png"}, "annotations": []}
    found = read_label_studio([several, untouched])
    assert list(found) == ["pictures/a.png"]
    assert found["pictures/a.png"].shapes == ()


def test_json_min_is_read_as_the_full_export() -> None:
    region = polygon(CORNERS)
    row = {"id": 1, "image": "/data/upload/3/0a1b2c3d-a.png", "outline": [{**region, **region["value"]}]}
    (mask,) = masks(read_label_studio([row])["a.png"])
    np.testing.assert_array_equal(mask, BOX)


@pytest.mark.parametrize(
    ("region", "message"),
    [
        ({**polygon(CORNERS), "image_rotation": 90}, "task 7: the image was turned by 90 degrees"),
        ({"type": "polygonlabels", "value": {}}, "task 7 lacks 'original_height'"),
    ],
)
def test_a_region_that_cannot_be_read_names_its_task(region: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_label_studio([task(7, region)])


def test_uploads_are_known_by_their_own_names() -> None:
    assert file_of("/data/upload/3/0a1b2c3d-cells%20a.png") == "cells a.png"
    assert file_of("/data/upload/3/cells-a.png") == "cells-a.png"
    assert file_of("\\data\\local-files\\?d=pictures\\a.png") == "pictures/a.png"
