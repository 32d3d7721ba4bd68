"""How a person changes, on a page, what counts as a nucleus."""

from __future__ import annotations

from nanonuclei.tasks.values import Control

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

MEASURES = {"diameter": "Median diameter (px)", "shown_at": "Enlarged for the network by"}
"""Numbers of an image, and what people call them."""
