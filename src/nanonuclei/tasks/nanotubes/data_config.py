"""Settings of the data of the nanotubes task: which images, which channel, what makes a window positive."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from nanonuclei.config.channels import NO_CHANNEL, Channel
from nanonuclei.config.section import MOST, Count, Fraction, Section
from nanonuclei.config.shared import DataConfig


class ChannelsConfig(Section):
    """Which channels of an image file are used; simulated images have `membranes` and `nuclei` in any case.

    Attributes:
        tubes: The one that nanotubes are seen in, by name or index.
        nuclei: The one of the nuclei, or `none`.
    """

    tubes: Channel
    nuclei: Channel

    @model_validator(mode="after")
    def _tubes_are_seen(self) -> Self:
        if self.tubes == NO_CHANNEL:
            raise ValueError("tubes must be a channel's name or index, got none. Take 0 for the first channel")
        if self.tubes == self.nuclei:
            raise ValueError(f"tubes and nuclei must be two channels, got {self.tubes!r} twice. Take nuclei: none")
        return self


class WindowLabelsConfig(Section):
    """When a window holds a nanotube, when it holds none; what is between is left out of training and scores.

    Attributes:
        core: Side of the core, in the middle of a window, as a share of the window's side.
        min_pixels: Pixels of nanotubes in the core that make a window positive, where the truth is a mask.
        min_share: Share of a box's length in the core that makes a window positive, where the truth is boxes.
        clear_margin: A negative window holds no nanotube, nor is there one within this distance of it, px.
    """

    core: Annotated[float, Field(gt=0.0, le=1.0)]
    min_pixels: Count
    min_share: Annotated[float, Field(gt=0.0, le=1.0)]
    clear_margin: Annotated[int, Field(ge=0, le=MOST)]


class SimulatedNanotubesConfig(Section):
    """The embedded dataset; see `data.simulate.nanotubes.NanotubeSettings` for what each setting means."""

    num_images: Annotated[int, Field(ge=3, le=10_000)]
    size: Annotated[int, Field(ge=128, le=8192)]
    cell_radius: Annotated[float, Field(ge=12.0, le=60.0)]
    coverage: Annotated[float, Field(ge=0.01, le=0.6)]
    tubes_per_cell: Annotated[float, Field(gt=0.0, le=3.0)]
    faint: Fraction
    distractors: Annotated[float, Field(ge=0.0, le=4.0)]
    noise: Annotated[float, Field(ge=0.0, le=4.0)]
    tile: Annotated[int, Field(ge=0, le=MOST)]

    @model_validator(mode="after")
    def _tiles_can_be_seen(self) -> Self:
        if 0 < self.tile < 64:
            raise ValueError(f"tile must be 0, for images taken at once, or at least 64 px, got {self.tile}")
        return self


class NanotubeDataConfig(DataConfig):
    """Which images, what happens to broken ones, and how they are dealt to train, val and test.

    Attributes:
        split_by: `image`: whole images, and all images of one field of view together. `quadrant`: each image is cut in
            four with an empty margin of a window's width between the parts, for one or two large stitched images.
    """

    dataset: Literal["auto", "tnt", "mine-tnt", "simulated"]
    split_by: Literal["image", "quadrant"]
    channels: ChannelsConfig
    labels: WindowLabelsConfig
    simulated: SimulatedNanotubesConfig
