"""What decides a result, typed and frozen. No field has a default: `params.yaml` holds every value."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from nanonuclei.config.nanotubes import NanotubeExperiment
from nanonuclei.config.section import Fraction, Probability, Section, Seed
from nanonuclei.config.shared import IMAGENET_ALPHAS, EvaluateConfig, NormalizeConfig, SplitConfig, TrainConfig
from nanonuclei.config.tune import TuneConfig

__all__ = [
    "EXPERIMENTS",
    "EvaluateConfig",
    "ExperimentConfig",
    "NanotubeExperiment",
    "NormalizeConfig",
    "NucleiExperiment",
    "SplitConfig",
    "TrainConfig",
]

LOSSES = (
    "binary_crossentropy",
    "sparse_categorical_crossentropy",
    "dice",
    "binary_crossentropy+dice",
    "sparse_categorical_crossentropy+dice",
)

ENCODER_DEPTH = 5
"""Keras's image networks halve the image five times."""


class SimulatedNucleiConfig(Section):
    """The embedded dataset: how many images, how large."""

    num_images: Annotated[int, Field(ge=10, le=10_000)]
    size: Annotated[int, Field(ge=64, le=4096)]


class NucleiDataConfig(Section):
    """Which images, and what happens to broken ones."""

    seed: Seed
    dataset: Literal["auto", "dsb2018", "simulated"]
    on_bad_sample: Literal["fail", "skip"]
    masks: Literal["one_per_nucleus", "labels", "connected"]
    modality: Literal["all", "fluorescence", "stained", "brightfield"]
    max_train_samples: Annotated[int, Field(ge=0)]
    split: SplitConfig
    simulated: SimulatedNucleiConfig


class AugmentConfig(Section):
    """Random changes of a training patch: geometry for image and labels together, the rest for the image alone."""

    flip: bool
    turn: bool
    warp_probability: Probability
    rotate: Annotated[float, Field(ge=0.0, le=180.0)]
    scale: Annotated[float, Field(ge=0.0, lt=1.0)]
    elastic: Annotated[float, Field(ge=0.0, le=50.0)]
    intensity_probability: Probability
    gain: Annotated[float, Field(ge=0.0, lt=1.0)]
    offset: Fraction
    gamma: Annotated[float, Field(ge=0.0, lt=1.0)]
    noise: Fraction
    invert: Probability
    colour: Probability


class TargetConfig(Section):
    """What the network learns per pixel, built from the labels after the augmentation."""

    kind: Literal["foreground", "boundary", "core"]
    border_width: Literal["fixed", "by_area"]
    border: Annotated[int, Field(ge=1, le=10)]
    core: Annotated[float, Field(gt=0.0, lt=1.0)]


class NetworkConfig(Section):
    """The U-Net: its downsampling path, from scratch or one of Keras's image networks, and its decoder."""

    kind: Literal["unet", "mobilenetv2", "resnet50", "vgg16", "efficientnetb0"]
    depth: Annotated[int, Field(ge=1, le=6)]
    base_filters: Annotated[int, Field(ge=1, le=256)]
    decoder: Literal["transpose", "pix2pix"]
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)]
    normalisation: Literal["batch", "group", "weights", "none"]
    norm_momentum: Annotated[float, Field(ge=0.0, lt=1.0)]
    alpha: Annotated[float, Field(gt=0.0, le=4.0)]
    weights: Annotated[str, Field(min_length=1)]

    @model_validator(mode="after")
    def _encoder_can_be_built(self) -> Self:
        if self.kind != "unet" and self.depth > ENCODER_DEPTH:
            raise ValueError(
                f"depth must be at most {ENCODER_DEPTH}, as often as {self.kind} halves the image, got {self.depth}"
            )
        if self.kind == "mobilenetv2" and self.weights == "imagenet" and self.alpha not in IMAGENET_ALPHAS:
            raise ValueError(
                f"alpha must be one of {', '.join(map(str, IMAGENET_ALPHAS))} with weights=imagenet, "
                f"got {self.alpha:g}. Take one of them, or weights=none"
            )
        if self.decoder == "pix2pix" and self.normalisation == "weights":
            raise ValueError(
                "decoder=pix2pix normalises activations: normalisation must be batch, group or none, got weights"
            )
        return self

    @property
    def step(self) -> int:
        """Height and width of what the network sees are multiples of this, px."""
        return int(2**self.depth)


