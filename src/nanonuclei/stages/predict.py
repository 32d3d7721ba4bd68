"""Predict: a folder of images becomes label maps, tables of objects and counts, and a competition file if asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pandas as pd

from nanonuclei.config.channels import Channel
from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.config.params import parse_settings
from nanonuclei.config.section import Role
from nanonuclei.data.archives import open_files
from nanonuclei.data.image_files import read_planes
from nanonuclei.drawing.pictures import for_display, outlined
from nanonuclei.engine.networks import network_of
from nanonuclei.errors import ConfigError, DataError
from nanonuclei.imaging.instances import to_run_lengths
from nanonuclei.imaging.types import Image
from nanonuclei.serving.store import load_stored, load_trained
from nanonuclei.stages.places import PARAMS
from nanonuclei.stages.settings import check_changeable
from nanonuclei.tasks import create_task
from nanonuclei.tracking.runs import existing_run
from nanonuclei.writing import whole_folder

if TYPE_CHECKING:
    import keras

SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp")
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
        model: A run's id, or a model's URI such as ``models:/nuclei@champion``.
        images: An image, or a folder that is searched with all its subfolders. Names must differ, suffixes aside.
        output: Folder to make.
        settings: Texts ``path=value`` that say how objects are read, such as ``windows.num_views=8``.
        submission: Also write ``submission.csv`` as the Data Science Bowl 2018 took it.
        say: Told what the user should read.

    Returns:
        `output`.

    Raises:
        ConfigError: A setting is not one of those, or the output exists.
        DataError: There are no images, some cannot be read (all of them are named), or two share a name.
        TrackingError: There is no such run, or it holds no model.
    """
    changed = parse_settings(settings)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ConfigError(f"predictions are written to a new folder, but {output} exists. Name another, or remove it")
    config, network = loaded(model, changed)
    check_changeable(config, changed, roles=(Role.READING,), stage="predict")
    paths = find_images(images, channel=create_task(config).channel)
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


def find_images(place: Path, *, channel: Channel | None = None) -> dict[str, Path]:
    """Returns the images of a folder and of its subfolders by name, sorted; all of them can be read.

    Args:
        place: A folder, or one image.
        channel: The channel that is read; None: the image as it is.

    Raises:
        DataError: There is none, two share a name, or some cannot be read.
    """
    found = [place] if place.is_file() else sorted(p for p in place.rglob("*") if p.suffix.lower() in SUFFIXES)
    if not found:
        raise DataError(f"{place} holds no image ({', '.join(SUFFIXES)}). Name a folder of images, or one image")
    paths: dict[str, Path] = {}
    for path in found:
        if path.stem in paths:
            raise DataError(f"images need different names, but {paths[path.stem]} and {path} share one. Rename one")
        paths[path.stem] = path
    broken = [f"{path}: {problem}" for path in found if (problem := _problem(path, channel))]
    if broken:
        more = [f"... and {len(broken) - MOST_PROBLEMS} more"] if len(broken) > MOST_PROBLEMS else []
        listed = "\n  ".join([*broken[:MOST_PROBLEMS], *more])
        raise DataError(f"{len(broken)} of {len(found)} images cannot be read. Remove or replace them:\n  {listed}")
    return paths


def _problem(path: Path, channel: Channel | None) -> str:
    try:
        _read(path, channel)
    except DataError as error:
        return str(error)
    return ""


def _read(path: Path, channel: Channel | None) -> Image:
    """Reads an image: the channel that the model was trained on, or the image as it is."""
    if channel is None:
        return _as_it_is(path)
    with open_files(path.parent) as files:
        return read_planes(files, path.name, [channel]).images[0]


def _as_it_is(path: Path) -> Image:
    try:
        image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    except (cv2.error, OSError):
        image = None
    if image is None:
        raise DataError("no image that can be decoded")
    if image.dtype not in (np.uint8, np.uint16):
        raise DataError(f"8 or 16 bit expected, got {image.dtype}")
    if image.ndim == 3 and image.shape[2] not in (3, 4):
        raise DataError(f"1, 3 or 4 channels expected, got {image.shape[2]}")
    return image if image.ndim == 2 else cv2.cvtColor(image[..., :3], cv2.COLOR_BGR2RGB)


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
    inputs = (task.network_input(_read(path, task.channel)) for path in paths.values())
    maps = task.score_maps(network_of(task, network), inputs)
    rows, images, submission = [], [], []
    for number, ((name, path), score_map) in enumerate(zip(paths.items(), maps, strict=True), start=1):
        found = task.objects(score_map)
        labels, num_objects = found.instances.pixels(), len(found.instances)
        if num_objects > np.iinfo(np.uint16).max:
            raise DataError(f"{path} has {num_objects} objects, more than a 16-bit label map holds. Cut the image")
        cv2.imwrite(str(folder / "labels" / f"{name}.png"), labels.astype(np.uint16))
        image = _read(path, task.channel)
        drawn = outlined(for_display(image, size=max(image.shape[:2])), labels)
        cv2.imwrite(str(folder / "outlines" / f"{name}.png"), cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR))
        rows += [
            {"image": name, "object": place, **{column: _short(row[column]) for column in task.table_columns}}
            for place, row in enumerate(found.rows, start=1)
        ]
        size = {"height": labels.shape[0], "width": labels.shape[1]}
        images.append({"image": name, **size, "num_objects": num_objects, **found.measures})
        submission += [{"ImageId": name, "EncodedPixels": text} for text in to_run_lengths(found.instances) or [""]]
        say(f"[{number}/{len(paths)}] {name}: {task.noun.count(num_objects)}")
    return {
        "objects": pd.DataFrame(rows, columns=["image", "object", *task.table_columns]),
        "images": pd.DataFrame(images),
        "submission": pd.DataFrame(submission),
    }


def _short(value: float | str) -> float | str:
    return round(value, 4) if isinstance(value, float) else value
