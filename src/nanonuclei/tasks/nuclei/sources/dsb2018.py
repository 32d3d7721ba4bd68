"""Datasets as they are distributed, read into samples in one pass; nothing is unpacked to disk."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from nanonuclei.data.archives import Files, open_files, open_inner_zip
from nanonuclei.data.catalog import BadSample, Sample
from nanonuclei.data.files.limits import ImageLimits
from nanonuclei.data.files.reading import read_single, read_values
from nanonuclei.data.files.source import existing_source
from nanonuclei.errors import DataError
from nanonuclei.imaging.types import Image
from nanonuclei.invocation import command
from nanonuclei.tasks.nuclei.sources.mask_files import MAX_OBJECTS, MaskKind, Painting, objects_of
from nanonuclei.tasks.nuclei.sources.sample_files import FORMS, IMAGES, MASKS, TRAIN, SampleFiles, below_train, group

WORDS = ("public", "kaggle")
"""Sources that are no paths."""
DSB2018_ARCHIVE = "dsb2018/stage1_train.zip"
"""Where the Data Science Bowl 2018 lies below the data folder."""
LIMITS = ImageLimits(num_pixels=2**26)
"""Largest image that is decoded."""
MAX_RATIO = 200
"""Most bytes of images and labels that one byte of an image file may become; the Data Science Bowl is near 10."""
RATIO_FLOOR = 256 * 2**20
"""Images and labels below this many bytes may have any ratio."""

LONGEST_ID = 200
"""Longest name of a sample, bytes; its files are called so, and file systems take 255."""

_TRAIN_ZIP = f"{TRAIN}.zip"
_NUM_THREADS = 4
_LOOK_AHEAD = 2 * _NUM_THREADS


def dsb2018_source(source: str) -> Path:
    """Returns the path of a zip or folder of the dataset.

    Raises:
        DataError: It does not exist.
    """
    forms = "public, kaggle or the path of a zip or folder"
    return existing_source(source, forms, words=WORDS)


@contextlib.contextmanager
def open_dsb2018(path: Path) -> Iterator[tuple[Files, dict[str, SampleFiles]]]:
    """Opens a dataset of images and masks; `sample_files.group` says in which layouts.

    Where a ``stage1_train.zip`` lies inside, as in the zip of the whole competition, that is opened. Leftovers of
    operating systems are passed over.

    Args:
        path: A zip or a folder.

    Yields:
        The open files and the samples among them, by sorted id.

    Raises:
        DataError: The path cannot be read or holds no sample.
    """
    with contextlib.ExitStack() as stack:
        files = stack.enter_context(open_files(path))
        inner = [name for name in files.names if name.split("/")[-1] == _TRAIN_ZIP]
        if inner and not any(below_train(name) for name in files.names):
            files = stack.enter_context(open_inner_zip(files, inner[0]))
        samples = group(files.names)
        if not samples:
            raise DataError(
                f"{path} must hold {FORMS}, but holds {len(files.names):,} files and no sample. Take stage1_train.zip "
                f"of the Data Science Bowl 2018, or run `{command('fetch', dataset='dsb2018')}`"
            )
        yield files, samples


def read_dsb2018(path: Path, *, masks: MaskKind = "one_per_nucleus") -> Iterator[Sample | BadSample]:
    """Reads the Data Science Bowl 2018, or a dataset laid out like it, sample by sample.

    Images of 8 or 16 bit come as ``(height, width)`` where they are grey, whatever the file says, else as RGB; an alpha
    channel is dropped. Numbers of other types become 16 bit. `mask_files.objects_of` says what a mask file is; objects
    are numbered by the sorted names of their masks. A pixel claimed twice goes to the first mask, which is a problem
    only above `mask_files.MAX_OVERLAP`.

    Args:
        path: A zip or a folder, see `open_dsb2018`.
        masks: What a mask file is.

    Yields:
        In order of the sample ids, either the sample, or a row for each of its problems.

    Raises:
        DataError: The dataset as a whole cannot be read, holds no sample, or becomes more than `MAX_RATIO` times as
            large in memory as it is on disk.
    """
    with open_dsb2018(path) as (files, samples), ThreadPoolExecutor(_NUM_THREADS) as pool:
        waiting: deque[Future[_Read]] = deque()
        guard = _Guard(path)
        try:
            for sample_id, parts in samples.items():
                waiting.append(pool.submit(_read_sample, files, sample_id, parts, masks))
                if len(waiting) > _LOOK_AHEAD:
                    yield from _rows(guard.passed(waiting.popleft().result()))
            while waiting:
                yield from _rows(guard.passed(waiting.popleft().result()))
        finally:
            for future in waiting:
                future.cancel()


class _Guard:
    """Refuses datasets that are small on disk and huge in memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._packed = self._unpacked = 0

    def passed(self, read: _Read) -> Sample | list[BadSample]:
        """Counts a sample and returns it."""
        self._packed += read.packed
        self._unpacked += read.unpacked
        if self._unpacked > max(RATIO_FLOOR, MAX_RATIO * self._packed):
            raise DataError(
                f"{self._path} unpacks from {self._packed:,} to more than {self._unpacked:,} bytes of images and "
                f"labels, more than {MAX_RATIO} times. Do not use this dataset"
            )
        return read.result


