"""How files of a dataset of nanotubes belong together by their names."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import PurePosixPath

from nanonuclei.data.corrected.label_studio import file_of
from nanonuclei.data.files.reading import stem

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def match_image(reference: str, names: Mapping[str, list[str]]) -> list[str]:
    """Finds the images that a reference may mean: those whose path ends with it, else those of its base name.

    A reference without suffix, such as ``panel_a``, means images of that name with any suffix.

    Args:
        reference: As an annotation has it.
        names: Images by base name.
    """
    wanted = PurePosixPath(file_of(reference))
    same = names.get(wanted.name) or [
        name for base, paths in names.items() if not wanted.suffix and stem(base) == wanted.name for name in paths
    ]
    if not wanted.suffix:
        return same
    for length in range(len(wanted.parts), 0, -1):
        ends = [name for name in same if PurePosixPath(name).parts[-length:] == wanted.parts[-length:]]
        if ends:
            return ends
    return []


def by_base_name(images: list[str]) -> dict[str, list[str]]:
    """Returns images by their names without folders."""
    names: dict[str, list[str]] = defaultdict(list)
    for image in images:
        names[PurePosixPath(image).name].append(image)
    return names


def beside(image: str, table: Mapping[tuple[str, str], str]) -> str | None:
    """Finds the mask of an image: in a folder beside the image, or beside the folder that it lies in.

    Args:
        image: Path of the image.
        table: Masks by the folder that theirs lies in, and their names without suffix.
    """
    folder = PurePosixPath(image).parent
    roots = ["" if root == PurePosixPath(".") else root.as_posix() for root in (folder, folder.parent)]
    names = [stem(image) + ending for ending in ("", "_mask", "_masks")]
    return next((table[root, name] for root in roots for name in names if (root, name) in table), None)


def sample_ids(names: list[str]) -> dict[str, str]:
    """Names samples by their files; with folders, then with the suffix, where two would have one name.

    Args:
        names: Paths of images within a dataset.

    Returns:
        A name per path, unique whatever the case of its letters, and safe as a file name.
    """
    ids: dict[str, str] = {}
    waiting = list(names)
    for naming in (stem, _with_folders, str):
        proposed = {name: _UNSAFE.sub("_", naming(name).replace("/", "_")).lstrip(".") for name in waiting}
        taken = Counter(sample_id.lower() for sample_id in (*proposed.values(), *ids.values()))
        ids |= {name: sample_id for name, sample_id in proposed.items() if sample_id and taken[sample_id.lower()] == 1}
        waiting = [name for name in waiting if name not in ids]
    return ids | {name: f"image_{number}" for number, name in enumerate(waiting)}


def _with_folders(name: str) -> str:
    return (PurePosixPath(name).parent / stem(name)).as_posix()
