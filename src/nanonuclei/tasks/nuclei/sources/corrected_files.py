"""Which corrected file belongs to which image, by their names, and what it says of that image's nuclei."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from nanonuclei.counted import counted
from nanonuclei.data.archives import Files, open_files
from nanonuclei.data.corrected.geojson import is_geojson, read_geojson
from nanonuclei.data.corrected.imagej_roi import read_rois
from nanonuclei.data.corrected.label_studio import is_label_studio, read_label_studio
from nanonuclei.data.corrected.manifest import MANIFEST, PICTURES, PREDICTED
from nanonuclei.data.corrected.shapes import Drawn, other_size, pixels, problem
from nanonuclei.data.files.limits import ImageLimits
from nanonuclei.data.files.listing import is_image
from nanonuclei.data.files.reading import read_values, stem
from nanonuclei.errors import DataError
from nanonuclei.imaging.types import Labels
from nanonuclei.invocation import command
from nanonuclei.tasks.nuclei.sources.mask_files import MAX_OBJECTS, Painting, objects_of
from nanonuclei.tasks.nuclei.sources.sample_files import MASK_ENDINGS, MASKS

LIMITS = ImageLimits(num_pixels=2**26)
"""Largest image that is decoded."""

_IMAGES, _MASKS = "images", ("masks", "labels")
_BESIDE = ("geojson", "roi", *_MASKS)
"""Folders whose files are called as those in ``images``, as in a folder of results."""
_PASSED_OVER = (PREDICTED, PICTURES, "overlay", "objects")
_GEOJSON, _ROIS, _JSON = (".geojson",), (".zip", ".roi"), (".json",)

FORMS = (
    "an export of Label Studio (.json), x.geojson of QuPath, x.zip of ROIs of Fiji, or a label image x_masks.png or "
    "masks/x.png, beside the image x.png or the folder images/"
)
"""What is read, for messages."""


@dataclass
class Corrected:
    """The files of one image.

    Attributes:
        key: Its path within the folder of images, without suffix.
        image: File within the source.
        files: Corrected files, with what reads their nuclei.
    """

    key: str
    image: str
    files: dict[str, Callable[[tuple[int, int]], Labels]] = field(default_factory=dict)


def check_corrected(path: Path) -> None:
    """Makes sure by the names of its files that a source may hold corrected images; `group` reads them.

    Raises:
        DataError: It holds no image, or nothing that could say where nuclei are, or is a dataset of images and masks.
    """
    with open_files(path) as files:
        names = files.names
    images, others = _told_apart(names)
    if not images and not others:
        raise DataError(f"{path} must hold images and {FORMS}, but holds no image")
    if others:
        return
    if any(f"/{MASKS}/" in name.lower() for name in names):
        again = command("fetch", dataset="dsb2018", source=path)
        raise DataError(
            f"{path} holds <id>/images and <id>/masks, the layout of the Data Science Bowl 2018. Fetch it as that by "
            f"`{again}`; here needed is {FORMS}"
        )
    raise DataError(
        f"{path} holds {counted(len(images), 'image')} but nothing that says where their nuclei are. Needed is {FORMS}"
    )


def _told_apart(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Returns the images among files, and what may say where their nuclei are."""
    images: list[str] = []
    others: list[str] = []
    for name in names:
        parts = name.lower().split("/")
        if parts[0] in _PASSED_OVER or parts[-1] == MANIFEST:
            continue
        base = stem(name).lower()
        if is_image(name) and parts[0] not in _MASKS and not base.endswith(MASK_ENDINGS):
            images.append(name)
        elif is_image(name) or name.lower().endswith((*_GEOJSON, *_ROIS, *_JSON)):
            others.append(name)
    return images, others


def group(files: Files) -> tuple[dict[str, Corrected], list[tuple[str, str]]]:
    """Finds the images of a folder and the corrected file of each.

    Returns:
        The images by key, sorted, with or without a corrected file; and problems of files that belong to none.
    """
    pictures, others = _told_apart(files.names)
    images = {_key(name): Corrected(_key(name), name) for name in pictures}
    problems: list[tuple[str, str]] = []
    for name in others:
        try:
            _assign(files, name, images, problems)
        except DataError as error:
            problems.append((name, str(error)))
    return dict(sorted(images.items())), problems


