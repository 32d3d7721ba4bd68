"""Windows of images as pictures that a browser shows, so that people can mark nanotubes in them with Label Studio."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from nanonuclei.config.channels import Channel
from nanonuclei.data.archives import Files, content_of, open_files
from nanonuclei.data.catalog import BadSample
from nanonuclei.data.files.listing import Refused, is_image
from nanonuclei.data.files.reading import read_channels
from nanonuclei.errors import DataError
from nanonuclei.imaging.types import Float32Array, Image, UInt8Array
from nanonuclei.imaging.windows import Window
from nanonuclei.tasks.nanotubes.sources.images import ARCHIVE_LIMITS
from nanonuclei.tasks.nanotubes.sources.label_studio import LABELLING_INTERFACE, WindowTask, write_tasks
from nanonuclei.tasks.nanotubes.sources.names import sample_ids
from nanonuclei.tasks.nanotubes.sources.samples import no_boxes
from nanonuclei.tasks.values import Look, Looking

PICTURES = "windows"
"""Folder of the pictures below that of the tasks."""

TASKS = "tasks.json"
INTERFACE = "labelling-interface.xml"
"""Files that Label Studio imports."""

LOW, HIGH = 0.1, 99.9
"""Percentiles of an image that become black and white in its pictures."""


def write_pictures(
    images: Path, folder: Path, *, channel: Channel, size: int, looking: Looking | None = None
) -> tuple[int, int, list[BadSample]]:
    """Cuts pictures, and writes `TASKS`, one per picture, and `INTERFACE` beside them; see `cut_pictures`.

    Args:
        images: A folder or zip of images.
        folder: Where the files go.
        channel: The channel that nanotubes are seen in.
        size: Side of a picture, px.
        looking: A model whose candidates become predictions; the pictures that it is least sure about come first.

    Returns:
        Numbers of pictures and of images, and the images that cannot be read.
    """
    look = looking.look if looking else None
    tasks, problems = cut_pictures(images, folder, channel=channel, size=size, look=look)
    if tasks:
        model, threshold = (looking.model, looking.threshold) if looking else ("", 0.5)
        write_tasks(folder / TASKS, tasks, model=model, threshold=threshold)
        (folder / INTERFACE).write_text(LABELLING_INTERFACE, encoding="utf-8")
    return len(tasks), len({task.source for task in tasks}), problems


def cut_pictures(
    path: Path, folder: Path, *, channel: Channel, size: int, look: Callable[[Image], Look] | None = None
) -> tuple[list[WindowTask], list[BadSample]]:
    """Cuts images into pictures that lie side by side and together show all of them.

    All pictures of an image have one contrast. Where an image shows nothing, as in the black margin of a stitched one,
    there is no picture.

    Args:
        path: A folder or zip of images, PNG, JPEG or TIFF.
        folder: Where the folder `PICTURES` is made.
        channel: The channel that nanotubes are seen in.
        size: Side of a picture, px; the nearest that divides an image evenly is taken.
        look: What a model says about the channel of an image; None where no model is asked.

    Returns:
        A task per picture, in order of images and places, with the largest score in it and the boxes that reach into it
        if a model is asked; and the images that cannot be read.

    Raises:
        DataError: There is no image.
        OSError: A picture cannot be written.
    """
    tasks: list[WindowTask] = []
    refused: dict[str, Refused] = {}
    with open_files(path, limits=ARCHIVE_LIMITS, refused=refused) as files:
        names = [name for name in files.names if is_image(name)]
        lost = [one for name, one in refused.items() if is_image(name) or (path / name).is_dir()]
        problems = [BadSample(one.path, one.path, one.why) for one in lost]
        if not (names or problems):
            raise DataError(f"{path} must hold images, PNG, JPEG or TIFF, but holds none. Give another folder")
        (folder / PICTURES).mkdir(parents=True, exist_ok=True)
        ids = sample_ids(names)
        for name in names:
            try:
                tasks += _cut(files, name, folder / PICTURES / ids[name], channel=channel, size=size, look=look)
            except DataError as error:
                problems.append(BadSample(ids[name], name, str(error)))
    return tasks, problems


def grid(shape: tuple[int, int], size: int) -> list[Window]:
    """Divides an image evenly into windows that do not overlap.

    Args:
        shape: Height and width of the image, px.
        size: Side of a window that is aimed at, px.

    Returns:
        Windows whose sides differ by 1 px at most among each other, row by row.
    """
    rows, columns = (
        np.linspace(0, side, max(1, round(side / size)) + 1).round().astype(int).tolist() for side in shape
    )
    return [Window(y0, x0, y1, x1) for y0, y1 in pairwise(rows) for x0, x1 in pairwise(columns)]


def _cut(
    files: Files,
    name: str,
    stem: Path,
    *,
    channel: Channel,
    size: int,
    look: Callable[[Image], Look] | None,
) -> list[WindowTask]:
    image = read_channels(content_of(files, name), [channel], setting="channel").images[0]
    seen = look(image) if look else None
    picture = _stretched(image)
    tasks = []
    for window in grid((image.shape[0], image.shape[1]), size):
        part = picture[window.y0 : window.y1, window.x0 : window.x1]
        if part.min() == part.max():
            continue
        path = stem.with_name(f"{stem.name}_{window.y0:05}_{window.x0:05}.png")
        path.write_bytes(cv2.imencode(".png", part)[1].tobytes())
        tasks.append(WindowTask(f"{PICTURES}/{path.name}", name, window, *_within(seen, window)))
    return tasks


def _within(seen: Look | None, window: Window) -> tuple[float | None, Float32Array, list[float]]:
    """Returns the largest score in a window, the boxes in it, cut off at its border, and their scores."""
    if seen is None:
        return None, no_boxes(), []
    low, high = np.array((window.y0, window.x0)), np.array((window.y1, window.x1))
    boxes = np.concatenate([np.maximum(seen.boxes[:, :2], low), np.minimum(seen.boxes[:, 2:], high)], axis=1)
    kept = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    score = float(seen.scores[window.y0 : window.y1, window.x0 : window.x1].max())
    return score, boxes[kept].astype(np.float32), seen.box_scores[kept].tolist()


def _stretched(image: Image) -> UInt8Array:
    """Stretches the contrast to 8 bit, in place of a second copy in floating point: by a table of grey values."""
    low, high = np.percentile(image[::4, ::4] if image.size > 2**20 else image, (LOW, HIGH))
    values = np.arange(np.iinfo(image.dtype).max + 1, dtype=np.float32)
    table = np.clip(np.rint((values - np.float32(low)) * np.float32(255.0 / max(high - low, 1.0))), 0, 255)
    stretched: UInt8Array = table.astype(np.uint8)[image]
    return stretched
