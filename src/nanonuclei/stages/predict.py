"""Predict: a folder of images becomes label maps, tables of objects and counts, and a competition file if asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.config.params import parse_settings
from nanonuclei.config.section import Role
from nanonuclei.data.files.axes import Choice, Plane
from nanonuclei.data.files.listing import list_images
from nanonuclei.data.files.reading import iter_image_file
from nanonuclei.drawing.pictures import for_display, outlined
from nanonuclei.errors import ConfigError, DataError
from nanonuclei.imaging.instances import to_run_lengths
from nanonuclei.imaging.networks import Network
from nanonuclei.imaging.types import Image
from nanonuclei.serving.named import open_model
from nanonuclei.stages.places import PARAMS
from nanonuclei.stages.settings import check_changeable
<<<<<<< HEAD
from nanonuclei.tasks import create_reader
=======
from nanonuclei.tasks import create_task
from nanonuclei.tasks.base import Reader
from nanonuclei.tracking.runs import existing_run
>>>>>>> int
from nanonuclei.writing import whole_folder

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
    ``objects.csv`` (a row per object: its columns are those of the task, lengths in px) and ``images.csv`` (a row per
    image: size, number of objects, and what else the task measures).

    Args:
        model: See `serving.named.find_model`. It runs on ONNX Runtime in float32, whatever `windows.precision` says.
        images: An image, or a folder that is searched with all its subfolders, which the output mirrors. Of a file
            with several times or recordings each is an image of its own.
        output: Folder to make.
        settings: Texts ``path=value`` that say how objects are read, such as ``windows.num_views=8``.
        submission: Also write ``submission.csv`` as the Data Science Bowl 2018 took it.
        say: Told what the user should read.

    Returns:
        `output`.

    Raises:
        ConfigError: A setting is not one of those, or the output exists.
        DataError: There are no images, or some cannot be read (all of them are named); or a model that comes along was
            changed.
        TrackingError: There is no such model.
    """
    changed = parse_settings(settings)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ConfigError(f"predictions are written to a new folder, but {output} exists. Name another, or remove it")
    opened = open_model(model, settings=changed, missing_from=PARAMS)
    config, network = opened.config, opened.network
    check_changeable(config, changed, roles=(Role.READING,), stage="predict")
<<<<<<< HEAD
    for line in opened.trained_on():
        say(line)
    paths = find_images(images, choice=Choice(channel=create_reader(config).channel))
=======
    paths = find_images(images, choice=_choice(create_task(config)))
>>>>>>> int
    with whole_folder(output) as folder:
        tables = _predict_all(config, network, paths, folder=folder, say=say)
        tables["objects"].to_csv(folder / "objects.csv", index=False)
        tables["images"].to_csv(folder / "images.csv", index=False)
        if submission:
            tables["submission"].to_csv(folder / "submission.csv", index=False)
    say(
        f"{len(tables['objects'])} objects in {len(paths)} images: {output}/objects.csv, images.csv, labels/, outlines/"
    )
    return output


def find_images(place: Path, *, choice: Choice | None = None) -> dict[str, Path]:
    """Returns the images of a folder and of its subfolders by name, see `list_images`; all of them can be read.

    Args:
        place: A folder, an image, or a pattern.
        choice: Which channel and which focal planes are read.

    Raises:
        DataError: There is none, or some cannot be read.
    """
    paths = list_images(place)
    broken = [problem for path in paths.values() if (problem := _problem(path, choice))]
    if broken:
        more = [f"... and {len(broken) - MOST_PROBLEMS} more"] if len(broken) > MOST_PROBLEMS else []
        listed = "\n  ".join([*broken[:MOST_PROBLEMS], *more])
        raise DataError(f"{len(broken)} of {len(paths)} images cannot be read. Remove or replace them:\n  {listed}")
    return paths


def _choice(reader: Reader) -> Choice:
    """Returns which channel of a file a model reads."""
    return Choice(channel=reader.channel, stains=reader.stains)


def _problem(path: Path, choice: Choice | None) -> str:
    try:
        for _ in iter_image_file(path, choice):
            pass
    except DataError as error:
        return str(error)
    return ""


def _planes_of(paths: dict[str, Path], choice: Choice, *, waiting: deque[tuple[str, Plane]]) -> Iterator[Image]:
    """Yields the image of each plane of each file; name and plane are appended to `waiting`."""
    for name, path in paths.items():
        for plane in iter_image_file(path, choice):
            waiting.append((f"{name}{plane.suffix}", plane))
            yield plane.image


def _write_image(path: Path, image: Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), image):
        raise DataError(f"cannot write {path}. Free space or rights there")


def _predict_all(
    config: ExperimentConfig,
    network: Network,
    paths: dict[str, Path],
    *,
    folder: Path,
    say: Callable[[str], None],
) -> dict[str, pd.DataFrame]:
    task = create_reader(config)
    for part in ("labels", "outlines"):
        (folder / part).mkdir(parents=True)
    waiting: deque[tuple[str, Plane]] = deque()
<<<<<<< HEAD
    images_of_planes = _planes_of(paths, Choice(channel=task.channel), waiting=waiting)
    maps = task.score_maps(network, map(task.network_input, images_of_planes))
=======
    images_of_planes = _planes_of(paths, _choice(task), waiting=waiting)
    maps = task.score_maps(network_of(task, network), map(task.network_input, images_of_planes))
>>>>>>> int
    rows, images, submission = [], [], []
    for number, score_map in enumerate(maps, start=1):
        name, plane = waiting.popleft()
        found = task.objects(score_map, (plane.image.shape[0], plane.image.shape[1]))
        labels, num_objects = found.instances.pixels(), len(found.instances)
        if num_objects > np.iinfo(np.uint16).max:
            raise DataError(f"{name} has {num_objects} objects, more than a 16-bit label map holds. Cut the image")
        _write_image(folder / "labels" / f"{name}.png", labels.astype(np.uint16))
        drawn = outlined(for_display(plane.image, size=max(labels.shape)), labels)
        _write_image(folder / "outlines" / f"{name}.png", cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR))
        rows += [
            {"image": name, "object": place, **{column: _short(row[column]) for column in task.table_columns}}
            for place, row in enumerate(found.rows, start=1)
        ]
        size = {"height": labels.shape[0], "width": labels.shape[1]}
        images.append({"image": name, **size, "num_objects": num_objects, **found.measures})
        submission += [{"ImageId": name, "EncodedPixels": text} for text in to_run_lengths(found.instances) or [""]]
        chosen = f", {plane.choice}" if plane.choice else ""
        say(f"[{number}] {name}: {task.noun.count(num_objects)}{chosen}")
    return {
        "objects": pd.DataFrame(rows, columns=["image", "object", *task.table_columns]),
        "images": pd.DataFrame(images),
        "submission": pd.DataFrame(submission),
    }


def _short(value: float | str) -> float | str:
    return round(value, 4) if isinstance(value, float) else value
