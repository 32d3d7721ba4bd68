"""How a network is described to tools of others that run it by a format of their own, such as bioimage.io's.

A task says in its part `EXCHANGE` what its network takes and answers; a task without that part has `Exchange` itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from nanonuclei.imaging.types import Image, UInt8Array


@dataclass(frozen=True)
class Channel:
    """One channel of an output, made of one channel ``v`` of the network's answer or of the image.

    Attributes:
        name: As tools show it.
        source: Number of that channel, from 0.
        form: ``same``: v; ``complement``: 1 - v; ``power``: ``2**(factor * v)``.
        factor: Of ``power``.
        of: Whether the channel is one of the answer or of the scaled image, for a read-out that needs both.
    """

    name: str
    source: int
    form: Literal["same", "complement", "power"] = "same"
    factor: float = 1.0
    of: Literal["answer", "image"] = "answer"


@dataclass(frozen=True)
class Operator:
    """A read-out that travels as one file of Python: a class that is called with an array and answers one as large.

    Attributes:
        module: Module of the class.
        name: Of the class.
        inlined: Modules of this package that the file must hold too, each after those that it imports.
        only_types: Modules of this package that are imported for annotations alone, and left out.
        settings: Keywords of the class.
        channels: What the channels are afterwards.
        packages: What the file imports that is not Python's own.
    """

    module: str
    name: str
    inlined: Sequence[str]
    only_types: Sequence[str]
    settings: Mapping[str, Any]
    channels: Sequence[str]
    packages: Sequence[str]


@dataclass(frozen=True)
class Output:
    """The output of the exchanged network.

    Attributes:
        name: Small letters.
        description: One sentence of at most 128 characters.
        channels: Its channels, as the network gives them.
        operator: What a tool that runs Python makes of it; None: nothing.
    """

    name: str
    description: str
    channels: Sequence[Channel]
    operator: Operator | None = None


@dataclass(frozen=True)
class Sizes:
    """Which sizes of images a network takes, and how large its answer is.

    Attributes:
        least: Smallest side, px.
        step: Sides are ``least + n * step``, px.
        stride: px of the image per pixel of the answer.
        lost: Pixels by which the answer is smaller than ``side / stride``.
    """

    least: int
    step: int
    stride: int = 1
    lost: int = 0

    def fitting(self, extent: int) -> int:
        """Returns the largest valid side within `extent` px, at least `least`."""
        return self.least + max(0, (extent - self.least) // self.step) * self.step


@dataclass(frozen=True)
class Cite:
    """A work to cite: text and DOI."""

    text: str
    doi: str


@dataclass(frozen=True)
class Described:
    """What tools and people are told of a network.

    Attributes:
        colours: Names of the channels of an image: one for grey, three for red, green and blue.
        sizes: Which images it takes.
        output: What it answers; one alone, since tools find several of a SavedModel in any order.
        structures: Biological structures.
        kind: Such as ``segmentation``.
        advice: How to use it well, one sentence or two each.
        cites: Works to cite.
        files: Texts for other tools, by the name of a file.
    """

    colours: Sequence[str]
    sizes: Sizes
    output: Output
    structures: Sequence[str] = ()
    kind: str = ""
    advice: Sequence[str] = ()
    cites: Sequence[Cite] = ()
    files: Mapping[str, str] = field(default_factory=dict)


class Exchange:
    """A network of whole images that answers one map of scores; tasks that know more override `described`.

    Attributes:
        step: px of which the network takes multiples, where its config does not say so.
        metric_names: The metrics that a description shows, in order, by what people call them; all where empty.
    """

    step: ClassVar[int] = 32
    metric_names: ClassVar[Mapping[str, str]] = {}

    def __init__(self, config: Any) -> None:
        self.config = config

    def described(self, files: Mapping[str, Path], num_channels: int) -> Described:
        """Returns what a network takes and answers.

        Args:
            files: Of the stored model, by name.
            num_channels: Of the network's answer.
        """
        step = int(getattr(getattr(self.config, "network", None), "step", self.step))
        channels = [Channel(f"score{number}", number) for number in range(num_channels)]
        maps = Output("maps", "Scores of the network", channels)
        return Described(("red", "green", "blue"), Sizes(2 * step, step), maps)

    def shown(self, image: Image) -> UInt8Array:
        """Returns an image of 8 bit ``(height, width)`` or ``(height, width, 3)`` with the channels that tools give."""
        coloured = image[..., :3] if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
        return np.asarray(coloured, np.uint8)
