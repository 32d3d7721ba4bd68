"""The rows of the comparison in `overfitting.py`: the usual set-up, ours, and ours with one remedy taken away."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from nanonuclei.config.params import Scalar

PUBLISHED = Path("recipes/windows-published.yaml")
CURED = Path("recipes/windows-cured.yaml")

COMMON: dict[str, Scalar] = {
    "data.dataset": "tnt",
    "data.seed": 7,
    "data.split.train": 0.6,  # 48, 12 and 20 of 80 images
    "data.split.val": 0.15,
    "data.split.test": 0.25,
    "data.labels.core": 0.75,  # 36 px
    "data.labels.min_pixels": 96,  # of processes drawn 7 px wide: 14 px of their length
    "data.labels.clear_margin": 4,  # the ends of processes were drawn generously or not to the end
    "train.patch_size": 48,
    "train.batch_size": 16,
    "train.precision": "float32",
    "train.tensorboard": False,
}
"""Settings of every row: the split, what makes a window positive, window and batch."""


@dataclass(frozen=True)
class Arm:
    """One row.

    Attributes:
        title: What the table says.
        recipe: File of settings.
        settings: What is different from it.
        images: `few`: 12 of them | `all`: 60; the same 20 are never touched.
        data: `windows`: cut beforehand, overlapping, dealt to training and validation one by one | `own windows`: the
            same windows, those of an image together | `images`: whole, windows being cut while training.
        threshold: `half`: 0.5 | `val`: of the highest F1 on the validation windows.
    """

    title: str
    recipe: Path = CURED
    settings: dict[str, Scalar] = field(default_factory=dict)
    images: Literal["few", "all"] = "all"
    data: Literal["windows", "own windows", "images"] = "images"
    threshold: Literal["half", "val"] = "val"


_RANDOM: dict[str, Scalar] = {"network.weights": "none", "train.encoder": "unfrozen", "train.learning_rate": 0.003}

_NO_AUGMENTATION: dict[str, Scalar] = {
    "augment.flip": False,
    "augment.turn": False,
    "augment.intensity_probability": 0.0,
    "augment.mixup": 0.0,
}

_VGG16: dict[str, Scalar] = {"network.kind": "vgg16", "network.trunk": "block4_conv3", "network.weights": "edges"}
_LAST_BLOCK: dict[str, Scalar] = {  # rates as in recipes/vgg16-unfrozen.yaml
    **_VGG16,
    "network.learns_from": "block4_conv1",
    "train.learning_rate": 0.001,
    "train.unfrozen_learning_rate": 0.00005,
}

ARMS: dict[str, Arm] = {
    "published": Arm("published: 12 images, split by window", PUBLISHED, {}, "few", "windows", "half"),
    "ours": Arm("ours: 60 images, split by image, all remedies"),
    "published-by-image": Arm("published, split by image", PUBLISHED, {}, "few", "own windows", "half"),
    "ours-few": Arm("ours, 12 images", images="few"),
    "published-all": Arm("published, split by image, 60 images", PUBLISHED, {}, "all", "own windows", "half"),
    "no-augmentation": Arm("ours without augmentation", settings=_NO_AUGMENTATION),
    "flattened": Arm("ours with a flattened head", settings={"network.head": "flatten"}),
    "frozen": Arm("ours, trunk frozen to the end", settings={"train.encoder": "frozen"}),
    "random": Arm("ours from random weights", settings=_RANDOM),
    "random-few": Arm("ours from random weights, 12 images", settings=_RANDOM, images="few"),
    "no-dropout": Arm("ours without dropout", settings={"network.dropout": 0.0}),
    "no-mixup": Arm("ours without mixup", settings={"augment.mixup": 0.0}),
    "no-decay": Arm("ours without weight decay", settings={"train.weight_decay": 0.0}),
    "no-smoothing": Arm("ours without label smoothing", settings={"loss.label_smoothing": 0.0}),
    "no-average": Arm("ours without moving average", settings={"train.ema_momentum": 0.0}),
    "vgg16-published": Arm("VGG16, published: 12 images, split by window", PUBLISHED, _VGG16, "few", "windows", "half"),
    "vgg16-ours": Arm("VGG16, ours: 60 images, split by image, all remedies", settings=_LAST_BLOCK),
}
"""By the name that ``--only`` takes."""

ASKED_FOR = ("vgg16-published", "vgg16-ours")
"""Rows that are trained only where they are named: each takes a quarter of an hour or more on two cores."""
