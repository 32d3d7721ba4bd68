"""What a shipped network answers to a few small images: stored with it, and compared wherever it is installed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.counted import counted
from nanonuclei.errors import DataError
from nanonuclei.imaging.networks import Network
from nanonuclei.imaging.types import Image
from nanonuclei.serving.shipped.provenance import ANSWERS, EXAMPLES
from nanonuclei.tasks import create_reader
from nanonuclei.writing import write_bytes

Boxes = list[list[int]]
"""``y0, x0, y1, x1`` in px, half open, per object."""

BOX_TOLERANCE = 1
"""px by which a box may differ on another machine, where sums are rounded in another order."""


def write_answers(folder: Path, config: ExperimentConfig, network: Network, images: Mapping[str, Image]) -> None:
    """Writes images to `EXAMPLES` and what the network answers to `ANSWERS`.

    Args:
        folder: Of the model.
        config: Its settings.
        network: As it is shipped.
        images: Name to image, ``(height, width)`` or ``(height, width, 3)`` RGB, uint8.
    """
    (folder / EXAMPLES).mkdir()
    for name, image in images.items():
        shown = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        write_bytes(folder / EXAMPLES / f"{name}.png", cv2.imencode(".png", shown)[1].tobytes())
    found = {name: answer(config, network, folder / EXAMPLES / f"{name}.png") for name in images}
    (folder / ANSWERS).write_text(json.dumps(found) + "\n", encoding="utf-8")


def answer(config: ExperimentConfig, network: Network, path: Path) -> Boxes:
    """Returns the boxes of the objects of an image file, top left first."""
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise DataError(f"{path} must be an image, but cannot be read. Restore it with git")
    image = np.asarray(image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
    reader = create_reader(config)
    (score_map,) = reader.score_maps(network, [reader.network_input(image)])
    boxes: Boxes = reader.instances(score_map, image.shape[:2]).boxes.tolist()
    return sorted([round(value) for value in box] for box in boxes)


def differences(folder: Path, config: ExperimentConfig, network: Network) -> list[str]:
    """Answers the examples anew; returns a text per example whose answer is not the stored one."""
    stored: dict[str, Any] = json.loads((folder / ANSWERS).read_text(encoding="utf-8"))
    wrong = []
    for name, expected in stored.items():
        found = answer(config, network, folder / EXAMPLES / f"{name}.png")
        if len(found) != len(expected):
            wrong.append(f"{name} has {counted(len(found), 'object')}, shipped {len(expected)}")
        elif not same_boxes(found, expected):
            wrong.append(f"objects of {name} lie elsewhere")
    return wrong


def same_boxes(found: Sequence[Sequence[int]], expected: Sequence[Sequence[int]]) -> bool:
    """Tells whether each expected box has one among as many found ones that is within `BOX_TOLERANCE` of it."""
    left = [np.array(box) for box in found]
    for box in expected:
        near = [place for place, other in enumerate(left) if np.abs(other - np.array(box)).max() <= BOX_TOLERANCE]
        if not near:
            return False
        del left[near[0]]
    return not left
