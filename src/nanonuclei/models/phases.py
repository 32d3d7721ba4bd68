"""The parts of a training that have an optimizer each: one, or two where a frozen encoder is unfrozen on the way."""

from __future__ import annotations

from dataclasses import dataclass

from nanonuclei.config.shared import TrainConfig


@dataclass(frozen=True)
class Phase:
    """Epochs that share an optimizer.

    Attributes:
        first: Epochs that are behind the training when the phase begins.
        last: Epochs that are behind it when the phase ends.
        learning_rate: The rate that its schedule starts from.
        frozen: Whether a pretrained encoder keeps its weights.
    """

    first: int
    last: int
    learning_rate: float
    frozen: bool

    @property
    def num_epochs(self) -> int:
        """Epochs of the phase."""
        return self.last - self.first


def phases(config: TrainConfig) -> tuple[Phase, ...]:
    """Returns the phases of a training, in order and without gaps."""
    if config.encoder != "frozen_then_unfrozen":
        return (Phase(0, config.epochs, config.learning_rate, config.encoder == "frozen"),)
    return (
        Phase(0, config.frozen_epochs, config.learning_rate, True),
        Phase(config.frozen_epochs, config.epochs, config.unfrozen_learning_rate, False),
    )
