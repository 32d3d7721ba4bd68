"""How a person changes, on a page, what counts as a candidate for a nanotube."""

from __future__ import annotations

from nanonuclei.tasks.values import Control, Measure

CONTROLS = {
    "min_score": Control(
        "Least certainty",
        "Lower: more candidates, and more false ones.",
        low=0.0,
        high=1.0,
        step=0.01,
    ),
    "window_threshold": Control(
        "Window threshold",
        "Lower: more of the image is searched.",
        low=0.0,
        high=1.0,
        step=0.01,
    ),
    "min_length": Control("Least length", "Shorter candidates are left out.", "px", low=0.0, high=200.0),
    "max_width": Control(
        "Largest width",
        "Wider lines of the image are left out, twice as wide ones at half its size; those of the network stay.",
        "px",
        low=1.0,
        high=30.0,
        step=0.5,
    ),
    "min_straightness": Control(
        "Least straightness",
        "Distance of the ends / length.",
        low=0.0,
        high=1.0,
        step=0.05,
    ),
    "joins": Control(
        "Joins",
        "Which candidates are kept.",
        words={
            "two": "Join two cells",
            "slender": "Join two cells, or are slender",
            "cell": "Meet a cell",
            "all": "All",
        },
    ),
}
"""By parameter of the reader."""

MEASURES = {
    "num_cells": Measure(
        "Cells",
        "bright parts with a disc of tubes.body_radius, parted at necks, or by nuclei where tubes.nuclei names their "
        "channel; without it too many where cells are large",
    ),
    "objects_per_cell": Measure("Candidates per cell", "num_objects / num_cells; no surer than those"),
}
"""Numbers of an image."""
