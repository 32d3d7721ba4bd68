"""Correct: the results of `predict`, the least certain images first, as a folder that an annotation program opens."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nanonuclei.config.params import load_experiment
from nanonuclei.data.corrected.manifest import MANIFEST, Manifest, digest
from nanonuclei.data.files.axes import Choice, Plane
from nanonuclei.data.files.listing import RECORD
from nanonuclei.data.files.reading import iter_image_file, read_values
from nanonuclei.data.lists.remote import Source, state_of
from nanonuclei.errors import ConfigError, DataError, nearest_name
from nanonuclei.imaging.instances import Instances, from_labels
from nanonuclei.invocation import command
from nanonuclei.report.exports.found import LINE, Found
from nanonuclei.report.exports.labels import MOST
from nanonuclei.stages.correct.programs import HOW, HOW_LINES, IMAGES, PROGRAMS, labelling_interface
from nanonuclei.stages.places import PARAMS
from nanonuclei.stages.predict.record import IMAGES as TABLE
from nanonuclei.stages.predict.record import STATE
from nanonuclei.stages.predict.request import find_images
from nanonuclei.stages.predict.results import OBJECTS
from nanonuclei.tasks import create_reader, dataset_type
from nanonuclei.tasks.base import Reader
from nanonuclei.writing import check_new_folder, whole_folder

ORDER, TASKS, INTERFACE, README = "order.csv", "tasks.json", "labelling.xml", "README.txt"
_AGAIN = "Predict again with the formats csv and labels"


STRAYING = 32.0
"""px by which the end of a line, which lies in a cell, may leave the image that cuts the cell; it is cut off."""


@dataclass(frozen=True)
class Predicted:
    """The result of one image.

    Attributes:
        name: Of the image.
        scores: One per object, in the order of the labels.
        state: Of its file when it was read, see `state_of`; empty where it is not known.
        lines: Points of each object as JSON text, where objects are lines; else None.
    """

    name: str
    scores: tuple[float, ...]
    state: str = ""
    lines: tuple[str, ...] | None = None

    @property
    def uncertainty(self) -> float:
        """One less the mean score of the objects; 1 where nothing was found, as that is worth a look."""
        return 1.0 - float(np.mean(self.scores)) if self.scores else 1.0


def correct(
    results: Path, output: Path, *, to: str, images: str = "", say: Callable[[str], None] = print
) -> list[Predicted]:
    """Writes images and predicted objects as an annotation program opens them, ordered by uncertainty.

    Args:
        results: A folder of `predict`, with tables and label images.
        output: Folder to make; it appears when all is written.
        to: Name of the program, of `programs.PROGRAMS`.
        images: The images, where they are not any more where `predict` read them.
        say: Told what was made.

    Returns:
        The images, the least certain first.

    Raises:
        ConfigError: There is no such program.
        DataError: The folder holds no results, they lack tables or, of areas, label images, the images are missing or
            changed, or the output cannot be written.
    """
    if to not in PROGRAMS:
        raise ConfigError(f"unknown program {to!r}. {nearest_name(to, PROGRAMS)}")
    check_new_folder(output)
    record = _record(results)
    ordered = ranked(_predicted(results))
    if not ordered:
        raise DataError(f"{results} holds no image with a result: nothing can be corrected. See its {TABLE}")
    reader = create_reader(load_experiment(record["task"], path=PARAMS))
    as_lines = ordered[0].lines is not None
    place = {one.name: number for number, one in enumerate(ordered, start=1)}
    tasks: dict[int, dict[str, Any]] = {}
    written: dict[str, str] = {}
    with whole_folder(output) as partial:
        states = {} if images else {one.name: one.state for one in ordered}  # a copy has another time of change
        wanted = dict.fromkeys(place, "") | states
        for name, plane in _planes(find_images(images or record["images"], output=results), record, wanted, reader):
            found = _found(results, ordered[place[name] - 1], plane, reader)
            given = PROGRAMS[to](found)
            for path, content in given.files.items():
                (partial / path).parent.mkdir(parents=True, exist_ok=True)
                (partial / path).write_bytes(content)
            if given.corrected:
                written[given.corrected] = digest(given.files[given.corrected])
            if given.task:
                tasks[place[name]] = _ranked_task(given.task, place[name], ordered[place[name] - 1], record["model"])
            place[name] = -place[name]
        if missing := [name for name, rank in place.items() if rank > 0]:
            raise DataError(
                f"the images of the results must be in {images or record['images']}, but {len(missing)} are not, such "
                f"as {missing[0]}. Name their folder with images"
            )
        if tasks:
            text = json.dumps([tasks[rank] for rank in sorted(tasks)], indent=1, ensure_ascii=False)
            (partial / TASKS).write_text(text + "\n", encoding="utf-8")
            (partial / INTERFACE).write_text(labelling_interface(reader.noun.one, as_lines), encoding="utf-8")
        (partial / ORDER).write_text(_table(ordered), encoding="utf-8")
        for name in (ORDER, TASKS):
            if (partial / name).is_file():
                written[name] = digest((partial / name).read_bytes())
        dataset, how = dataset_type(record["task"]).corrected, HOW_LINES if as_lines else HOW
        (partial / MANIFEST).write_text(Manifest(to, written, dataset).text(), encoding="utf-8")
        (partial / README).write_text(_readme(how[to], output, dataset), encoding="utf-8")
    objects = reader.noun.count(sum(len(one.scores) for one in ordered))
    say(f"{output}: {len(ordered)} images, {objects}, the least certain first ({ORDER}). {README} tells how to go on.")
    return ordered


def ranked(predicted: list[Predicted]) -> list[Predicted]:
    """Returns images in the order in which they are worth correcting: the least certain first, then by name."""
    return sorted(predicted, key=lambda one: (-one.uncertainty, one.name))


def _ranked_task(task: dict[str, Any], rank: int, predicted: Predicted, model: str) -> dict[str, Any]:
    """Returns a task of Label Studio with its rank, by which its list of tasks can be sorted, too."""
    (prediction,) = task["predictions"]
    score = round(1.0 - predicted.uncertainty, 4)
    data = {**task["data"], "rank": rank, "uncertainty": round(predicted.uncertainty, 4)}
    return {"data": data, "predictions": [{**prediction, "model_version": model, "score": score}]}


def _record(results: Path) -> Mapping[str, Any]:
    try:
        record: Mapping[str, Any] = json.loads((results / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{results} must be a folder of results, but {RECORD} in it cannot be read. Name one that predict wrote"
        ) from error
    if not {"task", "images"} <= record.keys():
        raise DataError(f"{results} was written by an earlier version, which did not note its images. {_AGAIN}")
    return record


def _predicted(results: Path) -> list[Predicted]:
    try:
        rows = csv.DictReader(io.StringIO((results / TABLE).read_text(encoding="utf-8")))
        states = {row["image"]: row.get(STATE) or "" for row in rows if not row["error"]}
    except (OSError, KeyError) as error:
        raise DataError(f"{results / TABLE} cannot be read ({error}). Name a folder that predict wrote") from error
    return [_objects(name, state, results / OBJECTS / f"{name}.csv") for name, state in states.items()]


def _objects(name: str, state: str, path: Path) -> Predicted:
    try:
        table = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8")))
        rows = list(table)
        lines = tuple(row[LINE] for row in rows) if LINE in (table.fieldnames or ()) else None
        return Predicted(name, tuple(float(row["score"]) for row in rows), state, lines)
    except (OSError, KeyError, ValueError) as error:
        raise DataError(f"the scores of the objects must be in {path}, but cannot be read. {_AGAIN}") from error


def _planes(
    sources: Mapping[str, Source], record: Mapping[str, Any], wanted: Mapping[str, str], reader: Reader
) -> Iterator[tuple[str, Plane]]:
    """Reads images of results as `predict` read them; `wanted` tells their files' states, where these must be."""
    choice = Choice(channel=record["channel"], z=record["z"], stains=reader.stains)
    for name, path in sources.items():
        if isinstance(path, Path) and any(one == name or one.startswith(f"{name}_") for one in wanted):
            for plane in iter_image_file(path, choice):
                if (one := f"{name}{plane.suffix}") in wanted:
                    if wanted[one] not in ("", state_of(path)):
                        raise DataError(f"{path} was changed since its result was written. Predict again with resume")
                    yield one, plane


