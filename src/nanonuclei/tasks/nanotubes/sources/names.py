"""How files of a dataset of nanotubes belong together by their names."""

from __future__ import annotations

import csv
import dataclasses
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from nanonuclei.data.catalog import BadSample
from nanonuclei.data.corrected.label_studio import file_of
from nanonuclei.data.files.reading import stem
from nanonuclei.tasks.nanotubes.sources.annotations import Marks, Parsed, read_rows

FIELDS = "fields.csv"
"""Table of the fields of view."""

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


def read_fields(content: bytes, name: str, parsed: Parsed) -> dict[str, str]:
    """Returns the field of view of each image that a table ``image,field`` names; adds what is wrong to `parsed`."""
    try:
        rows = read_rows(content.decode("utf-8-sig"))
    except (UnicodeDecodeError, csv.Error) as error:
        parsed.bad(name, f"not a table of comma-separated values ({error}). Save it as CSV, UTF-8")
        return {}
    if rows and not {"image", "field"} <= rows[0].keys():
        parsed.bad(name, f"must have the columns image,field, got {','.join(rows[0])}. Rename them")
        return {}
    return {row["image"].strip(): row["field"].strip() for row in rows if row["image"].strip() and row["field"].strip()}


def groups_of(fields: Mapping[str, str], images: list[str], problems: list[BadSample]) -> dict[str, str]:
    """Returns the field of view of images, by their paths.

    Args:
        fields: By images, as the table names them.
        images: Their paths.
        problems: Takes what fits no image, or several.
    """
    names = by_base_name(images)
    groups = {}
    for image, group in fields.items():
        files = match_image(image, names)
        if len(files) == 1:
            groups[files[0]] = group
        else:
            problem = "names several files. Write its path" if files else "is not among the files. Leave it out"
            problems.append(BadSample(image, FIELDS, f"image {image!r} {problem}"))
    return groups


def marks_of(
    tables: Sequence[Marks], drawn: Sequence[Marks], images: list[str], problems: list[BadSample]
) -> dict[str, Marks]:
    """Returns what was marked in each image, by their paths.

    Args:
        tables: Marks of tables and JSON.
        drawn: Marks of files that lie beside their image; they count where a table only tells that it was looked at.
        images: Their paths.
        problems: Takes what fits no image or several, and what is marked twice.
    """
    marks: dict[str, Marks] = {}
    names = by_base_name(images)
    for place, mark in enumerate([*tables, *drawn]):
        files = match_image(mark.image, names)
        if len(files) != 1:
            what = f"could be {' or '.join(files)}. Write the path" if files else "is not among the files. Add it"
            problems.append(BadSample(mark.image, mark.origin, f"image {file_of(mark.image)!r} {what}"))
        elif files[0] in marks and (place < len(tables) or _tells(marks[files[0]])):
            problems.append(
                BadSample(mark.image, files[0], f"marked in {marks[files[0]].origin} and in {mark.origin}. Keep one")
            )
        else:
            known = marks.get(files[0])
            marks[files[0]] = dataclasses.replace(mark, group=known.group) if known else mark
    return marks


def _tells(mark: Marks) -> bool:
    """Whether a mark tells more than that its image was looked at."""
    return mark.lines is None or bool(mark.lines or mark.doubtful)
