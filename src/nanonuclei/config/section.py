"""What all groups of settings share, the roles that settings play, and the ranges that many settings have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Probability = Fraction
Positive = Annotated[float, Field(gt=0.0)]
MOST = 1_000_000
"""Largest number of epochs, steps, images or pixels that a setting may ask for; a slip of more is no plan."""
Count = Annotated[int, Field(ge=1, le=MOST)]
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


STRUCTURE = (Role.NETWORK, Role.LOSS)
"""Roles of the settings that a training takes from the model that it begins with."""


def paths_of(config: Section, roles: Iterable[Role]) -> tuple[str, ...]:
    """Returns the dotted paths of the settings that play one of some roles, in the order of the config.

    Args:
        config: An experiment's config, or a section of one.
        roles: The roles.
    """
    wanted = set(roles)
    return tuple(path for path, role in _walk(config, above="", role=config.role) if role in wanted)


def role_of(config: Section, path: str) -> Role | None:
    """Returns the role of a setting by its dotted path; None where it has none, such as the seed."""
    return dict(_walk(config, above="", role=config.role)).get(path)


def sections_of(config: Section, roles: Iterable[Role]) -> tuple[str, ...]:
    """Returns the names of the sections that play one of some roles."""
    wanted = set(roles)
    return tuple(name for name in type(config).model_fields if _own(getattr(config, name)) in wanted)


def _own(value: object) -> Role | None:
    return value.role if isinstance(value, Section) else None


def _walk(section: Section, *, above: str, role: Role | None) -> Iterator[tuple[str, Role | None]]:
    for name in type(section).model_fields:
        value, path = getattr(section, name), f"{above}{name}"
        own = section.roles.get(name, role)
        if isinstance(value, Section):
            yield from _walk(value, above=f"{path}.", role=value.role or own)
        else:
            yield path, own


def starts_with(path: str, heads: Iterable[str]) -> bool:
    """Returns whether a setting is one of `heads` or lies in a section of those."""
    return any(path == head or path.startswith(f"{head}.") for head in heads)
