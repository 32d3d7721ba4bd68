"""What decides a result of the discs task."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from nanonuclei.config.pixels import AugmentedExperiment
from nanonuclei.config.section import Count, Fraction, Role, Section
from nanonuclei.config.shared import DataConfig


class DiscsDataConfig(DataConfig):
    """How many images are drawn, how large."""

    num_images: Count
    size: Annotated[int, Field(ge=32)]


class LayersConfig(Section):
    """Two convolutions."""

    role: ClassVar[Role | None] = Role.NETWORK
    filters: Count


class ReadingConfig(Section):
    """How discs are read off the scores."""

    role: ClassVar[Role | None] = Role.READING
    threshold: Fraction
    min_area: Annotated[int, Field(ge=0)]


class DiscsExperiment(AugmentedExperiment):
    """Everything that decides the result of the discs task."""

    task: Literal["discs"]
    data: DiscsDataConfig
    network: LayersConfig
    reading: ReadingConfig
