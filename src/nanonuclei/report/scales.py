"""Where the values of a searched setting lie on an axis, and what is written beside it; `report.search` draws them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nanonuclei.config.space import Choice, FloatRange, IntRange

WORD = 14
"""Characters of a line of a choice, before it goes on below; only a word that cannot be broken is longer."""
_FEW = 4
"""Whole numbers up to which each has its tick."""


@dataclass(frozen=True)
class Scale:
    """An axis.

    Attributes:
        low: Left or lower end.
        high: Right or upper end, above `low`.
        ticks: Places and their texts.
        log: Whether the axis is logarithmic; `low` is above 0 then.
        choices: The values that lie at 0, 1, ...; empty where values are numbers that lie at themselves.
    """

    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    log: bool = False
    choices: Sequence[bool | int | float | str] = ()

    def place(self, value: bool | int | float | str) -> float:
        """Returns where a value lies."""
        return float(self.choices.index(value) if self.choices else value)

    def share(self, place: float) -> float:
        """Returns a place as share of the way from the lower to the upper end, 0..1."""
        low, high, place = np.log((self.low, self.high, place)) if self.log else (self.low, self.high, place)
        return float((place - low) / (high - low))

    def limits(self, margin: float = 0.06) -> tuple[float, float]:
        """Returns the ends with some room beyond them, a share of the axis."""
        if self.choices:
            return self.low, self.high
        if self.log:
            ratio = (self.high / self.low) ** margin
            return self.low / ratio, self.high * ratio
        room = margin * (self.high - self.low)
        return self.low - room, self.high + room


def scale_of(span: FloatRange | IntRange | Choice) -> Scale:
    """Returns the axis of a setting, from the lowest to the highest value that a search may choose."""
    if isinstance(span, Choice):
        ticks = [(float(place), broken(str(value))) for place, value in enumerate(span.values)]
        return Scale(-0.5, len(ticks) - 0.5, ticks, choices=span.values)
    middle = math.sqrt(span.low * span.high) if span.log else (span.low + span.high) / 2
    if isinstance(span, FloatRange):
        return Scale(span.low, span.high, _told((span.low, middle, span.high)), log=span.log)
    numbers = range(span.low, span.high + 1, span.step)
    if len(numbers) > _FEW:
        numbers = (span.low, min(numbers, key=lambda number: abs(number - middle)), span.high)
    return Scale(span.low, span.high, [(float(number), f"{number:,}") for number in numbers], log=span.log)


def scale_of_values(values: Sequence[float]) -> Scale:
    """Returns the axis of numbers from the lowest to the highest; without ticks where there are none."""
    if not len(values):
        return Scale(0.0, 1.0, [])
    low, high = float(min(values)), float(max(values))
    if low == high:
        return Scale(low - 0.5, high + 0.5, _told((low,)))
    return Scale(low, high, _told((low, (low + high) / 2, high)))


def broken(text: str, width: int = WORD) -> str:
    """Returns words that `_`, `+` or `-` join, broken behind them into lines of `width` characters."""
    lines = [""]
    for piece in re.findall(r"[^_+-]*[_+-]|[^_+-]+", text):
        if lines[-1] and len(lines[-1]) + len(piece) > width:
            lines.append("")
        lines[-1] += piece
    return "\n".join(lines)


def _told(places: Sequence[float]) -> list[tuple[float, str]]:
    """Returns places with their texts: three digits, or as many as tell them apart."""
    largest, spread = max(map(abs, places)), max(places) - min(places)
    digits = 3 + (max(0, math.floor(math.log10(largest / spread))) if spread else 1)
    return [(place, f"{place:.{digits}g}") for place in places]
