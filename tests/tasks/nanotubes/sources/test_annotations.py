"""Boxes that people drew, as their programs write them."""

from __future__ import annotations

import json

import pytest

from nanonuclei.tasks.nanotubes.sources.annotations import (
    Marks,
    box_about,
    is_boxes_csv,
    json_kind,
    parse_boxes_csv,
    parse_coco,
    parse_labelme,
    tube_labels,
)

CSV = "image,y0,x0,y1,x1\na.png,1,2,3.5,40\na.png,5,6,7,8\nb.png,,,,\n"


def test_a_table_has_one_row_per_nanotube_and_an_empty_one_for_none():
    parsed = parse_boxes_csv(CSV.encode(), "boxes.csv")
    assert not parsed.problems
    assert parsed.marks == [
        Marks("a.png", ((1.0, 2.0, 3.5, 40.0), (5.0, 6.0, 7.0, 8.0)), "boxes.csv"),
        Marks("b.png", (), "boxes.csv"),
    ]


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("image,y0,x0,y1,x1", True),
        ("\ufeffimage, y0, x0, y1, x1, who", True),
        ("x1,y1,x0,y0,image", True),
        ("image,x,y,w,h", False),
        ("", False),
    ],
)
def test_tables_of_boxes_are_told_by_their_columns(head, expected):
    assert is_boxes_csv(head.encode()) is expected


def test_spaces_about_the_names_of_columns_and_further_columns_do_no_harm():
    text = "who, image , y0 ,x0,y1,x1\r\nme, a.png, 1, 2, 3, 4, 5\r\n\r\nme,b.png\r\n"
    parsed = parse_boxes_csv(text.encode(), "boxes.csv")
    assert is_boxes_csv(text.encode())
    assert [(mark.image, mark.boxes) for mark in parsed.marks] == [("a.png", ((1.0, 2.0, 3.0, 4.0),)), ("b.png", ())]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a.png,1,2,x,4", "boxes.csv line 2: y0, x0, y1, x1 must be numbers, got 1, 2, x, 4"),
        ("a.png,1,2,3,", "boxes.csv line 2: y0, x0, y1, x1 must be numbers, got 1, 2, 3, "),
        (",1,2,3,4", "boxes.csv line 2: no image is named"),
        ("a.png,9,2,3,4", "boxes.csv line 2: y1 and x1 must exceed y0 and x0, got 9, 2, 3, 4"),
        ("a.png,1,2,inf,4", "boxes.csv line 2: y0, x0, y1, x1 must be finite"),
        ("a.png,1", "boxes.csv line 2: y0, x0, y1, x1 must be numbers, got 1, , , "),
    ],
)
def test_bad_rows_are_told_with_their_line(row, message):
    parsed = parse_boxes_csv(f"image,y0,x0,y1,x1\n{row}\n".encode(), "boxes.csv")
    assert [f"{one.file}: {one.problem}"[: len(message)] for one in parsed.problems] == [message]


def test_empty_lines_are_passed_over_and_counted():
    parsed = parse_boxes_csv(b"image,y0,x0,y1,x1\n\na.png,1,2,3,4\n\na.png,1,2,3,none\n", "boxes.csv")
    assert [len(mark.boxes) for mark in parsed.marks] == [1]
    assert [problem.file for problem in parsed.problems] == ["boxes.csv line 5"]


def coco(**changes: object) -> dict[str, object]:
    tree: dict[str, object] = {
        "images": [
            {"id": 1, "file_name": "images/a.tif", "height": 100, "width": 200},
            {"id": 2, "file_name": "b.tif", "height": 50, "width": 60},
        ],
        "annotations": [{"id": 7, "image_id": 1, "category_id": 3, "bbox": [10, 20, 30, 5], "iscrowd": 0}],
        "categories": [{"id": 3, "name": "tube"}],
    }
    return tree | changes


def test_coco_lists_every_image_that_was_looked_at():
    parsed = parse_coco(coco(), "coco.json")
    assert parsed.marks == [
        Marks("images/a.tif", ((20.0, 10.0, 25.0, 40.0),), "coco.json", (100, 200)),
        Marks("b.tif", (), "coco.json", (50, 60)),
    ]
    assert not parsed.problems


