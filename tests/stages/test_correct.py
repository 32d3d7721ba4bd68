"""From results of `predict` to an annotation program and back: nothing moves, nothing is lost, mistakes are told."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from roifile import ImagejRoi
from tests.conftest import disc_labels
from tests.stages.bright_model import bright_model

from nanonuclei.config.params import load_experiment
from nanonuclei.data.corrected.held_out import deal
from nanonuclei.data.corrected.label_studio import read_label_studio
from nanonuclei.errors import ConfigError, DataError
from nanonuclei.imaging.instances import from_labels
from nanonuclei.report.exports.label_studio import pre_annotations
from nanonuclei.stages.correct.correct import correct
from nanonuclei.stages.correct.results import Predicted, ranked, read_predicted
from nanonuclei.stages.predict.predict import predict
from nanonuclei.stages.predict.request import Request
from nanonuclei.stages.settings import Choices, resolve
from nanonuclei.tasks import create_dataset
from nanonuclei.tasks.nuclei.sources.corrected_files import paint
from nanonuclei.tasks.nuclei.sources.fetch_mine import fetch_mine
from nanonuclei.tasks.nuclei.sources.mine import read_mine

SHAPE = (80, 70)
DISCS = [(12.0, 12.0, 6.0), (30.0, 40.0, 8.0), (60.0, 20.0, 5.0)]
NAMES = ["A01/site1", "A01/site2", "A02/site1", "A02/site2", "B01/site1"]


def quiet(_: str) -> None:
    pass


def truth(number: int) -> np.ndarray:
    return disc_labels(SHAPE, [(y, x + 3.0 * number, radius) for y, x, radius in DISCS])


@pytest.fixture
def results(project: Path) -> Path:
    """Results of five images; brighter objects have higher scores."""
    for number, name in enumerate(NAMES):
        path = project / "in" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        bright = 210 + 9 * number
        cv2.imwrite(str(path), np.where(truth(number) > 0, bright, 3 + number).astype(np.uint8))
    predict(Request("in", f"{bright_model(project / 'model')}/", output=project / "results"), say=quiet)
    return project / "results"


def written(results: Path, to: str) -> Path:
    correct(results, results.parent / to, to=to, say=quiet)
    return results.parent / to


def export(folder: Path, change: Callable[[int, list[Any]], list[Any]] = lambda _, regions: regions[:-1]) -> None:
    """Does in Label Studio what `change` says to the regions of each task, and exports."""
    tasks = json.loads((folder / "tasks.json").read_text())
    exported = [
        {
            "id": number,
            "data": task["data"],
            "annotations": [{"id": number, "result": change(number, task["predictions"][0]["result"])}],
        }
        for number, task in enumerate(tasks, start=1)
    ]
    (folder / "project-1-at-2026-11-26.json").write_text(json.dumps(exported))


def save_geojson(folder: Path) -> None:
    for path in folder.rglob("*.geojson"):
        path.write_text(json.dumps(json.loads(path.read_text())["features"][:-1]))


def save_rois(folder: Path) -> None:
    for path in folder.rglob("*.zip"):
        with zipfile.ZipFile(path) as archive:
            kept = {name: ImagejRoi.frombytes(archive.read(name)).tobytes() for name in archive.namelist()[:-1]}
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in kept.items():
                archive.writestr(name, content)


SAVED = {"label-studio": export, "qupath": save_geojson, "fiji": save_rois}


def test_tables_that_a_spreadsheet_has_saved_are_read_or_told(results: Path) -> None:
    table, objects = results / "images.csv", results / "objects/A01/site1.csv"
    for path in (table, objects):
        path.write_text(path.read_text(), encoding="utf-8-sig")
    predicted, problems = read_predicted(results)
    assert (len(predicted), problems) == (5, [])
    text = objects.read_text("utf-8-sig")
    for changed in (text.replace(",", ";"), text.replace("label", "\u00e9"), text + "1\n"):
        objects.write_text(changed, encoding="cp1252")
        predicted, (problem,) = read_predicted(results)
        assert (len(predicted), problem.sample_id) == (4, "A01/site1")
        assert f"must be in {objects}, but cannot be read" in problem.problem
    text = table.read_text("utf-8-sig")
    for changed in (text.replace(",", ";"), text.replace("error", "\u00e9"), f'{text}"{"x" * 2**18}'):
        table.write_text(changed, encoding="cp1252")
        with pytest.raises(DataError, match=r"images\.csv must be the table that predict wrote.*predict again"):
            read_predicted(results)


@pytest.mark.parametrize("to", SAVED)
def test_objects_come_back_to_the_pixel_and_the_deleted_one_is_told(results: Path, to: str) -> None:
    folder = written(results, to)
    SAVED[to](folder)
    said: list[str] = []
    fetch_mine(str(folder), Path("data"), report=said.append)
    assert "in all: 0 added, 5 removed, 0 reshaped, 10 as predicted" in "\n".join(said)
    samples = {sample.sample_id: sample for sample in read_mine(Path("data/mine/images.zip"))}
    assert set(samples) == {name.replace("/", "_") for name in NAMES}
    for name in NAMES:
        predicted = cv2.imread(str(folder / "predicted" / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        found = samples[name.replace("/", "_")]
        np.testing.assert_array_equal(found.labels, np.where(predicted == 3, 0, predicted))
        image = cv2.imread(str(results.parent / "in" / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(found.image, image)
    stored = Path("data/mine/images.zip").stat().st_mtime_ns
    fetch_mine(str(folder), Path("data"), report=said.append)
    assert said[-1].endswith(f"holds these {len(NAMES)} images already, unchanged: nothing to do. It holds 5 images")
    assert Path("data/mine/images.zip").stat().st_mtime_ns == stored


def test_label_studio_is_shown_few_corners_and_exactly_the_pixels() -> None:
    labels = disc_labels((64, 64), [(20, 20, 11.3), (20, 42, 10.2), (50, 30, 3.1), (50, 50, 9.0), (2, 60, 6)])
    labels[48:53, 48:53] = 0  # a hole, which no polygon can show
    labels[60, 10] = labels[61, 11] = 6  # parts that touch at a corner
    results = pre_annotations(from_labels(labels), noun="nucleus", prefix="a")
    assert [result["type"] for result in results] == [
        *["polygonlabels"] * 3, "brushlabels", "polygonlabels", "brushlabels"
    ]  # fmt: skip
    assert len(results[0]["value"]["points"]) < 30
    task = {"id": 1, "data": {"image": "a.png"}, "annotations": [{"result": results}]}
    drawn = read_label_studio([task])["a.png"]
    np.testing.assert_array_equal(paint(drawn, (64, 64)), labels)


def test_the_least_certain_images_come_first_in_tasks_and_table(results: Path) -> None:
    folder = written(results, "label-studio")
    rows = list(csv.DictReader(io.StringIO((folder / "order.csv").read_text())))
    assert [row["image"] for row in rows] == NAMES
    doubts = [float(row["uncertainty"]) for row in rows]
    assert doubts == sorted(doubts, reverse=True)
    assert doubts[0] > doubts[-1]
    tasks = json.loads((folder / "tasks.json").read_text())
    assert [task["data"]["name"] for task in tasks] == NAMES
    assert tasks[0]["data"]["image"] == "/data/local-files/?d=pictures/A01/site1.png"
    assert (folder / "pictures/A01/site1.png").is_file()
    assert 'name="outline"' in (folder / "labelling.xml").read_text()


def test_the_folder_tells_the_command_that_reads_it_from_where_it_was_written(results: Path, project: Path) -> None:
    correct(results, Path("scratch/to_correct"), to="qupath", say=quiet)
    told = (project / "scratch/to_correct/README.txt").read_text("utf-8")
    assert "source=scratch/to_correct" in told


def test_an_image_in_which_nothing_was_found_is_the_least_certain() -> None:
    images = [Predicted("sure", (0.99, 0.97)), Predicted("empty", ()), Predicted("doubtful", (0.9, 0.8))]
    assert [one.name for one in ranked(images)] == ["empty", "doubtful", "sure"]


def test_what_nobody_saved_is_left_out_and_a_folder_as_it_was_written_is_refused(results: Path) -> None:
    folder = written(results, "qupath")
    with pytest.raises(DataError, match="is as it was written: none of its 5 images was corrected"):
        fetch_mine(str(folder), Path("data"), report=quiet)
    save_geojson(folder)
    for part in (folder / "images", folder / "images" / "B01"):
        with pytest.raises(DataError, match=f"{part} is a part of what correct wrote: .* Fetch .*{folder}$"):
            fetch_mine(str(part), Path("data"), report=quiet)
    untouched = folder / "images" / "B01" / "site1.geojson"
    again = results.parent / "again"
    correct(results, again, to="qupath", say=quiet)
    untouched.write_bytes((again / "images" / "B01" / "site1.geojson").read_bytes())
    said: list[str] = []
    fetch_mine(str(folder), Path("data"), report=said.append)
    assert "Left out: 1 image that nobody saved a correction of" in "\n".join(said)
    assert len(list(read_mine(Path("data/mine/images.zip")))) == 4


def test_an_export_without_changes_is_refused(results: Path) -> None:
    folder = written(results, "label-studio")
    export(folder, lambda _, regions: regions)
    with pytest.raises(DataError, match="no change against the prediction: there is nothing to learn from"):
        fetch_mine(str(folder), Path("data"), report=quiet)


def crossing(regions: list[Any]) -> list[Any]:
    regions[0]["value"]["points"] = [[10, 10], [60, 60], [60, 10], [10, 60]]
    return regions


def overlapping(regions: list[Any]) -> list[Any]:
    return [*regions, {**regions[0], "id": "again"}]


def scaled(regions: list[Any]) -> list[Any]:
    return [{**region, "original_width": 140, "original_height": 160} for region in regions]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (crossing, r"region 1 crosses itself near x 24, y 28\. Redraw its outline"),
        (overlapping, r"region 4 shares \d+ px with region 1, 100% of the smaller mask.*Redraw one of them"),
        (scaled, r"drawn on an image of 140 x 160 px, but its image has 70 x 80 px \(width x height\)\. Correct it on"),
    ],
)
def test_a_correction_that_cannot_be_used_is_one_line_with_file_and_remedy(
    results: Path, spoil: Callable[[list[Any]], list[Any]], message: str
) -> None:
    folder = written(results, "label-studio")
    export(folder, lambda number, regions: spoil(regions) if number == 2 else regions[:-1])
    said: list[str] = []
    fetch_mine(str(folder), Path("data"), report=said.append)
    problems = [line for line in said[0].splitlines() if line.startswith("project-1-at-2026-11-26.json")]
    assert len(problems) == 1
    assert re.search(message, problems[0])
    assert len(list(read_mine(Path("data/mine/images.zip")))) == 4


def test_label_images_of_any_tool_beside_the_images_are_read(project: Path) -> None:
    for number in range(4):
        image, labels = f"in/{number}.tif", f"in/{number}_cp_masks.png"
        (project / "in").mkdir(exist_ok=True)
        cv2.imwrite(image, np.where(truth(number) > 0, 900, 30 + number).astype(np.uint16))
        cv2.imwrite(labels, truth(number))
    Path("in/notes.json").write_text("{}")
    Path("in/RoiSet.zip").write_bytes(b"")
    said: list[str] = []
    fetch_mine("in", Path("data"), report=said.append)
    assert "RoiSet.zip | fits no image, looked for RoiSet. Call it as its image is called" in " ".join(said[0].split())
    found = {sample.sample_id: sample for sample in read_mine(Path("data/mine/images.zip"))}
    np.testing.assert_array_equal(found["2"].labels, truth(2))
    assert found["2"].image.dtype == np.uint16
    config = load_experiment("nuclei", path=Path("params.yaml"), settings={"data.dataset": "mine"})
    dataset = create_dataset(config)
    facts = [dataset.facts(sample) for sample in dataset.samples(Path("data/mine/images.zip"))]
    assert sorted(dataset.deal(facts).splits) == ["test", "test", "train", "val"]
    cv2.imwrite("in/2_cp_masks.png", np.where(truth(2) == 1, 0, 7 * truth(2)))  # gaps between the numbers
    fetch_mine("in", Path("data"), report=said.append)
    assert "4 images (1 new or corrected again, 3 there already, unchanged), " in said[-1]
    fetch_mine("in", Path("data"), report=said.append)
    assert "holds these 4 images already, unchanged: nothing to do" in said[-1]
    assert resolve(Choices("nuclei"), say=quiet).data.dataset == "simulated"  # auto passes over a user's own images
    assert resolve(Choices("nuclei", "mine"), say=quiet).data.dataset == "mine"


def test_too_few_images_to_hold_some_out_are_refused(project: Path) -> None:
    (project / "in").mkdir()
    for number in range(3):
        cv2.imwrite(f"in/{number}.png", np.where(truth(number) > 0, 200, 30 + number).astype(np.uint8))
        cv2.imwrite(f"in/{number}_masks.png", truth(number))
    with pytest.raises(DataError, match=r"4 fields of view are needed.*got 3 images of 3. Correct more images"):
        fetch_mine("in", Path("data"), report=quiet)
    assert not Path("data/mine/images.zip").exists()


def test_an_image_without_objects_and_two_of_one_name_are_told_and_what_was_there_stays_whole(project: Path) -> None:
    for number in range(6):
        name = f"in/{number}" if number else "in/a b"
        Path("in").mkdir(exist_ok=True)
        cv2.imwrite(f"{name}.png", np.where(truth(number) > 0, 200, 30 + number).astype(np.uint8))
        cv2.imwrite(f"{name}_masks.png", truth(number))
    cv2.imwrite("in/empty.png", np.full(SHAPE, 9, np.uint8))
    cv2.imwrite("in/empty_masks.png", np.zeros(SHAPE, np.uint8))
    cv2.imwrite("in/a_b.png", np.where(truth(7) > 0, 200, 50).astype(np.uint8))
    cv2.imwrite("in/a_b_masks.png", truth(7))
    said: list[str] = []
    fetched = fetch_mine("in", Path("data"), report=said.append)
    archive = fetched.path
    assert fetched.left_out == "2 of 8 samples cannot be used"
    assert "holds no object. Leave the image out" in said[0]
    assert re.search(r"would be stored as a_b, as a b\.png is|would be stored as a_b, as in/a b\.png is", said[0])
    assert [sample.sample_id for sample in read_mine(archive)] == ["1", "2", "3", "4", "5", "a_b"]
    content = bytearray(archive.read_bytes())
    content[content.find(b"IDAT") + 20] ^= 0xFF
    archive.write_bytes(content)
    with pytest.raises(DataError, match=r"must hold the images of before whole, but 1/images/1\.png: cannot be read"):
        fetch_mine("in", Path("data"), report=quiet)
    assert archive.read_bytes() == content


def test_held_out_images_stay_held_out_when_more_come() -> None:
    first = [f"image{number}" for number in range(6)]
    splits = dict(zip(first, deal(first, list(range(6)), {}), strict=True))
    assert sorted(splits.values()) == ["test", "test", "train", "train", "train", "val"]
    more = [f"image{number}" for number in range(30)]
    later = dict(zip(more, deal(more, list(range(30)), splits), strict=True))
    assert {name: later[name] for name in first} == splits
    assert [list(later.values()).count(split) for split in ("test", "val", "train")] == [6, 3, 21]


def test_an_unknown_program_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown program 'qupat'\. Did you mean qupath"):
        correct(tmp_path, tmp_path / "out", to="qupat", say=quiet)