def _found(results: Path, predicted: Predicted, plane: Plane, reader: Reader) -> Found:
    name = predicted.name
    if predicted.lines is not None:
        return _found_lines(predicted, plane, reader)
    paths = [results / "labels" / f"{name}{suffix}" for suffix in (".png", ".tif")]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        raise DataError(f"the label image of {name} must be in {results / 'labels'}, but is not there. {_AGAIN}")
    labels = read_values(path).astype(np.int32)
    if labels.shape != plane.image.shape[:2]:
        raise DataError(
            f"{name} has {plane.image.shape[1]} x {plane.image.shape[0]} px, its result {labels.shape[1]} x "
            f"{labels.shape[0]} px: the image was changed since. Predict again"
        )
    instances = from_labels(labels)
    if len(instances) != len(predicted.scores) or len(instances) > MOST:
        raise DataError(
            f"{name} has {len(instances):,} objects in its label image and {len(predicted.scores):,} in its table; "
            f"they must agree, and be {MOST:,} at most. {_AGAIN}, or cut the image"
        )
    instances = dataclasses.replace(instances, scores=np.array(predicted.scores, np.float32))
    return Found(name, reader.noun.one, plane.image, instances, {"score": list(predicted.scores)}, plane.pixel_size)


def _found_lines(predicted: Predicted, plane: Plane, reader: Reader) -> Found:
    """Returns the objects of an image that are lines; their pixels are not needed."""
    name, (height, width), boxes, lines = predicted.name, plane.image.shape[:2], [], []
    last = np.array((width, height), np.float64) - 1.0
    for text in predicted.lines or ():
        points = np.array(json.loads(text), np.float64).reshape(-1, 2)
        if (points < -STRAYING).any() or (points > last + STRAYING).any():
            raise DataError(
                f"{name} has {width} x {height} px, but a line of its result lies outside of it: the image was changed "
                "since. Predict again"
            )
        points = np.clip(points, 0.0, last)
        lines.append(json.dumps(np.round(points, 2).tolist()))
        boxes.append([*np.floor(points.min(axis=0))[::-1], *np.ceil(points.max(axis=0) + 1.0)[::-1]])
    found = np.array(boxes, np.int32).reshape(-1, 4)
    instances = Instances(found, np.array(predicted.scores, np.float32), None)
    columns: dict[str, list[Any]] = {"score": list(predicted.scores), LINE: lines}
    return Found(name, reader.noun.one, plane.image, instances, columns, plane.pixel_size)


def _table(ordered: list[Predicted]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["rank", "image", "picture", "uncertainty", "num_objects"])
    for rank, one in enumerate(ordered, start=1):
        writer.writerow([rank, one.name, f"{IMAGES}/{one.name}.png", round(one.uncertainty, 4), len(one.scores)])
    return text.getvalue()


def _readme(how: str, output: Path, dataset: str) -> str:
    return (
        f"Images to correct, the least certain first: {ORDER}, where uncertainty is 1 less the mean score of the "
        "objects of an image.\nThe folder predicted holds what the model found; it tells afterwards what was changed."
        f"\n\n{how}\n\n"
        f"Then: {command('fetch', dataset=dataset, source=output.name)}\n"
    )
