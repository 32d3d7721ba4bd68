"""Which files of a dataset of nanotubes are what: images, masks, boxes, patches; nothing but text files is read here.

A dataset is a folder or a zip with images anywhere in it, PNG, JPEG or TIFF, and the truth in one of these forms:

* ``masks/<name>.png`` or ``.tif`` for ``images/<name>.*``, labels or binary, and ``cells/<name>.png`` where known;
* a table with the columns ``image,y0,x0,y1,x1``;
* a table or JSON of centre lines, ``image,tube,uncertain,polyline``, see `centre_lines`;
* COCO, LabelMe or Label Studio JSON;
* files that QuPath or Fiji saved of an image's lines, ``<name>.geojson`` or ``<name>.zip`` beside ``<name>.*``;
* patches already cut, in folders ``positive/`` and ``negative/``.

A table ``fields.csv`` with the columns ``image,field`` tells which images show one field of view, if any do.
Of a folder that `correct` wrote only what somebody saved since counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from nanonuclei.data.archives import Files
from nanonuclei.data.catalog import BadSample
from nanonuclei.data.corrected.held_out import SPLITS
from nanonuclei.data.files.listing import is_image
from nanonuclei.data.files.reading import stem
from nanonuclei.errors import DataError
from nanonuclei.tasks.nanotubes.sources.annotations import (
    Marks,
    Parsed,
    is_boxes_csv,
    json_kind,
    load_json,
    parse_boxes_csv,
    parse_coco,
    parse_labelme,
)
from nanonuclei.tasks.nanotubes.sources.centre_lines import (
    is_lines_csv,
    is_panels_csv,
    joined,
    parse_lines_csv,
    parse_lines_json,
    parse_panels_csv,
)
from nanonuclei.tasks.nanotubes.sources.drawn.folder import belongs, names_of
from nanonuclei.tasks.nanotubes.sources.drawn.strokes import READERS, parse_drawn
from nanonuclei.tasks.nanotubes.sources.label_studio import parse_label_studio
from nanonuclei.tasks.nanotubes.sources.names import (
    FIELDS,
    beside,
    groups_of,
    marks_of,
    read_fields,
    sample_ids,
)
from nanonuclei.tasks.values import Noun

_IMAGES = Noun("image", "images")
_MASKS, _CELLS = "masks", "cells"
_PATCHES = {"positive": True, "negative": False}
PARSERS: Mapping[str, Callable[[Any, str], Parsed]] = {
    "coco": parse_coco,
    "labelme": parse_labelme,
    "label_studio": parse_label_studio,
    "lines": parse_lines_json,
}
"""By kind of JSON, as `annotations.json_kind` names it: takes the tree and the file's name."""

TABLES: tuple[tuple[Callable[[bytes], bool], Callable[[bytes, str], Parsed]], ...] = (
    (is_boxes_csv, parse_boxes_csv),
    (is_lines_csv, parse_lines_csv),
    (is_panels_csv, parse_panels_csv),
)
"""Kinds of tables: what tells one by its first line, and what reads it."""


@dataclass(frozen=True)
class ImageEntry:
    """One image of a dataset and where its truth lies: in exactly one of mask, marks and patch.

    Attributes:
        sample_id: Name, unique in the dataset, safe as a file name.
        file: The image.
        mask: The file of its nanotubes.
        marks: Boxes about its nanotubes, or their centre lines.
        patch: Whether it holds a nanotube somewhere.
        cells: The file of its cells.
        group: Name of the field of view.
    """

    sample_id: str
    file: str
    mask: str | None = None
    marks: Marks | None = None
    patch: bool | None = None
    cells: str | None = None
    group: str = ""


@dataclass(frozen=True)
class Layout:
    """What a dataset holds.

    Attributes:
        entries: The images that somebody said something about, sorted by id.
        problems: What does not fit together.
        notes: What was passed over on purpose, one line each.
        files: Whatever belongs to the dataset, sorted: images, masks, annotations; without images left out on purpose.
    """

    entries: tuple[ImageEntry, ...]
    problems: tuple[BadSample, ...]
    notes: tuple[str, ...]
    files: tuple[str, ...]


@dataclass
class _Found:
    """Files by what they are, while the dataset is gone through."""

    images: list[str] = field(default_factory=list)
    masks: dict[tuple[str, str], str] = field(default_factory=dict)
    cells: dict[tuple[str, str], str] = field(default_factory=dict)
    patches: dict[str, bool] = field(default_factory=dict)
    parsed: Parsed = field(default_factory=Parsed)
    truths: list[str] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)
    drawn: list[Marks] = field(default_factory=list)
    is_to_correct: bool = False


