"""The decision whether a challenger becomes champion: pure, from numbers to a verdict with its reasons."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from nanonuclei.config.gate import GateConfig
from nanonuclei.counted import counted
from nanonuclei.invocation import option

SHOWN = 0.0001
"""Step of the numbers that people are told."""


@dataclass(frozen=True)
class Gain:
    """Challenger less champion in one group of images.

    Attributes:
        group: ``all``, or a modality.
        value: On the images as they are.
        low: Of the 95 % interval; NaN where the group is of one field of view.
        high: Of the 95 % interval.
        num_images: Of the group.
    """

    group: str
    value: float
    low: float
    high: float
    num_images: int


@dataclass(frozen=True)
class Candidate:
    """What is known of a challenger.

    Attributes:
        dataset: Name of the dataset that it was trained on.
        real: Whether that dataset is real images, no simulation and no stand-in.
        metrics: Name to value on the test split.
        cpu_seconds_per_megapixel: CPU time of the network over all cores, on this machine.
        megabytes: Of all files of the model.
        signature: Names and types of what it takes and answers.
        problem: Why it does not load or serve from an empty folder; empty where it does.
    """

    dataset: str
    real: bool
    metrics: Mapping[str, float]
    cpu_seconds_per_megapixel: float
    megabytes: float
    signature: str
    problem: str


@dataclass(frozen=True)
class Champion:
    """What a challenger is compared with.

    Attributes:
        version: Of the registered model.
        signature: Names and types of what it takes and answers.
        gains: Challenger less champion, over all images and per modality.
    """

    version: str
    signature: str
    gains: Sequence[Gain]


@dataclass(frozen=True)
class Parent:
    """The model that a challenger's training began with, which must have been worth the training.

    Attributes:
        name: Of the model.
        gains: Challenger less parent, over all test images of the challenger (``all``) and on the images that the
            parent knew before.
    """

    name: str
    gains: Sequence[Gain]


@dataclass(frozen=True)
class Criterion:
    """One condition.

    Attributes:
        name: Such as ``least.iou``.
        held: Whether it is met.
        detail: The numbers, and what would meet it.
    """

    name: str
    held: bool
    detail: str


@dataclass(frozen=True)
class Decision:
    """A verdict.

    Attributes:
        criteria: All conditions, met or not.
    """

    criteria: tuple[Criterion, ...]

    @property
    def promoted(self) -> bool:
        """Whether every condition is met."""
        return all(criterion.held for criterion in self.criteria)

    @property
    def reasons(self) -> tuple[str, ...]:
        """What speaks against the challenger; nothing where it is promoted."""
        return tuple(criterion.detail for criterion in self.criteria if not criterion.held)


def decide(
    candidate: Candidate,
    champion: Champion | None,
    gate: GateConfig,
    *,
    parent: Parent | None = None,
    allow_simulated: bool = False,
) -> Decision:
    """Holds a challenger against the gate, and against the champion if there is one.

    A number that is missing or not a number meets no condition, but for those of `gate.where_known`.

    Args:
        candidate: The challenger.
        champion: None where there is none yet.
        gate: The conditions.
        parent: What its training began with; None where it began anew.
        allow_simulated: Let a model pass that has not seen real images.
    """
    criteria = [*_data(candidate, allow_simulated), *_bounds(candidate, gate), *_costs(candidate, gate)]
    problem = candidate.problem
    criteria.append(
        Criterion("serves", not problem, problem or "it loads and serves from an empty folder, without this repository")
    )
    if champion is not None:
        criteria += _against(candidate, champion, gate)
    if parent is not None:
        criteria += _worth_the_training(parent, gate)
    return Decision(tuple(criteria))


def _data(candidate: Candidate, allow_simulated: bool) -> Iterator[Criterion]:
    if candidate.real:
        yield Criterion("data", True, f"trained on {candidate.dataset}, real images")
    elif allow_simulated:
        yield Criterion("data", True, f"trained on {candidate.dataset}, no real images, which was allowed")
    else:
        yield Criterion(
            "data",
            False,
            f"a champion must have been trained on real images, got {candidate.dataset}. Train on real ones, or pass "
            f"{option('allow_simulated', 'true')}",
        )


def _bounds(candidate: Candidate, gate: GateConfig) -> Iterator[Criterion]:
    for bounds, name, word, sign in ((gate.least, "least", "at least", 1), (gate.most, "most", "at most", -1)):
        for metric, bound in bounds.items():
            value = candidate.metrics.get(metric, float("nan"))
            if metric in gate.where_known and math.isnan(value):
                text = f"test {metric} is not known of these images, and not asked for"
                yield Criterion(f"{name}.{metric}", True, text)
                continue
            held = sign * value >= sign * bound
            yield Criterion(f"{name}.{metric}", held, f"test {metric} must be {word} {bound:g}, got {value:.4f}")


def _costs(candidate: Candidate, gate: GateConfig) -> Iterator[Criterion]:
    seconds, most = candidate.cpu_seconds_per_megapixel, gate.max_cpu_seconds_per_megapixel
    yield Criterion(
        "cpu_seconds_per_megapixel",
        seconds <= most,
        f"a megapixel must take at most {most:g} s of CPU time, took {seconds:.2f} s",
    )
    size, largest = candidate.megabytes, gate.max_megabytes
    yield Criterion("megabytes", size <= largest, f"the model must have at most {largest:g} MB, has {size:.1f} MB")


def _against(candidate: Candidate, champion: Champion, gate: GateConfig) -> Iterator[Criterion]:
    same = candidate.signature == champion.signature
    yield Criterion(
        "signature",
        same,
        f"takes and answers what version {champion.version} does"
        if same
        else f"its clients must not notice the change from version {champion.version}, but that takes and answers "
        f"{champion.signature}, and this {candidate.signature}",
    )
    overall = [gain for gain in champion.gains if gain.group == "all"]
    if not overall:
        yield Criterion("gain", False, f"must be compared with version {champion.version} over all images, but is not")
    for gain in overall:
        text = f"{gate.compared} must {{}} over version {champion.version}, got {_interval(gain)}"
        yield Criterion("gain", gain.value >= gate.min_gain, text.format(f"gain {gate.min_gain:+g} or more"))
        low = f"gain {gate.min_gain_low:+g} or more at the lower end of its 95 % interval"
        yield Criterion("gain_low", gain.low >= gate.min_gain_low, text.format(low))
    for gain in champion.gains:
        if gain.group != "all" and gain.num_images >= gate.min_images:
            yield Criterion(
                f"loss.{gain.group}",
                gain.value >= -gate.max_loss,
                f"{gate.compared} of {gain.group} must lose at most {gate.max_loss:g} against version "
                f"{champion.version}, got {_interval(gain)}",
            )


def _worth_the_training(parent: Parent, gate: GateConfig) -> Iterator[Criterion]:
    for gain in parent.gains:
        if gain.group == "all":
            yield Criterion(
                "parent.gain",
                gain.value > 0.0,
                f"{gate.compared} of the held-out images must be above that of {parent.name}, which the training began "
                f"with, got {_interval(gain)}",
            )
        else:
            yield Criterion(
                f"parent.loss.{gain.group}",
                gain.value >= -gate.max_loss,
                f"{gate.compared} of {gain.group} must lose at most {gate.max_loss:g} against {parent.name}, which the "
                f"training began with, got {_interval(gain)}",
            )


def _interval(gain: Gain) -> str:
    images = counted(gain.num_images, "image")
    if all(abs(number) < SHOWN / 2 for number in (gain.value, gain.low, gain.high)):
        return f"one that is equal ({images})"
    return f"{gain.value:+.4f} ({gain.low:+.4f} to {gain.high:+.4f}, {images})"
