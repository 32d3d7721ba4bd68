"""The settings of a search: what is compared, for how long a trial trains, who proposes, what may change."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from nanonuclei.config.section import MOST, Count, Role, Section
from nanonuclei.config.space import SearchSpace


class OptunaConfig(Section):
    """How Optuna proposes settings, and when it ends a trial early."""

    sampler: Literal["tpe", "random"]
    pruner: Literal["median", "hyperband", "none"]
    num_unpruned_trials: Count


class KerasTunerConfig(Section):
    """How Keras Tuner proposes settings."""

    oracle: Literal["random", "bayesian", "hyperband"]


class TuneConfig(Section):
    """The search for better settings: what is compared, for how long a trial trains, what may change."""

    role: ClassVar[Role | None] = Role.SEARCH
    metric: Annotated[str, Field(pattern=r"^val/.+$")]
    epochs: Count
    max_val_samples: Annotated[int, Field(ge=0, le=MOST)]
    num_startup_trials: Annotated[int, Field(ge=1, le=1000)]
    num_warmup_epochs: Annotated[int, Field(ge=0, le=MOST)]
    max_retries: Annotated[int, Field(ge=0, le=10)]
    heartbeat: Annotated[int, Field(ge=1, le=3600)]
    grace: Annotated[int, Field(ge=2, le=86_400)]
    optuna: OptunaConfig
    keras_tuner: KerasTunerConfig
    space: SearchSpace

    @model_validator(mode="after")
    def _grace_spans_heartbeats(self) -> Self:
        if self.grace < 2 * self.heartbeat:
            raise ValueError(
                f"grace must be at least two heartbeats, or live workers are taken for dead: got grace={self.grace} "
                f"and heartbeat={self.heartbeat}"
            )
        return self
