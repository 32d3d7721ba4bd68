"""Sections of an experiment that scores pixels: patches, U-Net, loss, windows, and objects off a score map."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.config.section import MOST, Fraction, Probability, Role, Section
from nanonuclei.config.shared import IMAGENET_ALPHAS, InferenceConfig

ENCODER_DEPTH = 5
"""Image networks halve the image five times."""


class JitterConfig(Section):
    """Random changes of the grey values of a training patch."""

    role: ClassVar[Role | None] = Role.TRAINING
    intensity_probability: Probability
    gain: Annotated[float, Field(ge=0.0, lt=1.0)]
    offset: Fraction
    gamma: Annotated[float, Field(ge=0.0, le=4.0)]
    noise: Fraction


class AugmentConfig(JitterConfig):
    """Random changes of a training patch: geometry for image and labels together, the rest for the image alone."""

    flip: bool
    turn: bool
    warp_probability: Probability
    rotate: Annotated[float, Field(ge=0.0, le=180.0)]
    scale: Annotated[float, Field(ge=0.0, lt=1.0)]
    elastic: Annotated[float, Field(ge=0.0, le=50.0)]
    invert: Probability
    colour: Probability
    size_probability: Probability
    least_diameter: Annotated[float, Field(ge=4.0, le=1000.0)]
    largest_diameter: Annotated[float, Field(ge=4.0, le=1000.0)]
    usual_diameter: Annotated[float, Field(ge=4.0, le=1000.0)]
    most_zoom: Annotated[float, Field(ge=1.0, le=8.0)]
    stain: Probability
    tint: Probability
    dim: Probability
    blur: Probability
    shade: Probability
    camera: Probability
    hot_pixels: Probability
    compress: Probability
    stretch: Probability
    empty: Probability

    @model_validator(mode="after")
    def _sizes_in_order(self) -> Self:
        if not self.least_diameter <= self.usual_diameter <= self.largest_diameter:
            raise ValueError(
                f"least_diameter <= usual_diameter <= largest_diameter must hold, got {self.least_diameter:g}, "
                f"{self.usual_diameter:g} and {self.largest_diameter:g}"
            )
        return self


class AugmentedExperiment(ExperimentConfig):
    """An experiment that trains on patches of images and labels, changed at random."""

    augment: AugmentConfig


class NetworkConfig(Section):
    """The U-Net: its downsampling path, from scratch or an image network, and its decoder."""

    role: ClassVar[Role | None] = Role.NETWORK
    kind: Literal["unet", "mobilenetv2", "resnet50", "vgg16", "efficientnetb0", "efficientnetlite0"]
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

    role: ClassVar[Role | None] = Role.LOSS
    kind: Literal[
        "binary_crossentropy",
        "sparse_categorical_crossentropy",
        "dice",
        "binary_crossentropy+dice",
        "sparse_categorical_crossentropy+dice",
    ]
    dice_weight: Annotated[float, Field(ge=0.0, le=100.0)]
    border_weight: Annotated[float, Field(ge=1.0, le=100.0)]
    diameter_weight: Annotated[float, Field(ge=0.0, le=100.0)]


class WindowsConfig(InferenceConfig):
    """How a full image is covered at inference, px."""

    size: Annotated[int, Field(ge=16, le=8192)]
    stride: Annotated[int, Field(ge=1, le=8192)]
    batch_size: Annotated[int, Field(ge=1, le=1024)]
    num_views: Literal[1, 8]
    diameter: Annotated[float, Field(gt=0.0, le=10_000.0)] | Literal["auto", "none"]
    best_diameter: Annotated[float, Field(ge=4.0, le=1000.0)]

    @field_validator("diameter", mode="before")
    @classmethod
    def _number_as_text(cls, value: object) -> object:
        """Reads a number that a request gives as text, since it may also be a word."""
        try:
            return float(value) if isinstance(value, str) else value
        except ValueError:
            return value

    @model_validator(mode="after")
    def _windows_cover(self) -> Self:
        if self.stride > self.size:
            raise ValueError(
                f"windows must cover the image: stride {self.stride} exceeds size {self.size}. Lower windows.stride"
            )
        return self


class InstancesConfig(Section):
    """How objects are read off a score map."""

    role: ClassVar[Role | None] = Role.READING
    kind: Literal["components", "watershed"]
    threshold: Fraction
    seed_threshold: Fraction
    smooth: Annotated[float, Field(ge=0.0, le=20.0)]
    min_dip: Annotated[float, Field(ge=0.0, le=100.0)]
    min_area: Annotated[int, Field(ge=0, le=MOST)]
    min_score: Fraction
    tune: bool
