"""Datasets of nanotubes as people have them, read image by image; which file is what is found in `tube_layout.py`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nanonuclei.config.channels import NO_CHANNEL
from nanonuclei.data.archives import Files, Limits, content_of, open_files
from nanonuclei.data.catalog import BadSample
from nanonuclei.data.corrected.shapes import other_size
from nanonuclei.data.files.reading import Channels, read_channels, read_values
from nanonuclei.data.files.source import existing_source
from nanonuclei.errors import DataError
from nanonuclei.imaging.types import Float32Array, Labels, UInt16Array
from nanonuclei.tasks.dataset import SIMULATED
from nanonuclei.tasks.nanotubes.data_config import ChannelsConfig, SimulatedNanotubesConfig
from nanonuclei.tasks.nanotubes.lines.line import Line, cells_joined, measure
from nanonuclei.tasks.nanotubes.simulate.images import MEMBRANE, NUCLEI, NanotubeSettings, simulate_nanotubes
from nanonuclei.tasks.nanotubes.sources.annotations import Marks, Polyline
from nanonuclei.tasks.nanotubes.sources.centre_lines import as_line, outside, paint_lines
from nanonuclei.tasks.nanotubes.sources.layout import ImageEntry, Layout, find_layout
from nanonuclei.tasks.nanotubes.sources.masks import MAX_LABEL, as_labels
from nanonuclei.tasks.nanotubes.sources.samples import TubeSample, TubeTruth

TNT_ARCHIVE = "tnt/tnt.zip"
"""Where images of nanotubes lie below the data folder."""
ARCHIVE_LIMITS = Limits(file=2 * 2**30, total=64 * 2**30, ratio=1100)
"""Stitched images are large, masks are nearly empty: deflate cannot pack more than 1 to 1032, so that any may come."""

SLACK = 1.0
"""Boxes may reach so far beyond their image, px: drawing tools round. They are cut off at its border."""


def tnt_source(source: str) -> Path:
    """Returns the path of images of nanotubes with their annotations.

    Raises:
        DataError: It does not exist.
    """
    forms = "simulated or the path of a folder, a zip or a JSON file of annotations"
    hint = "No dataset of nanotubes is public; docs/nanotubes-data.md says how to make one"
    return existing_source(source, forms, words=(SIMULATED,), hint=hint)


@contextlib.contextmanager
def open_tnt(path: Path) -> Iterator[tuple[Files, Layout]]:
    """Opens a dataset of nanotubes, see `tube_layout` for its forms.

    Args:
        path: A folder or a zip.

    Yields:
        The open files and what they are.

    Raises:
        DataError: The path cannot be read, or is no dataset of nanotubes.
    """
    with open_files(path, limits=ARCHIVE_LIMITS) as files:
        yield files, find_layout(files)


def read_tnt(path: Path, channels: ChannelsConfig) -> Iterator[TubeSample | BadSample]:
    """Reads a dataset of nanotubes image by image, one at a time in memory.

    Args:
        path: A folder or a zip.
        channels: Which channels are read.

    Yields:
        Problems of the dataset, then in order of the sample ids either the sample or its problems.

    Raises:
        DataError: The dataset as a whole cannot be read. Raised with the first item.
    """
    with open_tnt(path) as (files, layout):
        yield from layout.problems
        for entry in layout.entries:
            problems: list[BadSample] = []
            sample = read_entry(files, entry, channels, problems)
            if problems or sample is None:
                yield from problems
            else:
                yield sample


def simulated_tubes(config: SimulatedNanotubesConfig, *, seed: int) -> Iterator[TubeSample]:
    """Draws the embedded dataset, with the exact lines and the cells that they join.

    Args:
        config: How many images of what kind.
        seed: Seed of all randomness.
    """
    values = config.model_dump()
    num_images = values.pop("num_images")
    for drawn in simulate_nanotubes(num_images, settings=NanotubeSettings(**values), seed=seed):
        truth = TubeTruth(
            kind="mask",
            labels=drawn.tube_labels(),
            lines=tuple(tube.line for tube in drawn.tubes),
            joins=tuple(tube.cells for tube in drawn.tubes),
            pixel_size=None,
            num_cells=num_labels(drawn.cells),
        )
        yield TubeSample(
            sample_id=drawn.sample_id,
            image=np.ascontiguousarray(drawn.image[..., MEMBRANE]),
            truth=truth,
            group=drawn.sample_id,
            nuclei=np.ascontiguousarray(drawn.image[..., NUCLEI]),
            cells=drawn.cells,
        )


def traced(labels: Labels, cells: Labels | None) -> tuple[tuple[Line, ...], tuple[tuple[int, int], ...]]:
    """Returns the centre line of each object of a label map, and the two cells at its ends, 0 where there is none."""
    measures = measure(labels, cells) if labels.any() else []
    return tuple(one.line for one in measures), tuple(one.cells for one in measures)


def num_labels(labels: Labels) -> int:
    """Returns how many labels above 0 a label map holds."""
    return int(np.count_nonzero(np.bincount(labels.ravel())[1:]))


def paint_boxes(boxes: Float32Array, shape: tuple[int, int]) -> UInt16Array:
    """Returns ``(height, width)`` uint16: box i filled with i + 1, with all pixels that it touches."""
    labels = np.zeros(shape, np.uint16)
    for label, (y0, x0, y1, x1) in enumerate(boxes.astype(np.float64), start=1):
        labels[int(y0) : int(np.ceil(y1)), int(x0) : int(np.ceil(x1))] = label
    return labels


def read_entry(
    files: Files, entry: ImageEntry, channels: ChannelsConfig, problems: list[BadSample]
) -> TubeSample | None:
    """Reads one image of a dataset, with what is true of it.

    Args:
        files: The open dataset.
        entry: The image.
        channels: Which channels are read.
        problems: Takes what is wrong with it.

    Returns:
        The sample, whether or not there are problems; None where nothing can be read.
    """

    def found(file: str, problem: str) -> None:
        problems.append(BadSample(entry.sample_id, file, problem))

    def labels_of(file: str, shape: tuple[int, ...] | None) -> UInt16Array | None:
        try:
            labels = as_labels(read_values(content_of(files, file), exact=True))
        except DataError as error:
            found(file, str(error))
            return None
        if shape is not None and labels.shape != shape:
            found(file, f"has {_size(labels.shape)} px, its image {_size(shape)} px (width x height). Make them alike")
            return None
        return labels

    planes = _planes(files, entry, channels, problems)
    mask, cells = (
        labels_of(file, planes.images[0].shape if planes else None) if file is not None else None
        for file in (entry.mask, entry.cells)
    )
    if planes is None:
        return None
    image = planes.images[0]
    shape = (image.shape[0], image.shape[1])
    num_cells = num_labels(cells) if cells is not None else None
    if entry.mask is not None:
        if mask is None:
            return None
        lines, joins = traced(mask, cells)
        truth = TubeTruth("mask", mask, lines, joins, planes.pixel_size, num_cells)
    elif entry.marks is not None and entry.marks.lines is not None:
        sure, doubtful = (_lines(entry, drawn, shape, problems) for drawn in (entry.marks.lines, entry.marks.doubtful))
        labels = paint_lines(sure, shape)
        joins = ((0, 0),) * len(sure) if cells is None else tuple(cells_joined(line, cells) for line in sure)
        truth = TubeTruth("mask", labels, sure, joins, planes.pixel_size, num_cells, doubtful=doubtful)
    elif entry.marks is not None:
        boxes = _boxes(entry, entry.marks, shape, problems)
        truth = TubeTruth("boxes", paint_boxes(boxes, shape), (), (), planes.pixel_size, num_cells, boxes)
    else:
        labels = np.full(shape, bool(entry.patch), np.uint16)
        truth = TubeTruth("patch", labels, (), (), planes.pixel_size, num_cells)
    nuclei = planes.images[1] if len(planes.images) > 1 else None
    return TubeSample(entry.sample_id, image, truth, entry.group, nuclei, cells, entry.file)


def _planes(files: Files, entry: ImageEntry, channels: ChannelsConfig, problems: list[BadSample]) -> Channels | None:
    wanted = [channels.tubes] if channels.nuclei == NO_CHANNEL else [channels.tubes, channels.nuclei]
    try:
        return read_channels(content_of(files, entry.file), wanted)
    except DataError as error:
        problems.append(BadSample(entry.sample_id, entry.file, str(error)))
        return None


def _lines(
    entry: ImageEntry, drawn: tuple[Polyline, ...], shape: tuple[int, int], problems: list[BadSample]
) -> tuple[Line, ...]:
    """Returns the centre lines of an image, and tells which do not belong to it."""
    if _too_many(entry, len(drawn), problems):
        return ()
    if entry.marks is not None and entry.marks.size not in (None, shape) and drawn is entry.marks.lines:
        problem = f"lines of {entry.marks.origin} were {other_size(entry.marks.size, shape)}"
        problems.append(BadSample(entry.sample_id, entry.file, problem))
        return ()
    lines = []
    for polyline in drawn:
        if not outside(polyline, shape):
            lines.append(as_line(polyline))
        else:
            (x0, y0), (x1, y1) = polyline[0], polyline[-1]
            ends = f"from {x0:g}, {y0:g} to {x1:g}, {y1:g} (x, y)"
            origin = entry.marks.origin if entry.marks is not None else "it"
            problem = f"polyline {ends} lies outside of the image, {_size(shape)} px. Correct {origin}"
            problems.append(BadSample(entry.sample_id, entry.file, problem))
    return tuple(lines)


def _too_many(entry: ImageEntry, number: int, problems: list[BadSample]) -> bool:
    """Tells where an image has more nanotubes than a label map can number."""
    if number > MAX_LABEL:
        problem = f"{number:,} nanotubes, more than the {MAX_LABEL:,} that fit. Cut the image into parts"
        problems.append(BadSample(entry.sample_id, entry.file, problem))
    return number > MAX_LABEL


def _boxes(entry: ImageEntry, marks: Marks, shape: tuple[int, int], problems: list[BadSample]) -> Float32Array:
    """Returns the boxes of an image, cut off at its border, and tells which do not belong to it."""
    if marks.size is not None and marks.size != shape:
        problem = (
            f"was marked with {_size(marks.size)} px ({marks.origin}), but has {_size(shape)} px (width x height). "
            f"Put the image back that was marked"
        )
        problems.append(BadSample(entry.sample_id, entry.file, problem))
    if _too_many(entry, len(marks.boxes), problems):
        return np.zeros((0, 4), np.float32)
    boxes = np.array(marks.boxes, np.float64).reshape(-1, 4)
    limits = np.array([*shape, *shape], np.float64)
    outside = ((boxes < -SLACK) | (boxes > limits + SLACK)).any(axis=1)
    for box in boxes[outside]:
        text = ", ".join(f"{value:g}" for value in box)
        problem = f"box {text} (y0, x0, y1, x1) lies outside of the image, {_size(shape)} px. Correct {marks.origin}"
        problems.append(BadSample(entry.sample_id, entry.file, problem))
    cut: NDArray[np.float64] = np.clip(boxes, 0.0, limits)
    return cut[(cut[:, 2:] > cut[:, :2]).all(axis=1)].astype(np.float32)


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]}"
