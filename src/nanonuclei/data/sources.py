"""Datasets as they are distributed, read into samples in one pass; nothing is unpacked to disk."""

from __future__ import annotations

import contextlib
import struct
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tabulate import simple_separated_format, tabulate

from nanonuclei.data.archives import Files, open_files, open_inner_zip
from nanonuclei.data.catalog import BadSample, Sample
from nanonuclei.errors import DataError, nearest_name
from nanonuclei.imaging.types import Image, UInt16Array

DSB2018_ARCHIVE = "dsb2018/stage1_train.zip"
"""Where the Data Science Bowl 2018 lies below the data folder."""
TNT_ARCHIVE = "tnt/tnt.zip"
"""Where images of nanotubes lie below the data folder; `tube_sources.py` reads them."""
MAX_OVERLAP = 0.10
"""Most of the smaller of two masks that both may claim; above it one is taken to be a mistake. The corrected set
shares 9 px in all, so the figure separates slips of the brush from nuclei that were outlined twice."""
MAX_OBJECTS = 65_535
"""Most masks per image: what a uint16 label map can number."""
MAX_PIXELS = 2**26
"""Largest image that is decoded, px."""

_DATASETS = {"dsb2018": DSB2018_ARCHIVE, "tnt": TNT_ARCHIVE}
_TRAIN = "stage1_train"
_TRAIN_ZIP = f"{_TRAIN}.zip"
_IMAGES = "images"
_MASKS = "masks"
_NUM_THREADS = 4
_LOOK_AHEAD = 2 * _NUM_THREADS
_PNG_HEADER = struct.Struct(">16x2I")


@dataclass
class SampleFiles:
    """Which files make up one sample of the Data Science Bowl.

    Attributes:
        folder: Folder of the sample within the dataset.
        images: Paths within the dataset, sorted; one in a sound dataset.
        masks: Paths within the dataset, sorted; one per object.
    """

    folder: str
    images: list[str] = field(default_factory=list)
    masks: list[str] = field(default_factory=list)


