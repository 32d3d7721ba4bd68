"""Correct: the results of `predict`, the least certain images first, as a folder that an annotation program opens."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nanonuclei.config.params import load_experiment
from nanonuclei.counted import counted
from nanonuclei.data.catalog import BadSample
from nanonuclei.data.corrected.manifest import MANIFEST, Manifest, digest
from nanonuclei.data.files.axes import Choice, Plane
from nanonuclei.data.files.reading import iter_image_file, read_values
from nanonuclei.data.lists.remote import Source, state_of
from nanonuclei.data.problems import left_out, problems_table
from nanonuclei.errors import ConfigError, DataError, nearest_name
from nanonuclei.imaging.instances import Instances, from_labels
from nanonuclei.invocation import command, option
from nanonuclei.report.exports.found import LINE, Found
from nanonuclei.report.exports.labels import MOST
from nanonuclei.stages.correct.programs import HOW, HOW_LINES, IMAGES, PROGRAMS, labelling_interface
from nanonuclei.stages.correct.results import AGAIN, Predicted, ranked, read_predicted, read_record
from nanonuclei.stages.places import PARAMS
from nanonuclei.stages.predict.record import IMAGES as TABLE
from nanonuclei.stages.predict.request import find_images
from nanonuclei.tasks import create_reader, dataset_type
from nanonuclei.tasks.base import Reader
from nanonuclei.writing import check_new_folder, whole_folder

ORDER, TASKS, INTERFACE, README = "order.csv", "tasks.json", "labelling.xml", "README.txt"
ABSENT = "is not in"
"""How the problem of an image begins that was not found."""
STRAYING = 32.0
"""px by which the end of a line, which lies in a cell, may leave the image that cuts the cell; it is cut off."""


@dataclass(frozen=True)
class Written:
    """What was written for an annotation program.

    Attributes:
        images: The images, the least certain first.
        problems: Why others are left out.
    """

    images: list[Predicted]
    problems: tuple[BadSample, ...] = ()


def correct(results: Path, output: Path, *, to: str, images: str = "", say: Callable[[str], None] = print) -> Written:
    """Writes images and predicted objects as an annotation program opens them, ordered by uncertainty.

    An image that cannot be read, was changed since, or lacks a part of its result is left out and told.

    Args:
        results: A folder of `predict`, with tables and label images.
        output: Folder to make; it appears when all is written.
        to: Name of the program, of `programs.PROGRAMS`.
        images: The images, where they are not any more where `predict` read them.
        say: Told what was made, and what is left out.

    Raises:
        ConfigError: There is no such program.
        DataError: The folder holds no results, no image of them can be corrected, or the output cannot be written.
    """
    if to not in PROGRAMS:
        raise ConfigError(f"unknown program {to!r}. {nearest_name(to, PROGRAMS)}")
    check_new_folder(output)
    record = read_record(results)
    predicted, problems = read_predicted(results)
    if not predicted and not problems:
        raise DataError(f"{results} holds no image with a result: nothing can be corrected. See its {TABLE}")
    reader = create_reader(load_experiment(record["task"], path=PARAMS))
    by_name = {one.name: one for one in predicted}
    as_lines = any(one.lines is not None for one in predicted)
    tasks: dict[str, dict[str, Any]] = {}
    written: dict[str, str] = {}
    seen: set[str] = set()
    good: list[Predicted] = []
    with whole_folder(output) as partial:
        wanted = {one.name: "" if images else one.state for one in predicted}  # a copy has another time of change
        place = images or record["images"]
        unread: dict[str, str] = {}
        for name, plane in _planes(find_images(place, output=results), record, wanted, (reader, unread)):
            seen.add(name)
            try:
                given = PROGRAMS[to](_found(results, by_name[name], plane, reader))
            except DataError as error:
                problems.append(BadSample(name, name, str(error)))
                continue
            for path, content in given.files.items():
                (partial / path).parent.mkdir(parents=True, exist_ok=True)
                (partial / path).write_bytes(content)
            if given.corrected:
                written[given.corrected] = digest(given.files[given.corrected])
            if given.task:
                tasks[name] = given.task
            good.append(by_name[name])
        problems += _missing([name for name in wanted if name not in seen], unread, place)
        if not good:
            raise DataError(_nothing(results, problems, place))
        ordered = ranked(good)
        if tasks:
            ranks = [_ranked_task(tasks[one.name], rank, one, record["model"]) for rank, one in enumerate(ordered, 1)]
            text = json.dumps(ranks, indent=1, ensure_ascii=False)
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
    found = f"{counted(len(ordered), 'image')}, {objects}"
    say(f"{output}: {found}, the least certain first ({ORDER}). {README} tells how to go on.")
    if problems:
        say(f"{problems_table(problems)}\nWarning: {left_out(len(ordered), problems, noun='image')} and are left out.")
    return Written(ordered, tuple(problems))


def _missing(names: Sequence[str], unread: Mapping[str, str], place: str) -> list[BadSample]:
    """Returns why images were not read: their file cannot be, or it is not there.

    Args:
        names: The images.
        unread: Why a file cannot be read, by the name that its images begin with.
        place: Where they were looked for.
    """
    found = []
    for name in names:
        why = next((text for file, text in unread.items() if name == file or name.startswith(f"{file}_")), "")
        found.append(BadSample(name, name, why or f"{ABSENT} {place}. {_elsewhere()}"))
    return found


def _nothing(results: Path, problems: Sequence[BadSample], place: str) -> str:
    absent = [one.sample_id for one in problems if one.problem.startswith(ABSENT)]
    if len(absent) == len(problems):
        return (
            f"{place} must hold the images of the results, but lacks {counted(len(absent), 'image')}, such as "
            f"{absent[0]}. {_elsewhere()}"
        )
    return f"{results} must hold an image that can be corrected, but holds none: {problems_table(problems)}"


def _elsewhere() -> str:
    return f"Name the folder of the images: `{option('images', 'FOLDER')}`"


def _ranked_task(task: dict[str, Any], rank: int, predicted: Predicted, model: str) -> dict[str, Any]:
    """Returns a task of Label Studio with its rank, by which its list of tasks can be sorted, too."""
    (prediction,) = task["predictions"]
    score = round(1.0 - predicted.uncertainty, 4)
    data = {**task["data"], "rank": rank, "uncertainty": round(predicted.uncertainty, 4)}
    return {"data": data, "predictions": [{**prediction, "model_version": model, "score": score}]}


def _planes(
    sources: Mapping[str, Source],
    record: Mapping[str, Any],
    wanted: Mapping[str, str],
    reading: tuple[Reader, dict[str, str]],
) -> Iterator[tuple[str, Plane]]:
    """Reads images of results as `predict` read them.

    Args:
        sources: The files.
        record: Of the results.
        wanted: States of the images' files by image, where these must be.
        reading: The task's reader, and what takes why a file cannot be read, by its name.
    """
    reader, unread = reading
    choice = Choice(channel=record["channel"], z=record["z"], axes=record.get("axes"), stains=reader.stains)
    for name, path in sources.items():
        if isinstance(path, Path) and any(one == name or one.startswith(f"{name}_") for one in wanted):
            try:
                for plane in iter_image_file(path, choice):
                    if (one := f"{name}{plane.suffix}") in wanted:
                        if wanted[one] not in ("", state_of(path)):
                            raise DataError(
                                f"{path} was changed since its result was written. Predict again with resume"
                            )
                        yield one, plane
            except DataError as error:
                unread[name] = str(error)


def _found(results: Path, predicted: Predicted, plane: Plane, reader: Reader) -> Found:
    name = predicted.name
    if predicted.lines is not None:
        return _found_lines(predicted, plane, reader)
    paths = [results / "labels" / f"{name}{suffix}" for suffix in (".png", ".tif")]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        raise DataError(f"the label image of {name} must be in {results / 'labels'}, but is not there. {AGAIN}")
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
            f"they must agree, and be {MOST:,} at most. {AGAIN}, or cut the image"
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
        f"Then: {command('fetch', dataset=dataset, source=output.as_posix())}\n"
    )
