"""Reading nanotubes off a score map by the settings of their task, without Keras, and candidates as rows of a table.

`lines.candidates` finds the lines; here thresholds that are still open have a value, and cells come from the map.
"""

from __future__ import annotations

import json

import cv2
import numpy as np

from nanonuclei.imaging.types import Float32Array, Int32Array
from nanonuclei.tasks.nanotubes.config import Limit, TubesConfig
from nanonuclei.tasks.nanotubes.lines.candidates import Candidate, apart
from nanonuclei.tasks.nanotubes.lines.levels import Lights, candidates_at_levels, cells_at_level
from nanonuclei.tasks.nanotubes.lines.marked import marked_candidates

CELLS = "cells"
"""Name of the label image of the cells, see `Reader.layers`."""

UNDECIDED = 0.5
"""A threshold that the config leaves open, before it is chosen on validation images."""

CANDIDATE_COLUMNS = (
    *("score", "y0", "x0", "y1", "x1", "length", "length_um", "width", "width_um"),
    *("straightness", "strength", "first_cell", "last_cell", "line"),
)
"""What is reported of a candidate, px where the name has no unit; the line as JSON text ``[[x, y], ...]``."""

SAME_LINE = 4.0
"""A line of the map that runs so near to a crest of the image is that crest, px."""

SIMPLE = 0.5
"""A reported line leaves out points that lie this near to it, px."""


def decided(limit: Limit) -> float:
    """Returns a threshold as a number."""
    return UNDECIDED if limit == "auto" else limit


def read_cells(
    score_map: Float32Array, config: TubesConfig, *, nuclei: Float32Array | None = None, lights: Lights | None = None
) -> Int32Array:
    """Returns labels of the cells.

    Args:
        score_map: ``(height, width, 2)``: scores, image.
        config: The read-out.
        nuclei: ``(height, width)`` float32 in 0..1, the channel of the nuclei, if there is one.
        lights: Of the cells in the whole image, where the map is that of a window.
    """
    return cells_at_level(score_map[..., 1], nuclei, config, lights=lights)


def read_candidates(
    score_map: Float32Array,
    config: TubesConfig,
    *,
    cells: Int32Array,
    min_score: float | None = None,
    lights: Lights | None = None,
) -> list[Candidate]:
    """Returns the candidates of an image, the surest first.

    Args:
        score_map: ``(height, width, 2)``: scores, image.
        config: The read-out.
        cells: Labels of the cells.
        min_score: Instead of the config's.
        lights: As in `read_cells`.
    """
    least = decided(config.min_score) if min_score is None else min_score
    threshold, found = decided(config.window_threshold), []
    scores, grey = score_map[..., 0], score_map[..., 1]
    alone = config.alone if config.lines == "both" else 0.0
    if config.lines != "map":
        followed = candidates_at_levels(scores, grey, config, cells=cells, threshold=threshold, lights=lights)
        found = [one for one in followed if one.score >= least and (one.joins or one.line.length >= alone)]
    if config.lines != "image":
        marked = marked_candidates(scores, grey, config, cells=cells, threshold=threshold)
        sure = [one for one in marked if one.score >= least and one.line.length >= alone]
        both = [*found, *apart(sure, found, near=SAME_LINE)]
        # What is left of the map is longer than the crests on it, which are parts of it.
        whole = apart(both, near=SAME_LINE, first=lambda one: one.line.length)
        found = sorted(whole, key=lambda one: (-one.score, -one.strength))
    return found


def candidate_row(candidate: Candidate, pixel_size: float | None, shape: tuple[int, int]) -> tuple[float | str, ...]:
    """Returns the `CANDIDATE_COLUMNS` of a candidate; micrometres are NaN where the pixel size is not known."""
    line, scale = candidate.line, np.nan if pixel_size is None else pixel_size
    pixels = line.pixels(shape)
    box = (*pixels.min(axis=0).tolist(), *(pixels.max(axis=0) + 1).tolist())
    sizes = (line.length, line.length * scale, line.width, line.width * scale)
    corners = cv2.approxPolyDP(line.points[:, ::-1].reshape(-1, 1, 2), SIMPLE, closed=False).reshape(-1, 2)
    text = json.dumps(np.round(corners.astype(np.float64), 2).tolist())
    return (candidate.score, *box, *sizes, line.straightness, candidate.strength, *candidate.cells, text)
