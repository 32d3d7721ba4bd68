"""How a person changes, on a page, what counts as a nucleus."""

from __future__ import annotations

from nanonuclei.tasks.values import Control, Measure

CONTROLS = {
    "threshold": Control(
        "Threshold",
        "Lower: larger outlines.",
        low=0.05,
        high=0.95,
        step=0.05,
    ),
    "min_score": Control(
        "Least certainty",
        "Lower: more nuclei, and more false ones.",
        low=0.0,
        high=0.99,
        step=0.01,
    ),
    "min_area": Control(
        "Least area",
        "Smaller nuclei are left out.",
        "px²",
        low=0,
        high=500,
        step=1,
    ),
    "diameter": Control(
        "Diameter",
        "About how large the nuclei are.",
        "px",
        low=5,
        high=200,
        step=1,
        words={"auto": "Find it in the image", "none": "Show the image as it is"},
    ),
}
"""By parameter of the reader."""

MEASURES = {
    "diameter": Measure(
        "Median diameter (px)",
        "median over the nuclei of the diameter of the circle of the same area, px; empty without nuclei",
    ),
    "shown_at": Measure(
        "Scale for the network",
        "size in which the network saw the image: 1 as it is, 2 enlarged to twice its height and width, 0.5 reduced to "
        "half",
    ),
}
"""Numbers of an image."""
