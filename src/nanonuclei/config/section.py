"""What all groups of settings share, what role a setting plays, and the ranges that many settings have."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Probability = Fraction
Positive = Annotated[float, Field(gt=0.0)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]


class Role(StrEnum):
    """What a setting decides. What is compared, resumed, searched or changed afterwards follows from it."""

    DATA = "data"
    """Which images there are, and which of them train, validate and test."""
    NETWORK = "network"
    """The network and what it is given."""
    LOSS = "loss"
    """What the losses of training and validation measure: losses are comparable only where these are equal."""
    TRAINING = "training"
    """How the weights come about."""
    READING = "reading"
    """How a trained network is run over images and how objects are read off its scores."""
    SCORING = "scoring"
    """How a score is taken of what was read; no score of a single image depends on it."""
    SEARCH = "search"
    """How better settings are searched for."""
    MACHINE = "machine"
    """How the machine does its work; no result depends on it but for rounding."""


class Section(BaseModel):
    """A group of settings: frozen, complete, no unknown names, no silent conversion of text to numbers.

    Attributes:
        role: The role of the settings in it; that of the section around it where None.
        roles: Other roles of single settings, by name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
    role: ClassVar[Role | None] = None
    roles: ClassVar[Mapping[str, Role]] = {}
