"""Puts a user's corrected images in place: read, checked, dealt to splits, and added to those of before."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from nanonuclei.data.archives import Files, open_files, write_zip
from nanonuclei.data.catalog import BadSample, Sample
from nanonuclei.data.corrected.changes import Changes, changes
from nanonuclei.data.corrected.held_out import SPLITS, deal, splits_table
from nanonuclei.data.corrected.manifest import MANIFEST, PREDICTED, Manifest, check_is_whole, read_manifest
from nanonuclei.data.fields import find_fields
from nanonuclei.data.files.reading import read_single, read_values
from nanonuclei.data.problems import Fetched, problems_table
from nanonuclei.errors import DataError
from nanonuclei.imaging.types import Image, Labels
from nanonuclei.tasks.nuclei.reader import NOUN
from nanonuclei.tasks.nuclei.sources.corrected_files import FORMS, LIMITS, Corrected, group
from nanonuclei.tasks.nuclei.sources.mine import MINE, MINE_ARCHIVE, mine_source, read_mine, read_splits
from nanonuclei.tasks.values import Noun
from nanonuclei.writing import whole_file

_IMAGES = Noun("image", "images")
_UNSAFE = re.compile(r"[^\w.-]+")


@dataclass(frozen=True)
class _Result:
    sample: Sample
    changed: Changes | None


def fetch_mine(source: str, data: Path, *, report: Callable[[str], None] = print) -> Fetched:
    """Reads corrected images and adds them to ``mine/images.zip`` below the data folder.

    An image that is there already is replaced, and stays in its split; all others of before are kept. Where all are
    there already and unchanged, the archive stays as it is. New fields of view are dealt so that the shares of the
    splits are right.

    Args:
        source: A folder or zip, see `corrected_files.group`.
        data: The data folder.
        report: Takes one line per step.

    Returns:
        The archive, and what is left out of the images of this source.

    Raises:
        DataError: There is no image that can be used, nothing was corrected, or there are too few images to hold some
            out. The message lists files and remedies.
    """
    path = mine_source(source)
    check_is_whole(path)
    target = data / MINE_ARCHIVE
    results: list[_Result] = []
    problems: list[BadSample] = []
    good: set[str] = set()
    with open_files(path) as files:
        manifest = read_manifest(files.read(MANIFEST)) if MANIFEST in files.names else None
        if manifest is not None:
            manifest.check(MINE)
        images, lost = group(files)
        problems += [BadSample(name, name, text) for name, text in lost]
        untouched = sum(not _saved(one, files, manifest) for one in images.values())
        taken: dict[str, str] = {}
        for one in images.values():
            for read in _read(one, files, manifest):
                if isinstance(read, BadSample):
                    problems.append(read)
                elif (other := taken.setdefault(read.sample.sample_id, one.image)) == one.image:
                    results.append(read)
                    good.add(one.key)
                else:
                    same = f"would be stored as {read.sample.sample_id}, as {other} is. Rename one of them"
                    problems.append(BadSample(one.key, one.image, same))
    table = problems_table(problems) if problems else ""
    if not results:
        raise DataError(_nothing(path, images, untouched, manifest, table))
    if table:
        report(f"{table}\nMend them and fetch again; their images are left out")
    report(_changed(results, untouched))
    known = [one.changed for one in results if one.changed is not None]
    if known and len(known) == len(results) and not sum(known, Changes()).number:
        raise DataError(
            f"{path} holds no change against the prediction: there is nothing to learn from. Correct objects, save or "
            "export them into that folder, and fetch again"
        )
    _put([one.sample for one in results], target, report)
    return Fetched(target, frozenset(good), tuple(problems))


def _saved(one: Corrected, files: Files, manifest: Manifest | None) -> bool:
    """Returns whether somebody saved a corrected file of an image; one that cannot be read is not as it was written."""
    return bool(_saved_files(one, files, manifest))


def _saved_files(one: Corrected, files: Files, manifest: Manifest | None) -> list[str]:
    return [name for name in one.files if manifest is None or not _is_untouched(name, files, manifest)]


def _is_untouched(name: str, files: Files, manifest: Manifest) -> bool:
    try:
        return manifest.is_untouched(name, files.read(name))
    except DataError:  # told where it is read
        return False


def _read(one: Corrected, files: Files, manifest: Manifest | None) -> Iterator[_Result | BadSample]:
    names = _saved_files(one, files, manifest)
    if not names:
        return
    if len(names) > 1:
        yield BadSample(
            one.key, one.image, f"has several corrected files, {', '.join(sorted(names))}. Keep one of them"
        )
        return
    name = names[0]
    try:
        image = read_single(files.read(one.image), limits=LIMITS)
    except DataError as error:
        yield BadSample(one.key, one.image, str(error))
        return
    try:
        labels = one.files[name]((image.shape[0], image.shape[1]))
    except DataError as error:
        yield from (BadSample(one.key, name, line) for line in str(error).split("\n"))
        return
    if not labels.any():
        yield BadSample(one.key, name, "holds no object. Leave the image out, or draw what is in it")
        return
    sample = Sample(_UNSAFE.sub("_", one.key), image, labels)
    yield _Result(sample, _changes(one.key, files, labels))


def _changes(key: str, files: Files, labels: Labels) -> Changes | None:
    name = f"{PREDICTED}/{key}.png"
    if name not in files.names:
        return None
    try:
        predicted = read_values(files.read(name), limits=LIMITS)
    except DataError:  # what was changed is not known then; the correction counts all the same
        return None
    return changes(predicted, labels) if predicted.shape == labels.shape else None


def _changed(results: Sequence[_Result], untouched: int) -> str:
    """Returns what was changed against the prediction, a line per image where that is known."""
    lines = [f"Corrected: {_IMAGES.count(len(results))}"]
    if untouched:
        lines.append(f"Left out: {_IMAGES.count(untouched)} that nobody saved a correction of")
    told = [one for one in results if one.changed is not None]
    for one in told:
        lines.append(f"  {one.sample.sample_id}: {one.changed}")
    if told:
        lines.append(f"in all: {sum((one.changed or Changes() for one in told), Changes())}")
    return "\n".join(lines)


def _nothing(path: Path, images: dict[str, Corrected], untouched: int, manifest: Manifest | None, table: str) -> str:
    if table:
        return f"{path} must hold a corrected image that can be used, but holds none. {table}"
    if not images:
        return f"{path} must hold images and {FORMS}, but holds no image"
    if manifest is not None and untouched == len(images):
        return (
            f"{path} is as it was written: none of its {_IMAGES.count(untouched)} was corrected. Save or export what "
            "you corrected into that folder, and fetch again"
        )
    return f"{path} holds {_IMAGES.count(len(images))} but nothing that says where their nuclei are. Needed is {FORMS}"


def _put(new: Sequence[Sample], target: Path, report: Callable[[str], None]) -> None:
    before = read_splits(target) if target.is_file() else {}
    replaced = {sample.sample_id for sample in new}
    old: list[Sample] = []
    for one in read_mine(target) if target.is_file() else ():
        if isinstance(one, BadSample):
            raise DataError(
                f"{target} must hold the images of before whole, but {one.file}: {one.problem}. Bring it back from a "
                "copy, or move it away to begin anew"
            )
        old.append(one)
    there = {one.sample_id: one for one in old}
    same = sum(_is_same(one, there.get(one.sample_id)) for one in new)
    if same == len(new):
        report(f"{target} holds {_these(same)} already, unchanged: nothing to do. It holds {_IMAGES.count(len(old))}")
        return
    samples = sorted([*(s for s in old if s.sample_id not in replaced), *new], key=lambda sample: sample.sample_id)
    fields = find_fields([sample.image for sample in samples]).tolist()
    splits = deal(
        [sample.sample_id for sample in samples], fields, {name: split for name, (_, split) in before.items()}
    )
    dealt = [(s.sample_id, field, split) for s, field, split in zip(samples, fields, splits, strict=True)]
    with whole_file(target) as temporary:
        write_zip(temporary, _entries(samples, splits_table(dealt)))
    counts = {split: splits.count(split) for split in ("train", "val", "test")}
    num_nuclei = sum(int(np.count_nonzero(np.bincount(s.labels.ravel())[1:])) for s in samples)
    report(
        f"{target}: {_IMAGES.count(len(samples))} ({_told(len(new) - same, same)}), {NOUN.count(num_nuclei)}; "
        f"{counts['train']} to train, {counts['val']} to say when to end, {counts['test']} held out"
    )


def _told(changed: int, same: int) -> str:
    return f"{changed} new or corrected again" + (f", {same} there already, unchanged" if same else "")


def _these(number: int) -> str:
    return "this image" if number == 1 else f"these {number} images"


def _is_same(new: Sample, old: Sample | None) -> bool:
    """Tells whether a sample that is there is the same, whatever the numbers of its objects."""
    if old is None or new.image.dtype != old.image.dtype or not np.array_equal(new.image, old.image):
        return False
    here, there = (np.unique(one.labels, return_inverse=True)[1].reshape(one.labels.shape) for one in (new, old))
    return bool(np.array_equal(here, there))


def _entries(samples: Sequence[Sample], table: bytes) -> Iterator[tuple[str, bytes]]:
    for sample in samples:
        yield f"{sample.sample_id}/images/{sample.sample_id}.png", _png(sample.image)
        yield f"{sample.sample_id}/masks/labels.png", _png(sample.labels)
    yield SPLITS, table


def _png(image: Image | Labels) -> bytes:
    shown = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    return bytes(cv2.imencode(".png", shown)[1].tobytes())
