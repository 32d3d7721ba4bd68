"""Which files of a dataset of nuclei belong to one image, by their names; nothing is decoded here."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from nanonuclei.data.files.listing import is_image
from nanonuclei.data.files.reading import stem

TRAIN = "stage1_train"
IMAGES, MASKS = "images", "masks"
MASK_ENDINGS = ("_masks", "_mask", "_label", "_labels", "_cp_masks", "_seg")
"""What the name of a mask may have after that of its image; Cellpose writes the first."""

IMAGE_ENDINGS = ("_img", "_image")
"""What the name of an image may have that the name of its mask lacks, as in Cellpose's own training data."""

FORMS = (
    "<id>/images/<id>.png with <id>/masks/*.png, images/x.tif with masks/x.tif, or x.png with x_masks.png in one folder"
)
"""The layouts that are read, for messages."""

_UNSAFE = re.compile(r"[^\w.-]+")


@dataclass
class SampleFiles:
    """The files of one sample.

    Attributes:
        folder: Folder of the sample within the dataset; empty where that is the dataset itself.
        images: Paths within the dataset, sorted; one in a sound dataset.
        masks: Paths within the dataset, sorted.
    """

    folder: str
    images: list[str] = field(default_factory=list)
    masks: list[str] = field(default_factory=list)


def group(names: Sequence[str]) -> dict[str, SampleFiles]:
    """Groups the files of a dataset by sample.

    Read are Kaggle's layout, ``<id>/images/<id>.png`` with a mask per nucleus in ``<id>/masks/``; folders ``images/``
    and ``masks/`` with one mask per image under the same name, or with one of `MASK_ENDINGS`; and, where there are no
    such folders, masks beside their images. Where some of the dataset lies below a folder ``stage1_train``, only that
    counts. Samples below hidden folders are passed over, but the name of a sample may begin with a dot.

    Args:
        names: Paths within the dataset.

    Returns:
        The samples by sorted id.
    """
    names = [name for name in names if not _is_below_hidden(name)]
    wanted = [name for name in names if below_train(name)] or names
    folders: dict[str, SampleFiles] = {}
    for name in wanted:
        parts = name.split("/")
        if len(parts) < 2 or parts[-2].lower() not in (IMAGES, MASKS):
            continue
        sample = folders.setdefault("/".join(parts[:-2]), SampleFiles("/".join(parts[:-2])))
        if is_image(name):
            (sample.images if parts[-2].lower() == IMAGES else sample.masks).append(name)
    if not folders:
        return _named(_beside([name for name in wanted if is_image(name)]))
    samples: list[tuple[str, SampleFiles]] = []
    for folder, files in folders.items():
        flat = not folder or (len(files.images) > 1 and bool(_keys(files.images) & _mask_keys(files.masks)))
        samples += _pairs(files) if flat else [(folder.split("/")[-1], files)]
    return _named(samples)


def below_train(name: str) -> bool:
    """Returns whether a file belongs to a sample below a folder ``stage1_train``."""
    parts = name.split("/")
    return len(parts) >= 3 and parts[-2].lower() in (IMAGES, MASKS) and TRAIN in parts[:-3]


def _is_below_hidden(name: str) -> bool:
    parts = name.split("/")
    above = parts[:-3] if len(parts) > 1 and parts[-2].lower() in (IMAGES, MASKS) else parts[:-1]
    return any(part.startswith(".") for part in above)


def _pairs(files: SampleFiles) -> list[tuple[str, SampleFiles]]:
    """Puts each image of a folder together with its mask; what has no counterpart stays alone."""
    found: dict[str, SampleFiles] = {}
    keys = _keys(files.images)
    for name in files.images:
        found.setdefault(_key(name), SampleFiles(files.folder)).images.append(name)
    for name in files.masks:
        key = next((key for key in _possible(name) if key in keys), stem(name))
        found.setdefault(key, SampleFiles(files.folder)).masks.append(name)
    return list(found.items())


def _beside(names: Sequence[str]) -> list[tuple[str, SampleFiles]]:
    """Finds masks in the folders of their images, by their endings."""
    by_folder: dict[str, SampleFiles] = defaultdict(lambda: SampleFiles(""))
    for name in names:
        parent = PurePosixPath(name).parent.as_posix()
        files = by_folder[parent]
        files.folder = "" if parent == "." else parent
        (files.masks if stem(name).lower().endswith(MASK_ENDINGS) else files.images).append(name)
    return [pair for files in by_folder.values() if files.masks for pair in _pairs(files)]


def _key(name: str) -> str:
    """Returns the name of an image as its mask has it."""
    base = stem(name)
    ending = next((ending for ending in IMAGE_ENDINGS if base.lower().endswith(ending)), "")
    return base[: len(base) - len(ending)]


def _keys(images: Sequence[str]) -> set[str]:
    return {_key(name) for name in images}


def _mask_keys(masks: Sequence[str]) -> set[str]:
    return {key for name in masks for key in _possible(name)}


def _possible(mask: str) -> list[str]:
    """Returns the names that the image of a mask may have."""
    base = stem(mask)
    return [base, *(base[: -len(ending)] for ending in MASK_ENDINGS if base.lower().endswith(ending))]


def _named(samples: Sequence[tuple[str, SampleFiles]]) -> dict[str, SampleFiles]:
    """Returns samples by id; an id that two would share gets the folders in front."""
    taken = Counter(name.lower() for name, _ in samples)
    named: dict[str, SampleFiles] = {}
    for name, files in samples:
        flat = files.folder.split("/")[-1] != name
        if taken[name.lower()] > 1 and flat:
            name = f"{files.folder}/{name}"
        sample_id = _UNSAFE.sub("_", name.strip("/")) if flat else name
        known = named.get(sample_id)
        if known is None:
            named[sample_id] = files
        else:
            known.images += files.images
            known.masks += files.masks
    return dict(sorted(named.items()))