def find_layout(files: Files) -> Layout:
    """Goes through the names of a dataset and its text files.

    Args:
        files: The open dataset.

    Raises:
        DataError: It holds no image, or nothing that says where nanotubes are.
    """
    found = _sort(files)
    if not found.images and not found.patches:
        raise DataError(f"{files.path} must hold images, PNG, JPEG or TIFF, but holds none. {_forms()}")
    if not (found.masks or found.patches or found.truths):
        raise DataError(
            f"{files.path} must say where nanotubes are, but holds {_IMAGES.count(len(found.images))} and no "
            f"masks, lines, boxes or patches. {_forms()}"
        )
    problems = list(found.parsed.problems)
    marks = marks_of(joined(found.parsed.marks), found.drawn, found.images, problems)
    ids = sample_ids([*found.images, *found.patches])
    groups = groups_of(found.fields, [*found.images, *found.patches], problems)
    entries, silent, used = [], [], set()
    for file in found.images:
        mask = beside(file, found.masks)
        used.add(mask)
        if mask is None and file not in marks:
            silent.append(file)
            continue
        if mask is not None and file in marks:
            kind = "boxes" if marks[file].lines is None else "centre lines"
            both = f"has a mask, {mask}, and {kind} in {marks[file].origin}. Keep one"
            problems.append(BadSample(ids[file], file, both))
            continue
        group = groups.get(file) or (marks[file].group if file in marks else None) or ids[file]
        entries.append(
            ImageEntry(ids[file], file, mask, marks.get(file), cells=beside(file, found.cells), group=str(group))
        )
    for file, positive in found.patches.items():
        entries.append(ImageEntry(ids[file], file, patch=positive, group=groups.get(file, ids[file])))
    problems += [
        BadSample(stem(mask), mask, "mask of no image. Name it like its image, or leave it out")
        for mask in found.masks.values()
        if mask not in used
    ]
    notes = list(found.parsed.notes)
    left_out = _judge_silent(silent, ids, found, problems, notes)
    kept = {*found.images, *found.patches, *found.masks.values(), *found.cells.values(), *found.truths} - left_out
    entries.sort(key=lambda entry: entry.sample_id)
    return Layout(tuple(entries), tuple(problems), tuple(notes), tuple(sorted(kept)))


def _sort(files: Files) -> _Found:
    found = _Found()
    names, found.is_to_correct = names_of(files)
    drawn = []
    for name in names:
        parts = name.split("/")
        folder = parts[-2].lower() if len(parts) > 1 else ""
        if is_image(name):
            if folder in (_MASKS, _CELLS):
                table, key = (found.masks if folder == _MASKS else found.cells), ("/".join(parts[:-2]), stem(name))
                if key in table:
                    found.parsed.bad(name, f"{table[key]} is of the same image. Keep one")
                table.setdefault(key, name)
            elif folder in _PATCHES:
                found.patches[name] = _PATCHES[folder]
            else:
                found.images.append(name)
        elif name.lower().endswith((".csv", ".json")):
            _read_text(files, name, found)
        elif name.lower().endswith(tuple(READERS)):
            drawn.append(name)
    for name in drawn:
        _read_drawn(files, name, found)
    return found


def _read_drawn(files: Files, name: str, found: _Found) -> None:
    images = [image for image in found.images if belongs(name, image)]
    if len(images) != 1:
        what = f"could be of {' or '.join(images)}" if images else "is of no image"
        found.parsed.bad(name, f"{what}. Put it beside its image, and call it as that")
        return
    found.truths.append(name)
    parsed = parse_drawn(files.read(name), name, image=images[0])
    found.drawn += parsed.marks
    found.parsed.problems.extend(parsed.problems)


def _read_text(files: Files, name: str, found: _Found) -> None:
    content = files.read(name)
    if name.lower().endswith(".csv"):
        if name.split("/")[-1].lower() == FIELDS:
            found.truths.append(name)
            found.fields |= read_fields(content, name, found.parsed)
            return
        if name.split("/")[-1].lower() == SPLITS:
            return
        parse = next((parse for is_kind, parse in TABLES if is_kind(content)), None)
        if parse is None:
            wanted = "image,y0,x0,y1,x1 or image,tube,uncertain,polyline"
            found.parsed.notes.append(f"{name}: passed over, as it lacks the columns {wanted}")
            return
        parsed = parse(content, name)
    else:
        tree = load_json(content)
        kind = json_kind(tree)
        if not kind:
            found.parsed.bad(name, "neither COCO, LabelMe nor Label Studio JSON. Leave it out, or export it again")
            return
        parsed = PARSERS[kind](tree, name)
    found.truths.append(name)
    for mine, theirs in (
        (found.parsed.marks, parsed.marks),
        (found.parsed.problems, parsed.problems),
        (found.parsed.notes, parsed.notes),
    ):
        mine.extend(theirs)  # type: ignore[arg-type]


def _judge_silent(
    silent: list[str], ids: Mapping[str, str], found: _Found, problems: list[BadSample], notes: list[str]
) -> set[str]:
    """Images that nobody said anything about: a mistake beside masks or a table, unfinished work beside JSON.

    Returns those that are left out on purpose.
    """
    if found.is_to_correct and silent:
        spoilt = {stem(problem.file) for problem in problems}
        if untouched := [file for file in silent if stem(file) not in spoilt]:
            notes.append(
                f"Left out: {_IMAGES.count(len(untouched))} that nobody saved a correction of, such as {untouched[0]}"
            )
        return set(silent)
    if found.masks:
        remedy = "no mask. Draw one, all black if it holds no nanotube, or leave the image out"
        problems += [BadSample(ids[file], file, remedy) for file in silent]
    elif any(name.lower().endswith(".csv") and name.split("/")[-1].lower() != FIELDS for name in found.truths):
        for file in silent:
            row = f"{PurePosixPath(file).name},,,,"
            problems.append(BadSample(ids[file], file, f"no row in the table. Add `{row}` if it holds no nanotube"))
    elif silent:
        notes.append(f"Left out: {_IMAGES.count(len(silent))} without annotation, such as {silent[0]}")
        return set(silent)
    return set()


def _forms() -> str:
    return (
        "Lay it out as images/x.tif with masks/x.png, with a table image,y0,x0,y1,x1 or image,tube,uncertain,polyline, "
        "with JSON of COCO, LabelMe or Label Studio, with x.geojson or x.zip of lines of QuPath or Fiji, or as "
        "positive/ and negative/; docs/nanotubes-data.md shows each"
    )