@contextlib.contextmanager
def open_dsb2018(path: Path) -> Iterator[tuple[Files, dict[str, SampleFiles]]]:
    """Opens a dataset laid out as Kaggle does: ``.../<id>/images/*.png`` and ``.../<id>/masks/*.png``.

    Where some of it lies below a folder ``stage1_train``, only that counts. Where a ``stage1_train.zip`` lies inside
    instead, as in the zip of the whole competition, that is opened. Hidden files and those of macOS are passed over.

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
        if inner and not any(_below_train(name) for name in files.names):
            files = stack.enter_context(open_inner_zip(files, inner[0]))
        samples = _group(files.names)
        if not samples:
            raise DataError(
                f"{path} must hold <id>/images/<id>.png and <id>/masks/*.png, but holds {len(files.names):,} files and "
                f"no sample. Take stage1_train.zip of the Data Science Bowl 2018, or run: fetch dsb2018 --source public"
            )
        yield files, samples


def read_dsb2018(path: Path) -> Iterator[Sample | BadSample]:
    """Reads the Data Science Bowl 2018, or a dataset laid out like it, sample by sample.

    Images of 8 or 16 bit come as ``(height, width)`` where they are grey, whatever the file says, else as RGB; an alpha
    channel is dropped. Every nonzero pixel of a mask belongs to its object; objects are numbered by the sorted names of
    their masks. A pixel claimed twice goes to the first mask, which is a problem only above `MAX_OVERLAP`.

    Args:
        path: A zip or a folder, see `open_dsb2018`.

    Yields:
        In order of the sample ids, either the sample, or a row for each of its problems.

    Raises:
        DataError: The dataset as a whole cannot be read, or holds no sample. Raised with the first item.
    """
    with open_dsb2018(path) as (files, samples), ThreadPoolExecutor(_NUM_THREADS) as pool:
        waiting: deque[Future[Sample | list[BadSample]]] = deque()
        try:
            for sample_id, parts in samples.items():
                waiting.append(pool.submit(_read_sample, files, sample_id, parts))
                if len(waiting) > _LOOK_AHEAD:
                    yield from _rows(waiting.popleft().result())
            while waiting:
                yield from _rows(waiting.popleft().result())
        finally:
            for future in waiting:
                future.cancel()


def locate_dataset(name: str, data: Path) -> Path | None:
    """Says where a dataset lies below the data folder.

    Args:
        name: ``dsb2018`` or ``tnt``.
        data: The data folder.

    Returns:
        The path to read from, None where the dataset has not been fetched.

    Raises:
        DataError: No dataset has this name.
    """
    if name not in _DATASETS:
        raise DataError(f"no real dataset is called {name!r}. {nearest_name(name, _DATASETS)}")
    path = data / _DATASETS[name]
    return path if path.is_file() else None


def problems_table(problems: Sequence[BadSample], *, most: int = 50) -> str:
    """Lays out problems as plain text: a line that counts them, then a row for each, file and problem aligned.

    Args:
        problems: What was found.
        most: Rows to show; a last line says how many more there are.
    """
    samples = len({problem.sample_id for problem in problems})
    lines = [f"{_count(len(problems), 'problem')} in {_count(samples, 'sample')}"]
    rows = [(problem.file, problem.problem) for problem in problems[:most]]
    if problems:
        lines.append(
            tabulate(rows, headers=("file", "problem"), tablefmt=simple_separated_format(" | "), disable_numparse=True)
        )
    if len(problems) > most:
        lines.append(f"... and {len(problems) - most:,} more")
    return "\n".join(lines)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _below_train(name: str) -> bool:
    parts = name.split("/")
    return _is_part_of_sample(parts) and _TRAIN in parts[:-3]


def _is_part_of_sample(parts: Sequence[str]) -> bool:
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
    return len(parts) >= 3 and parts[-2] in (_IMAGES, _MASKS) and not hidden


def _group(names: Sequence[str]) -> dict[str, SampleFiles]:
    wanted = [name for name in names if _below_train(name)]
    samples: dict[str, SampleFiles] = {}
    for name in wanted or names:
        parts = name.split("/")
        if not _is_part_of_sample(parts):
            continue
        sample = samples.setdefault(parts[-3], SampleFiles("/".join(parts[:-2])))
        if name.lower().endswith(".png"):
            (sample.images if parts[-2] == _IMAGES else sample.masks).append(name)
    return dict(sorted(samples.items()))


def _rows(result: Sample | list[BadSample]) -> Iterator[Sample | BadSample]:
    if isinstance(result, Sample):
        yield result
    else:
        yield from result


def _read_sample(files: Files, sample_id: str, parts: SampleFiles) -> Sample | list[BadSample]:
    problems: list[BadSample] = []

    def found(file: str, problem: str) -> None:
        problems.append(BadSample(sample_id, file, problem))

    def decoded(name: str) -> Image | None:
        try:
            return _decode(files.read(name))
        except DataError as error:
            found(name, f"cannot be read: {error.__cause__ or error}")
        except ValueError as error:
            found(name, str(error))
        return None

    image: Image | None = None
    if len(parts.images) == 1:
        image = decoded(parts.images[0])
    elif parts.images:
        found(f"{parts.folder}/{_IMAGES}", f"{len(parts.images)} images where one is expected")
    else:
        found(f"{parts.folder}/{_IMAGES}", "no PNG image")
    if not parts.masks:
        found(f"{parts.folder}/{_MASKS}", "no PNG mask")
    too_many = len(parts.masks) > MAX_OBJECTS
    if too_many:
        found(f"{parts.folder}/{_MASKS}", f"{len(parts.masks):,} masks, more than the {MAX_OBJECTS:,} that fit")

    painting = None if image is None or too_many else _Painting(image.shape[:2])
    for name in parts.masks:
        mask = decoded(name)
        if mask is None:
            continue
        inside = _is_set(mask)
        if not inside.any():
            found(name, "empty mask: no pixel is set")
        elif painting is not None:
            for problem in painting.add(name, inside):
                found(name, problem)
    if problems or image is None or painting is None:
        return problems
    return Sample(sample_id, _as_stored(image), painting.labels)


class _Painting:
    """The label map of one image while its masks are painted into it, first come, first served."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.labels: UInt16Array = np.zeros(shape, np.uint16)
        self._names: list[str] = []
        self._areas: list[int] = []

    def add(self, name: str, mask: NDArray[np.bool_]) -> Iterator[str]:
        """Paints one mask and yields its problems."""
        if mask.shape != self.labels.shape:
            yield f"mask has {_size(mask.shape)} px, its image {_size(self.labels.shape)} px (width x height)"
            return
        pixels = np.flatnonzero(mask)
        flat = self.labels.reshape(-1)
        taken = flat[pixels]
        free = pixels[taken == 0]
        self._names.append(name)
        self._areas.append(len(pixels))
        flat[free] = len(self._names)
        if len(free) == len(pixels):
            return
        too_much = list(self._overlaps(taken, area=len(pixels)))
        yield from too_much
        if not too_much and not len(free):
            yield "covered by other masks: no pixel is left"

    def _overlaps(self, taken: UInt16Array, *, area: int) -> Iterator[str]:
        shared = np.bincount(taken)
        for other in np.flatnonzero(shared[1:]):
            share = int(shared[other + 1]) / min(area, self._areas[other])
            if share > MAX_OVERLAP:
                yield (
                    f"shares {shared[other + 1]:,} px with {self._names[other].split('/')[-1]}, "
                    f"{share:.0%} of the smaller mask; at most {MAX_OVERLAP:.0%} are taken for a slip"
                )


def _size(shape: Sequence[int]) -> str:
    return f"{shape[1]}x{shape[0]}"


def _decode(content: bytes) -> Image:
    """Decodes an image file as it is; colour in the order of OpenCV. A ValueError says in a few words why it cannot."""
    if len(content) < _PNG_HEADER.size:
        raise ValueError(f"not an image: {len(content)} bytes")
    width, height = _PNG_HEADER.unpack_from(content)
    if content.startswith(b"\x89PNG") and width * height > MAX_PIXELS:
        raise ValueError(f"{width}x{height} px, more than the {MAX_PIXELS:,} px that are decoded")
    try:
        image: Image | None = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ValueError(f"not a readable image: {error.err}") from error
    if image is None:
        raise ValueError("not a readable image: damaged, cut short or of another format")
    if image.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"pixels of type {image.dtype}; 8 or 16 bit are read")
    return image


def _is_set(mask: Image) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = mask != 0
    return inside if inside.ndim == 2 else np.any(inside[..., :3], axis=-1)


def _as_stored(image: Image) -> Image:
    """Turns what OpenCV decodes into grey where the channels agree, else into RGB."""
    if image.ndim == 2:
        return image
    blue, green, red = (image[..., channel] for channel in range(3))
    if np.array_equal(blue, green) and np.array_equal(green, red):
        return np.ascontiguousarray(blue)
    return np.ascontiguousarray(image[..., 2::-1])
