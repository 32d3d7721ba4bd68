"""Predict: a folder of images becomes label maps, tables of objects and counts, and a competition file if asked for."""

from __future__ import annotations

import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pandas as pd

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.config.params import parse_settings
from nanonuclei.data.files.axes import Plane
from nanonuclei.data.files.listing import list_images
from nanonuclei.data.files.reading import iter_image_file
from nanonuclei.engine.networks import network_of
from nanonuclei.engine.predict import map_maker
from nanonuclei.errors import ConfigError, DataError
from nanonuclei.imaging.instances import Instances, to_run_lengths
from nanonuclei.imaging.tube_objects import to_instances
from nanonuclei.imaging.tube_read_out import COLUMNS, candidate_row
from nanonuclei.imaging.types import Float32Array, Image
from nanonuclei.report.pictures import for_display, outlined
from nanonuclei.serving.store import load_stored, load_trained
from nanonuclei.stages.places import PARAMS
from nanonuclei.tasks import create_task
from nanonuclei.tasks.nanotubes import NanotubeTask
from nanonuclei.tracking.runs import existing_run

if TYPE_CHECKING:
    import keras

CHANGEABLE = ("windows", "instances", "tubes")
"""Sections that say how a trained model is used; instances are of nuclei, tubes of nanotubes."""

MEASURES = ["length", "width", "straightness", "strength", "first_cell", "last_cell", "line"]
"""What is told of a nanotube beside its box, px; the line as JSON text ``[[x, y], ...]``."""

MOST_PROBLEMS = 20
"""Broken images that are listed one by one."""


def predict(
    model: str,
    images: Path,
    *,
    output: Path,
    settings: Sequence[str] = (),
    submission: bool = False,
    say: Callable[[str], None] = print,
) -> Path:
    """Finds the objects of every image below a folder.

    Writes ``labels/NAME.png`` (16 bit, 0 background, 1..n the objects), ``outlines/NAME.png`` to look at,
    ``objects.csv`` (a row per object: box and area in px, score; of nanotubes also length, width, straightness, the
    cells that they join and the line) and ``images.csv`` (a row per image: size, count; of nanotubes also the number of
    cells and nanotubes per cell).

    Args:
        model: A run's id, or a model's URI such as ``models:/nuclei@champion``.
        images: An image, or a folder that is searched with all its subfolders, which the output mirrors. Of a file
            with several times or recordings each is an image of its own.
        output: Folder to make.
        settings: Texts ``path=value`` below windows, instances or tubes, such as ``windows.num_views=8``.
        submission: Also write ``submission.csv`` as the Data Science Bowl 2018 took it.
        say: Told what the user should read.

    Returns:
        `output`.

    Raises:
        ConfigError: A setting is not one of those, or the output exists.
        DataError: There are no images, or some cannot be read (all of them are named).
        TrackingError: There is no such run, or it holds no model.
    """
    changed = parse_settings(settings)
    fixed = [path for path in changed if path.split(".")[0] not in CHANGEABLE]
    if fixed:
        raise ConfigError(f"a trained model keeps its {', '.join(fixed)}; predict can change {', '.join(CHANGEABLE)}")
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ConfigError(f"predictions are written to a new folder, but {output} exists. Name another, or remove it")
    paths = find_images(images)
    config, network = loaded(model, changed)
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f"{output.name}-partial-") as partial:
        folder = Path(partial) / output.name
        tables = _predict_all(config, network, paths, folder=folder, say=say)
        tables["objects"].to_csv(folder / "objects.csv", index=False)
        tables["images"].to_csv(folder / "images.csv", index=False)
        if submission:
            tables["submission"].to_csv(folder / "submission.csv", index=False)
        if output.exists():
            output.rmdir()
        shutil.move(folder, output)
    say(
        f"{len(tables['objects'])} objects in {len(paths)} images: {output}/objects.csv, images.csv, labels/, outlines/"
    )
    return output


def find_images(place: Path) -> dict[str, Path]:
    """Returns the images of a folder and of its subfolders by name, see `list_images`; all of them can be read.

    Args:
        place: A folder, an image, or a pattern.

    Raises:
        DataError: There is none, or some cannot be read.
    """
    paths = list_images(place)
    broken = [problem for path in paths.values() if (problem := _problem(path))]
    if broken:
        more = [f"... and {len(broken) - MOST_PROBLEMS} more"] if len(broken) > MOST_PROBLEMS else []
        listed = "\n  ".join([*broken[:MOST_PROBLEMS], *more])
        raise DataError(f"{len(broken)} of {len(paths)} images cannot be read. Remove or replace them:\n  {listed}")
    return paths


