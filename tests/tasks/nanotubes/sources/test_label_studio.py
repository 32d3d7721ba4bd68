"""Tasks for Label Studio, and its exports read back; the exports here have all fields that real ones have."""

from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from nanonuclei.data.corrected.label_studio import file_of
from nanonuclei.imaging.windows import Window
from nanonuclei.tasks.nanotubes.sources.annotations import Parsed, load_json
from nanonuclei.tasks.nanotubes.sources.label_studio import (
    FROM_NAME,
    LABELLING_INTERFACE,
    TO_NAME,
    WindowTask,
    parse_label_studio,
    write_tasks,
)


def task(score: float, boxes: list[list[float]] | None = None, name: str = "w.png") -> WindowTask:
    array = np.array(boxes or [], np.float32).reshape(-1, 4)
    window = Window(100, 200, 164, 328)
    return WindowTask(f"windows/{name}", "big image.tif", window, score, array, [0.9] * len(array))


def rectangle(x: float, y: float, width: float, height: float, **changes: Any) -> dict[str, Any]:
    value = {"x": x, "y": y, "width": width, "height": height, "rotation": 0, "rectanglelabels": ["TNT"]}
    value |= changes.pop("value", {})
    return {
        "original_width": 200,
        "original_height": 100,
        "image_rotation": 0,
        "value": value,
        "id": "Qr5s7Xk1aB",
        "from_name": "label",
        "to_name": "image",
        "type": "rectanglelabels",
        "origin": "manual",
    } | changes


def annotation(*results: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "id": 31,
        "completed_by": 1,
        "result": list(results),
        "was_cancelled": False,
        "ground_truth": False,
        "created_at": "2026-03-07T12:34:36.829143Z",
        "updated_at": "2026-03-07T16:27:17.914777Z",
        "draft_created_at": "2026-03-07T12:22:52.969577Z",
        "lead_time": 31.874,
        "prediction": {},
        "result_count": len(results),
        "unique_id": "0b7f1c52-8f0a-4f5e-9a51-3c2d6b6a1e77",
        "import_id": None,
        "last_action": None,
        "task": 12,
        "project": 7,
        "updated_by": 1,
        "parent_prediction": None,
        "parent_annotation": None,
        "last_created_by": None,
    } | changes


def exported(*annotations: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "id": 12,
        "annotations": list(annotations),
        "file_upload": "3fa85f64-a.png",
        "drafts": [],
        "predictions": [{"model_version": "m", "result": [rectangle(0, 0, 100, 100)]}],
        "data": {"image": "/data/upload/7/3fa85f64-a.png"},
        "meta": {},
        "created_at": "2026-03-07T12:22:30.126803Z",
        "updated_at": "2026-03-07T16:27:19.222035Z",
        "inner_id": 1,
        "total_annotations": len(annotations),
        "cancelled_annotations": 0,
        "total_predictions": 1,
        "comment_count": 0,
        "project": 7,
        "updated_by": 1,
        "comment_authors": [],
    } | changes


def parsed(*tasks: dict[str, Any]) -> Parsed:
    return parse_label_studio(tasks, "export.json")


def as_min(full: dict[str, Any]) -> list[dict[str, Any]]:
    """What Label Studio writes of a task as JSON-MIN: a flat row per annotation, nothing of one without regions."""
    rows = []
    for one in full["annotations"]:
        row = {**full["data"], "id": full["id"]}
        if one["result"]:
            row["label"] = [
                {**region["value"], "original_width": region["original_width"], "original_height": 100}
                for region in one["result"]
            ]
        row |= {"annotator": 1, "annotation_id": one["id"], "lead_time": 3.2}
        rows.append(row | {name: one[name] for name in ("created_at", "updated_at")})
    return rows


def test_boxes_survive_the_way_there_and_back(tmp_path):
    boxes = [[110.0, 210.0, 120.0, 300.0], [130.25, 200.0, 164.0, 207.5]]
    write_tasks(tmp_path / "tasks.json", [task(0.5, boxes)], model="run abc")
    written = json.loads((tmp_path / "tasks.json").read_text())[0]
    done = exported(annotation(*written["predictions"][0]["result"]), data=written["data"])
    mark = parsed(done).marks[0]
    corner = np.array([100, 200, 100, 200])
    np.testing.assert_allclose(np.array(mark.boxes) + corner, boxes, atol=1e-6)
    assert (mark.image, mark.size, mark.group) == ("windows/w.png", (64, 128), "big image.tif")