class LossConfig(Section):
    """What is minimised. `+dice` adds the Dice loss times `dice_weight`."""

    kind: Literal[
        "binary_crossentropy",
        "sparse_categorical_crossentropy",
        "dice",
        "binary_crossentropy+dice",
        "sparse_categorical_crossentropy+dice",
    ]
    dice_weight: Annotated[float, Field(ge=0.0, le=100.0)]
    border_weight: Annotated[float, Field(ge=1.0, le=100.0)]


class WindowsConfig(Section):
    """How a full image is covered at inference, px."""

    size: Annotated[int, Field(ge=16, le=8192)]
    stride: Annotated[int, Field(ge=1, le=8192)]
    batch_size: Annotated[int, Field(ge=1, le=1024)]
    num_views: Literal[1, 8]
    magnify_below: Annotated[float, Field(ge=0.0)]
    precision: Literal["auto", "float32", "bfloat16"]

    @model_validator(mode="after")
    def _windows_cover(self) -> Self:
        if self.stride > self.size:
            raise ValueError(
                f"windows must cover the image: stride {self.stride} exceeds size {self.size}. Lower windows.stride"
            )
        return self


class InstancesConfig(Section):
    """How nuclei are read off the score map."""

    kind: Literal["components", "watershed"]
    threshold: Fraction
    seed_threshold: Fraction
    smooth: Annotated[float, Field(ge=0.0, le=20.0)]
    min_dip: Annotated[float, Field(ge=0.0, le=100.0)]
    min_area: Annotated[int, Field(ge=0)]
    min_score: Fraction
    tune: bool


class NucleiTuneConfig(TuneConfig):
    """The search for better settings, by what is measured of pixels."""

    metric: Literal["val/loss", "val/accuracy", "val/iou"]


class NucleiExperiment(Section):
    """Everything that decides the result of the nuclei task."""

    task: Literal["nuclei"]
    seed: Seed
    data: NucleiDataConfig
    normalize: NormalizeConfig
    augment: AugmentConfig
    target: TargetConfig
    network: NetworkConfig
    loss: LossConfig
    train: TrainConfig
    windows: WindowsConfig
    instances: InstancesConfig
    evaluate: EvaluateConfig
    tune: NucleiTuneConfig

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        step = self.network.step
        for name, size in (("train.patch_size", self.train.patch_size), ("windows.size", self.windows.size)):
            if size % step:
                raise ValueError(
                    f"{name} must be a multiple of 2**network.depth = {step}, got {size}. "
                    f"Take {max(step, size // step * step)} or {(size // step + 1) * step}"
                )
        if self.train.encoder != "unfrozen":
            if self.network.kind == "unet":
                raise ValueError(
                    f"only a pretrained encoder can be frozen: train.encoder must be unfrozen with network.kind=unet, "
                    f"got {self.train.encoder}. Take another network.kind, such as mobilenetv2"
                )
            if self.network.weights == "none":
                raise ValueError(
                    f"random weights must not be frozen: train.encoder must be unfrozen with network.weights=none, "
                    f"got {self.train.encoder}"
                )
        if self.target.kind != "foreground" and not self.loss.kind.startswith("sparse_categorical"):
            raise ValueError(
                f"target.kind={self.target.kind} has three classes and needs loss.kind=sparse_categorical_crossentropy"
                f"[+dice], got loss.kind={self.loss.kind}"
            )
        return self


ExperimentConfig = Annotated[NucleiExperiment | NanotubeExperiment, Field(discriminator="task")]
"""The experiments of all tasks."""

EXPERIMENTS: dict[str, type[NucleiExperiment] | type[NanotubeExperiment]] = {
    "nuclei": NucleiExperiment,
    "nanotubes": NanotubeExperiment,
}
"""Experiment model per name of a task."""
