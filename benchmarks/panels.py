"""Published panels with nanotubes marked as centre lines: reading them, and scoring predicted lines against them.

A folder holds ``annotations.csv`` (columns ``panel`` or ``image``, ``tube``, ``uncertain``, ``polyline``), images as
``panels/NAME.png``, and ``panels.csv`` (columns ``panel``, ``doi``, ``arrow_boxes``).

A true nanotube is found where at least half of it lies within `TOLERANCE` px of a predicted line. A predicted line is
right where at least half of it lies so near to true or doubtful ones. Lines within arrows that are burnt into a panel
are not counted. Doubtful nanotubes never count as missed; hits on them count as right, or not at all (``strict``).
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.morphology import skeletonize

from nanonuclei.errors import DataError

TOLERANCE = 4.0
"""Distance within which lines agree, px."""

SHORT = 8
"""Predicted pieces of fewer pixels are dropped."""

COUNTS = ("found", "tubes", "right", "lines", "only_doubtful")
"""What is counted in a panel; counts add up."""

Points = NDArray[np.float64]
"""``(n, 2)``, x and y in px."""


@dataclass(frozen=True)
class Panel:
    """One panel with its marks.

    Attributes:
        name: Its name.
        paper: The paper that it is from: panels of one paper are alike.
        image: ``(height, width)``, or ``(height, width, 3)`` RGB, uint8.
        sure: Centre lines of the nanotubes, points 1 px apart.
        doubtful: Likewise, of what may be one.
        arrows: Boxes x0, y0, x1, y1 of what is burnt into the panel, px.
    """

    name: str
    paper: str
    image: NDArray[np.uint8]
    sure: tuple[Points, ...]
    doubtful: tuple[Points, ...]
    arrows: tuple[tuple[int, int, int, int], ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width, px."""
        return self.image.shape[0], self.image.shape[1]


def read_panels(folder: Path) -> list[Panel]:
    """Reads all panels of a folder.

    Raises:
        DataError: A table or an image is missing.
    """
    try:
        with (folder / "panels.csv").open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        with (folder / "annotations.csv").open(encoding="utf-8") as file:
            marks = list(csv.DictReader(file))
    except OSError as error:
        raise DataError(f"{folder} must hold panels.csv and annotations.csv: {error}. Give another folder") from error
    lines: dict[tuple[str, bool], list[Points]] = {}
    for mark in marks:
        key = (mark.get("panel") or mark["image"], mark["uncertain"] == "1")
        lines.setdefault(key, []).append(dense(json.loads(mark["polyline"])))
    panels = []
    for row in rows:
        name = row["panel"]
        image = cv2.imread(str(folder / "panels" / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        if image is None:
            raise DataError(f"{folder}/panels must hold {name}.png, but does not. Get the data again")
        colours = image if image.ndim == 2 else np.ascontiguousarray(image[..., 2::-1])
        boxes = tuple((int(b[0]), int(b[1]), int(b[2]), int(b[3])) for b in json.loads(row["arrow_boxes"] or "[]"))
        sure, doubtful = (tuple(lines.get((name, uncertain), ())) for uncertain in (False, True))
        panels.append(Panel(name, row["doi"], colours.astype(np.uint8), sure, doubtful, boxes))
    return panels


def dense(polyline: Sequence[Sequence[float]]) -> Points:
    """Returns points 1 px apart along a polyline."""
    corners = np.asarray(polyline, np.float64)
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(corners, axis=0).T))])
    places = np.linspace(0.0, along[-1], max(2, int(along[-1]) + 1))
    return np.stack([np.interp(places, along, axis) for axis in corners.T], axis=1)


def predicted_lines(mask: NDArray[np.bool_]) -> list[Points]:
    """Returns a mask's lines: its skeleton, cut where it branches, without pieces shorter than `SHORT`."""
    skeleton = skeletonize(mask).astype(np.uint8)
    about = cv2.filter2D(skeleton, -1, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT)
    skeleton[(skeleton > 0) & (about > 3)] = 0
    number, labels, figures, _ = cv2.connectedComponentsWithStats(skeleton, connectivity=8)
    kept = [part for part in range(1, number) if figures[part, cv2.CC_STAT_AREA] >= SHORT]
    return [np.argwhere(labels == part)[:, ::-1].astype(np.float64) for part in kept]


def score_panel(panel: Panel, mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Returns the `COUNTS` of a panel.

    Args:
        panel: The panel.
        mask: ``(height, width)``, where nanotubes are predicted.
    """
    lines = predicted_lines(mask)
    to_lines, to_sure = distances(panel.shape, lines), distances(panel.shape, panel.sure)
    to_any = distances(panel.shape, (*panel.sure, *panel.doubtful))
    burnt = np.zeros(panel.shape, bool)
    for x0, y0, x1, y1 in panel.arrows:
        burnt[y0:y1, x0:x1] = True
    counts = dict.fromkeys(COUNTS, 0)
    counts["tubes"] = len(panel.sure)
    counts["found"] = sum(is_found(to_lines, tube) for tube in panel.sure)
    for line in lines:
        right = is_found(to_any, line)
        if not right and np.mean(values_along(burnt, line)) >= 0.5:
            continue
        counts["lines"] += 1
        counts["right"] += right
        counts["only_doubtful"] += right and not is_found(to_sure, line)
    return np.array([counts[name] for name in COUNTS], np.float64)


def is_found(distances: NDArray[np.float32], line: Points) -> bool:
    """Whether at least half of a line lies within `TOLERANCE` of what distances are measured from."""
    return bool(np.mean(values_along(distances, line) <= TOLERANCE) >= 0.5)


def rates(counts: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Returns recall, precision and F1, also with hits on doubtful nanotubes left out (``strict``).

    Args:
        counts: ``(..., 5)``, `COUNTS`.
    """
    found, tubes, right, lines, only = np.moveaxis(counts, -1, 0)
    recall = found / np.maximum(tubes, 1)
    figures = {"recall": recall}
    for name, hits, claims in (("", right, lines), ("strict_", right - only, lines - only)):
        precision = hits / np.maximum(claims, 1)
        figures[f"{name}precision"] = precision
        figures[f"{name}f1"] = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
    return figures


def intervals(
    panels: Sequence[Panel], counts: NDArray[np.float64], *, resamplings: int = 2000, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """Returns 95 % intervals of `rates`, papers being drawn with replacement."""
    papers = sorted({panel.paper for panel in panels})
    sums = np.stack([counts[[panel.paper == paper for panel in panels]].sum(axis=0) for paper in papers])
    drawn = np.random.default_rng(seed).integers(len(papers), size=(resamplings, len(papers)))
    figures = rates(sums[drawn].sum(axis=1))
    return {name: (float(np.percentile(v, 2.5)), float(np.percentile(v, 97.5))) for name, v in figures.items()}


def distances(shape: tuple[int, int], lines: Sequence[Points]) -> NDArray[np.float32]:
    """Returns the distance of each pixel from the nearest line, px."""
    if not lines:
        return np.full(shape, np.inf, np.float32)
    away = np.full(shape, 255, np.uint8)
    for line in lines:
        away[_pixels(line, shape)] = 0
    return np.asarray(cv2.distanceTransform(away, cv2.DIST_L2, 5), np.float32)


def values_along(image: NDArray[np.generic], line: Points) -> NDArray[np.generic]:
    """Returns the pixels of an image along a line."""
    return image[_pixels(line, (image.shape[0], image.shape[1]))]


def _pixels(line: Points, shape: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    places = np.round(line).astype(np.int64)
    return places[:, 1].clip(0, shape[0] - 1), places[:, 0].clip(0, shape[1] - 1)
