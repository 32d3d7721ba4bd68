"""Which images of nanotubes train, which choose and which judge: fields of view apart, or quadrants of large images."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from nanonuclei.config.shared import SplitConfig
from nanonuclei.data.catalog import SPLITS, BadSample
from nanonuclei.data.splits import split_by_field
from nanonuclei.errors import DataError
from nanonuclei.imaging.instances import sequential
from nanonuclei.tasks.nanotubes.lines.line import Line
from nanonuclei.tasks.nanotubes.sources.images import num_labels, paint_boxes, traced
from nanonuclei.tasks.nanotubes.sources.samples import Kind, TubeSample, TubeTruth


@dataclass(frozen=True)
class TubeFacts:
    """What dealing out asks of one image.

    Attributes:
        sample_id: Its name.
        group: Name of its field of view.
        twin: Digest of its pixels; images of equal pixels stay together.
        kind: Kind of its truth.
        num_tubes: Nanotubes in it; of a patch 1 or 0.
        neighbours: Number that it shares with patches cut from beside it; None where that is not known.
        overlapping: Number that it shares with patches that hold some of its pixels; likewise.
    """

    sample_id: str
    group: str
    twin: str
    kind: Kind
    num_tubes: int
    neighbours: int | None = None
    overlapping: int | None = None


def cut_quadrants(sample: TubeSample, *, gap: int) -> tuple[TubeSample, ...]:
    """Cuts an image in four, with an empty cross between the parts, so that no window reaches into two of them.

    Args:
        sample: An image whose truth is a mask or boxes.
        gap: Width of the cross, px.

    Returns:
        Upper left, upper right, lower left, lower right, each a field of view of its own. Nanotubes
        are numbered and their lines traced anew, as they may be cut.

    Raises:
        DataError: The image is too small, or a patch.
    """
    height, width = sample.image.shape[:2]
    if sample.truth.kind == "patch":
        raise DataError("a patch cannot be cut into quadrants. Take data.split_by=image")
    if min(height, width) < gap + 2:
        raise DataError(
            f"{width}x{height} px leave no quadrants beside {gap} px between them. Take data.split_by=image"
        )
    rows, columns = ((slice(0, (side - gap) // 2), slice(side - (side - gap) // 2, side)) for side in (height, width))
    return tuple(
        _cut(sample, (row, column), name=f"{sample.sample_id}_{place}")
        for place, (row, column) in zip(
            ("nw", "ne", "sw", "se"), ((row, column) for row in rows for column in columns), strict=True
        )
    )


def split_tubes(facts: Sequence[TubeFacts], *, shares: SplitConfig, seed: int) -> tuple[list[int], list[str]]:
    """Deals images to the splits; images with and without nanotubes each have the asked shares, as far as they go.

    Images of one field of view, of equal pixels, or cut from beside or over each other stay together.

    Args:
        facts: One per image, in a reproducible order.
        shares: Share of the images per split.
        seed: Seed of the draw.

    Returns:
        Number of the field of view and name of the split, per image.

    Raises:
        DataError: There are fewer than three fields of view.
    """
    fields = unite(facts)
    strata = ["with" if one.num_tubes else "without" for one in facts]
    return fields, split_by_field(fields, strata, shares=shares, seed=seed)


def missing_classes(facts: Sequence[TubeFacts], splits: Sequence[str]) -> list[BadSample]:
    """Returns a row per split that holds no nanotube, or nothing but patches with nanotubes."""
    problems = []
    for split in SPLITS:
        own = [one for one, name in zip(facts, splits, strict=True) if name == split]
        positive = sum(one.num_tubes > 0 for one in own)
        lacks = ""
        if not positive:
            lacks = "a nanotube"
        elif positive == len(own) and all(one.kind == "patch" for one in own):
            lacks = "a patch without a nanotube"
        if lacks:
            problem = f"its {len(own)} images lack {lacks}. Add such images, or change seed or data.split"
            problems.append(BadSample(split, f"split {split}", problem))
    return problems


def _cut(sample: TubeSample, part: tuple[slice, slice], *, name: str) -> TubeSample:
    truth = sample.truth
    cells = None if sample.cells is None else np.ascontiguousarray(sample.cells[part])
    num_cells = None if truth.num_cells is None or cells is None else num_labels(cells)
    if truth.kind == "boxes":
        corner = np.array([part[0].start, part[1].start] * 2, np.float32)
        shape = (part[0].stop - part[0].start, part[1].stop - part[1].start)
        boxes = np.clip(truth.boxes - corner, 0, np.array(shape * 2, np.float32))
        boxes = boxes[(boxes[:, 2:] > boxes[:, :2]).all(axis=1)]
        cut = TubeTruth("boxes", paint_boxes(boxes, shape), (), (), truth.pixel_size, num_cells, boxes)
    else:
        labels = sequential(truth.labels[part])[0].astype(np.uint16)
        lines, joins = traced(labels, cells)
        doubtful = tuple(piece for line in truth.doubtful for piece in _inside(line, part))
        cut = TubeTruth("mask", labels, lines, joins, truth.pixel_size, num_cells, doubtful=doubtful)
    nuclei = None if sample.nuclei is None else np.ascontiguousarray(sample.nuclei[part])
    return TubeSample(name, np.ascontiguousarray(sample.image[part]), cut, name, nuclei, cells)


def _inside(line: Line, part: tuple[slice, slice]) -> list[Line]:
    """Returns the pieces of a line within a part of the image, in its px."""
    low, high = (np.array([getattr(side, end) for side in part]) for end in ("start", "stop"))
    within = ((line.points >= low) & (line.points <= high - 1)).all(axis=1)
    borders = np.flatnonzero(np.diff(within.astype(np.int8))) + 1
    pieces = zip(np.split(line.points, borders), np.split(within, borders), strict=True)
    return [
        Line((points - low).astype(np.float32), line.width) for points, kept in pieces if kept.all() and len(points)
    ]


def unite(facts: Sequence[TubeFacts]) -> list[int]:
    """Numbers fields of view from 0 in order of their first images; whatever two images share makes them one."""
    shared: dict[tuple[str, object], list[int]] = defaultdict(list)
    for place, one in enumerate(facts):
        shared["group", one.group].append(place)
        shared["twin", one.twin].append(place)
        for kind, number in (("neighbours", one.neighbours), ("overlapping", one.overlapping)):
            if number is not None:
                shared[kind, number].append(place)
    links = np.array([(places[0], place) for places in shared.values() for place in places[1:]], int).reshape(-1, 2)
    graph = scipy.sparse.coo_array((np.ones(len(links), bool), links.T), shape=(len(facts), len(facts)))
    _, fields = scipy.sparse.csgraph.connected_components(
        graph, directed=False
    )  # numbered in the order of their first nodes
    return [int(field) for field in fields]