def test_tasks_are_what_label_studio_imports(tmp_path):
    write_tasks(tmp_path / "tasks.json", [task(0.7, [[116.0, 232.0, 132.0, 264.0]], "a b.png")], model="m")
    written = json.loads((tmp_path / "tasks.json").read_text())[0]
    assert written["data"]["image"] == "/data/local-files/?d=windows/a%20b.png"
    assert file_of(written["data"]["image"]) == "windows/a b.png"
    prediction = written["predictions"][0]
    assert (prediction["model_version"], prediction["score"]) == ("m", 0.7)
    region = prediction["result"][0]
    assert (region["original_width"], region["original_height"]) == (128, 64)
    assert region["value"] == {
        "x": 25.0,
        "y": 25.0,
        "width": 25.0,
        "height": 25.0,
        "rotation": 0,
        "rectanglelabels": ["TNT"],
    }
    names = {element.tag: element.attrib for element in ElementTree.fromstring(LABELLING_INTERFACE).iter()}
    assert (region["from_name"], region["to_name"]) == (names["RectangleLabels"]["name"], names["Image"]["name"])
    assert (region["from_name"], region["to_name"]) == (FROM_NAME, TO_NAME)
    assert names["Image"]["value"] == "$image"
    assert names["Label"]["value"] == "TNT"


def test_the_most_uncertain_window_comes_first(tmp_path):
    tasks = [task(score, name=f"{score}.png") for score in (0.99, 0.4, 0.62, 0.01)]
    write_tasks(tmp_path / "tasks.json", tasks, model="m", threshold=0.6)
    scores = [one["data"]["score"] for one in json.loads((tmp_path / "tasks.json").read_text())]
    assert scores == [0.62, 0.4, 0.99, 0.01]


def test_boxes_are_cut_off_at_their_window_and_left_out_beyond(tmp_path):
    write_tasks(tmp_path / "t.json", [task(0.5, [[90, 190, 132, 264], [0, 0, 50, 50]])], model="m")
    regions = json.loads((tmp_path / "t.json").read_text())[0]["predictions"][0]["result"]
    assert [(one["value"]["x"], one["value"]["height"]) for one in regions] == [(0.0, 50.0)]


def test_rectangles_come_in_px_of_the_image():
    found = parsed(exported(annotation(rectangle(10, 20, 30, 40))))
    assert found.marks[0].boxes == ((20.0, 20.0, 60.0, 80.0),)
    assert (found.marks[0].image, found.marks[0].size) == ("a.png", (100, 200))
    assert not found.problems


@pytest.mark.parametrize(
    ("rotation", "expected"),
    [
        (0, (20.0, 100.0, 30.0, 120.0)),
        (90, (20.0, 90.0, 40.0, 100.0)),  # turned clockwise about its upper left corner, (20, 100)
        (180, (10.0, 80.0, 20.0, 100.0)),
        (30, (20.0, 95.0, 20 + 10 + 8.660254, 100 + 17.320508)),
    ],
)
def test_turned_rectangles_become_the_boxes_about_them(rotation, expected):
    found = parsed(exported(annotation(rectangle(50, 20, 10, 10, value={"rotation": rotation}))))
    assert found.marks[0].boxes[0] == pytest.approx(expected)


def test_polygons_become_the_boxes_about_them():
    outline = {"closed": True, "points": [[10, 10], [50, 20], [20, 60]], "polygonlabels": ["TNT"]}
    region = rectangle(0, 0, 1, 1, type="polygonlabels") | {"value": outline}
    assert parsed(exported(annotation(region))).marks[0].boxes == ((10.0, 20.0, 60.0, 100.0),)


@pytest.mark.parametrize(
    ("region", "message"),
    [
        (
            {"type": "brushlabels", "value": {"format": "rle", "rle": [0], "brushlabels": ["TNT"]}},
            "brush strokes have no",
        ),
        ({"type": "ellipselabels", "value": {"x": 1, "y": 2, "ellipselabels": ["TNT"]}}, "ellipses have no box"),
        ({"type": "keypointlabels", "value": {"x": 1, "y": 2, "keypointlabels": ["TNT"]}}, "points have no box"),
        ({"image_rotation": 90}, "the image was turned by 90 degrees"),
        ({"original_width": None}, "original_width and original_height must be px, got None, 100"),
        ({"value": {"width": 0.0}}, "y1 and x1 must exceed"),
        ({"value": {"width": None}}, "a rectanglelabels lacks its place"),
    ],
)
def test_regions_that_give_no_box_are_told_with_their_task(region, message):
    found = parsed(exported(annotation(rectangle(10, 20, 30, 40, **region))))
    assert [problem.file for problem in found.problems] == ["export.json task 12"]
    assert message in found.problems[0].problem