def _rows(result: Sample | list[BadSample]) -> Iterator[Sample | BadSample]:
    if isinstance(result, Sample):
        yield result
    else:
        yield from result


@dataclass(frozen=True)
class _Read:
    """What reading one sample gave.

    Attributes:
        result: The sample, or its problems.
        packed: Size of its image's file, bytes.
        unpacked: Size of its image and labels, bytes.
    """

    result: Sample | list[BadSample]
    packed: int
    unpacked: int


def _read_sample(files: Files, sample_id: str, parts: SampleFiles, masks: MaskKind) -> _Read:
    problems: list[BadSample] = []
    packed = 0

    def found(file: str, problem: str) -> None:
        problems.append(BadSample(sample_id, file, problem))

    def content(name: str) -> bytes | None:
        try:
            return files.read(name)
        except DataError as error:
            found(name, f"cannot be read: {error.__cause__ or error}")
        return None

    def where(folder: str) -> str:
        return f"{parts.folder}/{folder}".lstrip("/")

    if len(sample_id.encode()) > LONGEST_ID:
        found(where(""), f"a name of {len(sample_id.encode())} bytes, more than {LONGEST_ID}. Shorten it")
    image: Image | None = None
    if len(parts.images) == 1:
        (name,) = parts.images
        data = content(name)
        packed = len(data or b"")
        try:
            image = read_single(data, limits=LIMITS) if data is not None else None
        except DataError as error:
            found(name, str(error))
    elif parts.images:
        found(where(IMAGES), f"{len(parts.images)} images where one is expected")
    else:
        found(where(IMAGES), "no image")
    if not parts.masks:
        found(where(MASKS), "no mask")
    too_many = len(parts.masks) > MAX_OBJECTS
    if too_many:
        found(where(MASKS), f"{len(parts.masks):,} masks, more than the {MAX_OBJECTS:,} that fit")

    painting = None if image is None or too_many else Painting(image.shape[:2])
    for name in parts.masks:
        data = content(name)
        if data is None:
            continue
        try:
            values = read_values(data, limits=LIMITS, exact=True)
            objects = objects_of(values, masks, alone=len(parts.masks) == 1)
        except DataError as error:
            found(name, str(error))
            continue
        if not objects.any():
            found(name, "empty mask: no pixel is set")
        elif painting is not None:
            for problem in painting.add(name, objects):
                found(name, problem)
    unpacked = 0 if image is None else image.nbytes + 2 * image.shape[0] * image.shape[1]
    if problems or image is None or painting is None:
        return _Read(problems, packed, unpacked)
    return _Read(Sample(sample_id, image, painting.labels), packed, unpacked)
