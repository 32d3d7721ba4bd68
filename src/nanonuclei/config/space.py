"""What a search may choose from: ranges and choices, keyed by the dotted path of the setting that they are for."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Range(BaseModel):
    """What all kinds share: frozen, complete, no unknown names, no silent conversion."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class FloatRange(Range):
    """Numbers from low to high, both included; `log` draws their logarithm evenly."""

    type: Literal["float"]
    low: float
    high: float
    log: bool

    @model_validator(mode="after")
    def _ends_in_order(self) -> Self:
        _check_ends(self)
        return self

    def ends(self) -> tuple[float, ...]:
        """Returns the values that must be legal for all between them to be."""
        return self.low, self.high

    def __str__(self) -> str:
        return f"{self.low:g}..{self.high:g}{' log' if self.log else ''}"


class IntRange(Range):
    """Whole numbers low, low + step, ... up to high, which is one of them."""

    type: Literal["int"]
    low: int
    high: int
    step: Annotated[int, Field(ge=1)]
    log: bool

    @model_validator(mode="after")
    def _ends_in_order(self) -> Self:
        _check_ends(self)
        if self.log and self.step != 1:
            raise ValueError(f"a range with log=true needs step=1, got step={self.step}")
        if (self.high - self.low) % self.step:
            raise ValueError(
                f"high must be low plus a multiple of step, got low={self.low}, high={self.high}, step={self.step}. "
                f"Take high={self.high - (self.high - self.low) % self.step}"
            )
        return self

    def ends(self) -> tuple[int, ...]:
        """Returns the values that must be legal for all between them to be."""
        return self.low, self.high

    def __str__(self) -> str:
        step = f" by {self.step}" if self.step > 1 else ""
        return f"{self.low}..{self.high}{step}{' log' if self.log else ''}"


class Choice(Range):
    """One of some values, without an order; a single one is set in every trial."""

    type: Literal["choice"]
    values: Annotated[list[bool | int | float | str], Field(min_length=1)]

    @model_validator(mode="after")
    def _values_differ(self) -> Self:
        if len({(type(value), value) for value in self.values}) < len(self.values):
            raise ValueError(f"each value may stand once, got {self.values}")
        return self

    def ends(self) -> tuple[bool | int | float | str, ...]:
        """Returns every value."""
        return tuple(self.values)

    def __str__(self) -> str:
        return " | ".join(str(value) for value in self.values)


SearchSpace = dict[str, Annotated[FloatRange | IntRange | Choice, Field(discriminator="type")]]
"""Dotted path of a setting, such as ``train.learning_rate``, to what it may become."""


def _check_ends(span: FloatRange | IntRange) -> None:
    if span.low >= span.high:
        raise ValueError(f"low must be below high, got low={span.low} and high={span.high}")
    if span.log and span.low <= 0:
        raise ValueError(f"a range with log=true must begin above 0, got low={span.low}")