def test_choices_and_texts_are_no_boxes_and_no_problem():
    choice = {"type": "choices", "from_name": "quality", "to_name": "image", "value": {"choices": ["blurred"]}}
    found = parsed(exported(annotation(choice, rectangle(10, 20, 30, 40))))
    assert len(found.marks[0].boxes) == 1
    assert not found.problems


def test_an_annotation_without_regions_says_that_there_is_no_nanotube():
    assert parsed(exported(annotation())).marks[0].boxes == ()


def test_tasks_that_were_only_written_count_as_unfinished(tmp_path):
    write_tasks(tmp_path / "tasks.json", [task(0.5), task(0.7)], model="m")
    found = parse_label_studio(load_json((tmp_path / "tasks.json").read_bytes()), "tasks.json")
    assert (found.marks, found.problems) == ([], [])
    assert found.notes == ["tasks.json: 2 tasks without a finished annotation are left out"]


@pytest.mark.parametrize("answers", [[], [annotation(rectangle(1, 2, 3, 4), was_cancelled=True)]])
def test_unfinished_and_skipped_tasks_are_left_out_and_told(answers):
    found = parsed(exported(*answers), exported(annotation(), id=13))
    assert len(found.marks) == 1
    assert found.notes == ["export.json: 1 tasks without a finished annotation are left out"]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({}, {"updated_at": "2026-03-08T00:00:00.000000Z"}, 2),
        ({"updated_at": "2026-03-09T00:00:00.000000Z"}, {}, 1),
        ({"ground_truth": True}, {"updated_at": "2026-03-08T00:00:00.000000Z"}, 1),
        ({"updated_at": "2026-03-09T00:00:00.000000Z", "was_cancelled": True}, {}, 2),
    ],
)
def test_of_several_annotators_ground_truth_counts_or_the_latest(first, second, expected):
    one = annotation(rectangle(10, 10, 10, 10), **first)
    two = annotation(rectangle(10, 10, 10, 10), rectangle(50, 50, 10, 10), completed_by=2, **second)
    found = parsed(exported(one, two))
    assert len(found.marks[0].boxes) == expected
    both = not any(answer.get("was_cancelled") for answer in (first, second))
    assert any("1 tasks have several annotations" in note for note in found.notes) == both


def test_other_labels_are_passed_over_and_told():
    other = rectangle(50, 50, 10, 10, value={"rectanglelabels": ["filopodium"]})
    found = parsed(exported(annotation(rectangle(10, 20, 30, 40), other)))
    assert len(found.marks[0].boxes) == 1
    assert found.notes == ["export.json: passed over what is labelled filopodium"]


def test_json_min_says_the_same_as_json():
    full = [
        exported(annotation(rectangle(10, 20, 30, 40), rectangle(50, 20, 10, 10, value={"rotation": 90}))),
        exported(annotation(), id=13, data={"image": "/data/local-files/?d=windows/b.png", "source": "big.tif"}),
        exported(
            annotation(rectangle(1, 1, 5, 5)),
            annotation(rectangle(2, 2, 5, 5), id=32, updated_at="2026-03-08T00:00:00.000000Z"),
            id=14,
            data={"image": "c.png"},
        ),
    ]
    flat = [row for one in full for row in as_min(one)]
    assert len(flat) == 4
    assert parsed(*flat) == parsed(*full)


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("/data/local-files/?d=windows/a%20b.png", "windows/a b.png"),
        ("/data/local-files/?d=windows%5Ca.png", "windows/a.png"),
        ("/data/upload/7/3fa85f64-cells_1.png", "cells_1.png"),
        ("/data/upload/7/cells_1.png", "cells_1.png"),
        ("https://example.org/images/a.png?token=1", "images/a.png"),
        ("windows/a.png", "windows/a.png"),
        ("C:\\images\\a.png", "images/a.png"),
    ],
)
def test_references_lead_to_files(reference, expected):
    assert file_of(reference) == expected
