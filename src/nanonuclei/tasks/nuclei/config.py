"""What decides a result of the nuclei task: its images, the U-Net, its training, the windows, the reading."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from nanonuclei.config.pixels import AugmentedExperiment, InstancesConfig, LossConfig, NetworkConfig, WindowsConfig
from nanonuclei.config.section import Role, Section
from nanonuclei.config.shared import DataConfig
from nanonuclei.config.tune import TuneConfig


class SimulatedNucleiConfig(Section):
    """The embedded dataset: how many images, how large."""

    num_images: Annotated[int, Field(ge=10, le=10_000)]
    size: Annotated[int, Field(ge=64, le=4096)]


class NucleiDataConfig(DataConfig):
    """Which images, and what happens to broken ones."""

    dataset: Literal["auto", "dsb2018", "mine", "simulated"]
    masks: Literal["one_per_nucleus", "labels", "connected"]
    modality: Literal["all", "fluorescence", "stained", "brightfield"]
    simulated: SimulatedNucleiConfig


class TargetConfig(Section):
    """What the network learns per pixel, built from the labels after the augmentation."""

    role: ClassVar[Role | None] = Role.LOSS
    kind: Literal["foreground", "boundary", "core"]
    border_width: Literal["fixed", "by_area"]
    border: Annotated[int, Field(ge=1, le=10)]
    core: Annotated[float, Field(gt=0.0, lt=1.0)]
    diameter: bool


class NucleiTuneConfig(TuneConfig):
    """The search for better settings, by what is measured of pixels."""

    metric: Literal["val/loss", "val/accuracy", "val/iou"]


class NucleiExperiment(AugmentedExperiment):
    """Everything that decides the result of the nuclei task."""

    task: Literal["nuclei"]
    data: NucleiDataConfig
    target: TargetConfig
    network: NetworkConfig
    loss: LossConfig
    windows: WindowsConfig
    instances: InstancesConfig
    tune: NucleiTuneConfig

    simulated_modalities: ClassVar[tuple[str, ...]] = ("fluorescence",)

    @property
    def trained_modality(self) -> str:
        """`data.modality`."""
        return self.data.modality

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
        if self.target.diameter and self.target.kind == "foreground":
            raise ValueError(
                "target.diameter needs three classes: target.kind must be boundary or core, got foreground"
            )
        if self.windows.diameter == "auto" and not self.target.diameter:
            raise ValueError(
                "windows.diameter=auto needs a network that was taught sizes: set target.diameter=true, or give "
                "windows.diameter in px, or none"
            )
        return self
