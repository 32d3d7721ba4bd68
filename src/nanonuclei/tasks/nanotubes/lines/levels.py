"""Lines of any width: the read-out works on images in which a nanotube is a few px wide, and what it finds is enlarged.

Filters, surroundings and limits of `candidates` are made for lines of `WIDTH` px. Where nanotubes are broader, the
image is reduced first; where nobody says how broad they are, lines are looked for at each of `AUTO` reductions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from nanonuclei.imaging.types import Float32Array, Int32Array
from nanonuclei.tasks.nanotubes.config import TubesConfig
from nanonuclei.tasks.nanotubes.lines.candidates import NEAR, Candidate, apart, find_candidates
from nanonuclei.tasks.nanotubes.lines.cell_bodies import Light, cell_bodies, light_of
from nanonuclei.tasks.nanotubes.lines.line import Line, cells_joined, resample

WIDTH = 2.5
"""Full width at half maximum, px, of the lines that the read-out is made for."""

AUTO = (1.0, 2.0)
"""Reductions at which lines are looked for where their width is not known."""

SMALLEST = 32
"""No image is reduced below this side, px."""


def reductions(config: TubesConfig, shape: tuple[int, int]) -> tuple[float, ...]:
    """Returns how many times smaller the images are that lines are looked for in, the largest image first.

    Args:
        config: `width` and `joins` are read: only slender lines are looked for at several reductions.
        shape: Height and width of the image, px.
    """
    most = max(1.0, min(shape) / SMALLEST)
    wanted: Sequence[float] = AUTO if config.joins == "slender" else AUTO[:1]
    if config.width != "auto":
        wanted = (max(1.0, config.width / WIDTH),)
    return tuple(dict.fromkeys(min(reduction, most) for reduction in wanted))


Lights = Mapping[float, Light]
"""Light of the cells of a large image at each reduction, where windows of it are read."""


def lights_of(parts: Sequence[Float32Array], config: TubesConfig) -> Lights:
    """Returns the light of the cells in parts of a large image, ``(height, width)`` float32 each."""
    levels = reductions(config, (min(part.shape[0] for part in parts), min(part.shape[1] for part in parts)))
    return {level: light_of([_reduced(part, level) for part in parts], radius=config.body_radius) for level in levels}


def cells_at_level(
    grey: Float32Array, nuclei: Float32Array | None, config: TubesConfig, *, lights: Lights | None = None
) -> Int32Array:
    """Labels the cells in the largest of the reduced images.

    Args:
        grey: ``(height, width)`` float32, cells bright.
        nuclei: Likewise, the channel of the nuclei, if there is one.
        config: `width` and `body_radius` are read.
        lights: Of the whole image, where `grey` is a window of one.

    Returns:
        ``(height, width)`` int32, of the image as it was.
    """
    reduction = reductions(config, (grey.shape[0], grey.shape[1]))[0]
    light = (lights or {}).get(reduction)
    if reduction == 1.0:
        return cell_bodies(grey, nuclei, radius=config.body_radius, light=light)
    small = None if nuclei is None else _reduced(nuclei, reduction)
    cells = cell_bodies(_reduced(grey, reduction), small, radius=config.body_radius, light=light)
    size = (grey.shape[1], grey.shape[0])
    return np.asarray(cv2.resize(cells.astype(np.float32), size, interpolation=cv2.INTER_NEAREST), np.int32)


def candidates_at_levels(
    scores: Float32Array,
    grey: Float32Array,
    config: TubesConfig,
    *,
    cells: Int32Array,
    threshold: float,
    lights: Lights | None = None,
) -> list[Candidate]:
    """Finds the candidates of one image at every reduction; see `candidates.find_candidates`.

    Of a line that is found at several reductions the finest counts. `min_length` is in px of the image as it is;
    `max_width` and `body_radius` grow with the reduction.

    Args:
        lights: Of the whole image, where `grey` is a window of one.

    Returns:
        Sorted by score, then strength, highest first.

    Raises:
        DataError: The shapes differ.
    """
    found: list[Candidate] = []
    levels = reductions(config, (grey.shape[0], grey.shape[1]))
    for reduction in levels:
        if reduction == 1.0:
            found += find_candidates(scores, grey, config, cells=cells, threshold=threshold)
            continue
        size = _size(grey, reduction)
        small, bridges = _reduced(grey, reduction), reduction == levels[0]
        known = np.asarray(cv2.resize(cells.astype(np.float32), size, interpolation=cv2.INTER_NEAREST), np.int32)
        coarse = find_candidates(
            np.asarray(cv2.resize(scores, size, interpolation=cv2.INTER_AREA), np.float32),
            small,
            config.model_copy(update={"min_length": config.min_length / reduction}),
            cells=known if bridges else _cells_of(small, known, config, (lights or {}).get(reduction)),
            threshold=threshold,
            bridges=bridges,
        )
        steps = np.array([grey.shape[0] / size[1], grey.shape[1] / size[0]])
        large = [_enlarged(candidate, steps) for candidate in coarse]
        if not bridges:
            large = [replace(candidate, cells=cells_joined(candidate.line, cells)) for candidate in large]
        found += apart(large, found, near=NEAR * reduction)
    return sorted(found, key=lambda candidate: (-candidate.score, -candidate.strength))


def _cells_of(small: Float32Array, known: Int32Array, config: TubesConfig, light: Light | None) -> Int32Array:
    """Returns what of the known cells is found anew in a reduced image.

    The disc that a cell holds is larger there, and what is no broader is no cell.
    """
    return np.where(known > 0, cell_bodies(small, radius=config.body_radius, light=light), 0).astype(np.int32)


def _enlarged(candidate: Candidate, steps: NDArray[np.float64]) -> Candidate:
    """Returns a candidate of a reduced image in px of the image as it was; `steps` are px per reduced px, y and x."""
    points = resample((candidate.line.points + 0.5) * steps - 0.5)
    return replace(candidate, line=Line(points, candidate.line.width * float(steps.mean())))


def _reduced(image: Float32Array, reduction: float) -> Float32Array:
    return np.asarray(cv2.resize(image, _size(image, reduction), interpolation=cv2.INTER_AREA), np.float32)


def _size(image: Float32Array, reduction: float) -> tuple[int, int]:
    return max(1, round(image.shape[1] / reduction)), max(1, round(image.shape[0] / reduction))