def _assign(files: Files, name: str, images: Mapping[str, Corrected], problems: list[tuple[str, str]]) -> None:
    lower = name.lower()
    if lower.endswith(_JSON):
        try:
            tree = json.loads(files.read(name).decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            raise DataError("no JSON. Export it again") from error
        if is_label_studio(tree):
            for picture, drawn in read_label_studio(tree).items():
                _put(images, _key_among(picture, images), name, partial(paint, drawn))
            return
        if not is_geojson(tree):
            return  # a file of another program
    if is_image(name):
        _put(images, _mask_key(name, images), name, lambda size: _label_image(files.read(name), size))
        return
    read = read_rois if lower.endswith(_ROIS) else read_geojson
    _put(images, _key_among(name, images), name, lambda size: paint(read(files.read(name)), size))


def paint(drawn: Drawn, size: tuple[int, int]) -> Labels:
    """Returns the label image of what was drawn on an image.

    Args:
        drawn: Outlines and masks.
        size: Height and width of the image, px.

    Raises:
        DataError: An outline crosses itself, lies outside of the image, or overlaps with another by more than a slip of
            the hand; or they were drawn on an image of another size. The message has each with its remedy.
    """
    if drawn.size is not None and drawn.size != size:
        raise DataError(other_size(drawn.size, size))
    if len(drawn.shapes) > MAX_OBJECTS:
        raise DataError(f"{len(drawn.shapes):,} objects, more than the {MAX_OBJECTS:,} that fit. Cut the image")
    painting, troubles = Painting(size), []
    for shape in drawn.shapes:
        trouble = problem(shape, size)
        if trouble:
            troubles.append(trouble)
        else:
            overlaps = painting.paint(shape.name, pixels(shape, size))
            troubles += [f"{shape.name} {text}. Redraw one of them" for text in overlaps]
    if troubles:
        raise DataError("\n".join(troubles))
    return painting.labels


def _label_image(content: bytes, size: tuple[int, int]) -> Labels:
    values = read_values(content, limits=LIMITS, exact=True)
    if values.shape[:2] != size:
        raise DataError(other_size((values.shape[0], values.shape[1]), size))
    return objects_of(values, "labels", alone=True).astype(np.uint16)


def _put(images: Mapping[str, Corrected], key: str, name: str, read: Callable[[tuple[int, int]], Labels]) -> None:
    if key not in images:
        raise DataError(f"fits no image, looked for {key}. Call it as its image is called")
    images[key].files[name] = read


def _key(name: str) -> str:
    parts = name.split("/")
    folders = parts[1:-1] if parts[0].lower() in (_IMAGES, *_BESIDE, PICTURES) else parts[:-1]
    return "/".join([*folders, stem(parts[-1]) if is_image(name) else PurePosixPath(parts[-1]).stem])


def _key_among(name: str, images: Mapping[str, Corrected]) -> str:
    """Returns the key of the image that a file or picture is of: by its path, else by its name if one alone has it."""
    return next(_candidates(_key(name), images), _key(name))


def _mask_key(name: str, images: Mapping[str, Corrected]) -> str:
    key = _key(name)
    endings = ("", *MASK_ENDINGS)
    possible = [key.removesuffix(key[len(key) - len(ending) :]) for ending in endings if key.lower().endswith(ending)]
    return next((found for one in possible for found in _candidates(one, images)), key)


def _candidates(key: str, images: Mapping[str, Corrected]) -> Iterator[str]:
    if key in images:
        yield key
        return
    parts = key.split("/")
    for start in range(1, len(parts)):  # a path that begins above the folder of images
        if "/".join(parts[start:]) in images:
            yield "/".join(parts[start:])
            return
    same = [one for one in images if one.split("/")[-1] == parts[-1]]
    if len(same) == 1:
        yield same[0]