def test_other_categories_of_coco_are_passed_over_and_told():
    tree = coco(
        categories=[{"id": 3, "name": "TNT"}, {"id": 4, "name": "filopodium"}],
        annotations=[
            {"id": 1, "image_id": 1, "category_id": 3, "bbox": [10, 20, 30, 5]},
            {"id": 2, "image_id": 1, "category_id": 4, "bbox": [0, 0, 9, 9]},
        ],
    )
    parsed = parse_coco(tree, "coco.json")
    assert [len(mark.boxes) for mark in parsed.marks] == [1, 0]
    assert parsed.notes == ["coco.json: passed over what is labelled filopodium"]


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        ({"image_id": 9, "bbox": [1, 2, 3, 4]}, "belongs to image 9, which `images` lacks"),
        ({"image_id": 1, "bbox": [1, 2, 3]}, "bbox must be four numbers"),
        ({"image_id": 1, "segmentation": []}, "bbox must be four numbers"),
        ({"image_id": 1, "bbox": [1, 2, 0, 4]}, "y1 and x1 must exceed"),
    ],
)
def test_bad_annotations_of_coco_are_told(annotation, message):
    parsed = parse_coco(coco(annotations=[{"id": 5, "category_id": 3, **annotation}]), "coco.json")
    assert [problem.file for problem in parsed.problems] == ["coco.json annotation 5"]
    assert message in parsed.problems[0].problem


def test_labels_of_which_none_is_a_nanotube_are_told():
    shapes = [{"label": label, "points": [[1, 1], [5, 9]], "shape_type": "rectangle"} for label in ("cell", "dust")]
    parsed = parse_labelme({"shapes": shapes, "imagePath": "a.png"}, "a.json")
    assert "none of the labels cell, dust means a nanotube" in parsed.problems[0].problem


def test_shapes_of_labelme_become_boxes_about_them():
    shapes = [
        {"label": "TNT", "points": [[30, 4], [10, 2]], "shape_type": "rectangle"},
        {"label": "TNT", "points": [[0, 0], [10, 4], [5, 9]], "shape_type": "polygon"},
        {"label": "TNT", "points": [[5, 7], [25, 7]], "shape_type": "linestrip"},
    ]
    tree = {"shapes": shapes, "imagePath": "..\\images\\a.png", "imageHeight": 40, "imageWidth": 50}
    parsed = parse_labelme(tree, "a.json")
    boxes = ((2.0, 10.0, 4.0, 30.0), (0.0, 0.0, 9.0, 10.0), (5.5, 5.0, 8.5, 25.0))
    assert parsed.marks[0].boxes == ((1.5, 10.0, 4.5, 30.0), *boxes[1:])
    assert (parsed.marks[0].image, parsed.marks[0].size) == ("../images/a.png", (40, 50))


@pytest.mark.parametrize("kind", ["point", "circle"])
def test_shapes_without_a_box_are_told(kind):
    parsed = parse_labelme(
        {"shapes": [{"label": "TNT", "points": [[1, 1]], "shape_type": kind}], "imagePath": "a.png"}, "a.json"
    )
    assert f"a {kind} has no box" in parsed.problems[0].problem


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        (coco(), "coco"),
        ({"shapes": [], "imagePath": "a.png"}, "labelme"),
        ([{"id": 1, "data": {"image": "a.png"}, "annotations": []}], "label_studio"),
        ([{"id": 1, "image": "a.png", "annotation_id": 4}], "label_studio"),
        ([{"data": {"image": "a.png"}}], "label_studio"),
        ([], ""),
        ({"a": 1}, ""),
        (json.loads("3"), ""),
    ],
)
def test_json_files_are_told_apart_by_their_shape(tree, expected):
    assert json_kind(tree) == expected


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], set()),
        (["bridge"], {"bridge"}),
        (["TNT", "cell"], {"TNT"}),
        (["Tunneling_Nanotube", "tnt", "dust"], {"Tunneling_Nanotube", "tnt"}),
        (["cell", "dust"], set()),
    ],
)
def test_which_labels_mean_a_nanotube(names, expected):
    assert tube_labels(names) == expected


def test_a_point_gets_a_box_of_three_px():
    assert box_about([(5.0, 7.0)]) == (3.5, 5.5, 6.5, 8.5)