def _problem(path: Path) -> str:
    try:
        for _ in iter_image_file(path):
            pass
    except DataError as error:
        return str(error)
    return ""


def _read_planes(paths: dict[str, Path], waiting: deque[tuple[str, Plane]]) -> Iterator[Image]:
    """Yields the image of each plane of each file; name and plane are appended to `waiting`."""
    for name, path in paths.items():
        for plane in iter_image_file(path):
            waiting.append((f"{name}{plane.suffix}", plane))
            yield plane.image


def _write_image(path: Path, image: Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), image):
        raise DataError(f"cannot write {path}. Free space or rights there")


def loaded(model: str, settings: dict[str, Any]) -> tuple[ExperimentConfig, keras.Model]:
    """Returns config and network of a run's id or of a model's URI."""
    if ":/" in model:
        return load_stored(model, settings=settings, missing_from=PARAMS)
    return load_trained(existing_run(model), settings=settings, missing_from=PARAMS)


def _predict_all(
    config: ExperimentConfig,
    network: keras.Model,
    paths: dict[str, Path],
    *,
    folder: Path,
    say: Callable[[str], None],
) -> dict[str, pd.DataFrame]:
    task = create_task(config)
    for part in ("labels", "outlines"):
        (folder / part).mkdir(parents=True)
    waiting: deque[tuple[str, Plane]] = deque()
    inputs = (task.network_input(image) for image in _read_planes(paths, waiting))
    maps, _ = map_maker(config, network_of(task, network))
    objects, images, submission = [], [], []
    for number, score_map in enumerate(maps(inputs), start=1):
        name, plane = waiting.popleft()
        more: list[dict[str, Any]] = []
        counts: dict[str, float] = {}
        if isinstance(task, NanotubeTask):
            found, more, counts = _nanotubes(task, score_map)
        else:
            found = task.instances(score_map)
        labels = found.labels
        if len(found) > np.iinfo(np.uint16).max:
            raise DataError(f"{name} has {len(found)} objects, more than a 16-bit label map holds. Cut the image")
        _write_image(folder / "labels" / f"{name}.png", labels.astype(np.uint16))
        drawn = outlined(for_display(plane.image, size=max(labels.shape)), labels)
        _write_image(folder / "outlines" / f"{name}.png", cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR))
        objects += [row | extra for row, extra in zip_longest(_rows(name, found), more, fillvalue={})]
        size = {"height": labels.shape[0], "width": labels.shape[1]}
        images.append({"image": name, **size, "num_objects": len(found), **counts})
        submission += [{"ImageId": name, "EncodedPixels": text} for text in to_run_lengths(found) or [""]]
        say(f"[{number}] {name}: {len(found)} objects" + (f", {plane.choice}" if plane.choice else ""))
    columns = ["image", "object", "y0", "x0", "y1", "x1", "area", "score"]
    if isinstance(task, NanotubeTask):
        columns += MEASURES
    return {
        "objects": pd.DataFrame(objects, columns=columns),
        "images": pd.DataFrame(images),
        "submission": pd.DataFrame(submission),
    }


def _nanotubes(task: NanotubeTask, score_map: Float32Array) -> tuple[Instances, list[dict[str, Any]], dict[str, float]]:
    """Returns the candidates of an image, what is measured of each, and the counts that biologists report."""
    shape, cells = (score_map.shape[0], score_map.shape[1]), task.cells(score_map)
    candidates = task.candidates(score_map, cells)
    rows = [dict(zip(COLUMNS, candidate_row(candidate, None, shape), strict=True)) for candidate in candidates]
    num_cells = int(cells.max())
    counts = {
        "num_cells": num_cells,
        "objects_per_cell": round(len(candidates) / num_cells, 4) if num_cells else np.nan,
    }
    return to_instances(candidates, shape), [{name: _short(row[name]) for name in MEASURES} for row in rows], counts


def _rows(name: str, found: Instances) -> list[dict[str, Any]]:
    areas = np.bincount(found.labels.ravel(), minlength=len(found) + 1)[1:]
    return [
        {
            "image": name,
            "object": place + 1,
            **dict(zip(("y0", "x0", "y1", "x1"), found.boxes[place].tolist(), strict=True)),
            "area": int(areas[place]),
            "score": round(float(found.scores[place]), 4),
        }
        for place in range(len(found))
    ]


def _short(value: float | str) -> float | str:
    return round(value, 4) if isinstance(value, float) else value
