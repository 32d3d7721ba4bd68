"""The platform's words in Keras Tuner's: oracles, hyperparameters, and the settings of a trial."""

from __future__ import annotations

import keras_tuner
import numpy as np
from keras_tuner.engine.trial import Trial

from nanonuclei.config.params import Scalar
from nanonuclei.config.space import Choice, FloatRange, SearchSpace
from nanonuclei.config.tune import TuneConfig
from nanonuclei.tune.base import Search


def create_oracle(search: Search) -> keras_tuner.Oracle:
    """Returns the oracle; it stops after as many trials as asked for, and is not stopped by failed ones."""
    config: TuneConfig = search.config
    options = {
        "objective": keras_tuner.Objective("value", direction="max" if search.greater_is_better else "min"),
        "hyperparameters": _hyperparameters(config.space),
        "seed": search.seed + 1,  # 0 would mean any
        "max_consecutive_failed_trials": search.trials + 1,
    }
    if config.keras_tuner.oracle == "hyperband":
        oracle = keras_tuner.oracles.HyperbandOracle(
            max_epochs=config.epochs, hyperband_iterations=search.trials, **options
        )
    elif config.keras_tuner.oracle == "bayesian":
        oracle = keras_tuner.oracles.BayesianOptimizationOracle(num_initial_points=config.num_startup_trials, **options)
    else:
        oracle = keras_tuner.oracles.RandomSearchOracle(**options)
    oracle.max_trials = search.trials
    return oracle


def _hyperparameters(space: SearchSpace) -> keras_tuner.HyperParameters:
    """Returns a space in Keras Tuner's words; a choice by its place, as values of several types are not allowed."""
    found = keras_tuner.HyperParameters()
    for path, span in space.items():
        if isinstance(span, Choice):
            found.Choice(path, list(range(len(span.values))), ordered=False)
        elif isinstance(span, FloatRange):
            found.Float(path, span.low, span.high, sampling="log" if span.log else "linear")
        else:
            found.Int(path, span.low, span.high, None if span.log else span.step, "log" if span.log else "linear")
    return found


def trial_settings(trial: Trial, space: SearchSpace) -> dict[str, Scalar]:
    """Returns a trial's settings; with Hyperband its epochs too, which are trained from the start."""
    values = {
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in trial.hyperparameters.values.items()
    }
    found = {
        path: span.values[values[path]] if isinstance(span, Choice) else values[path] for path, span in space.items()
    }
    return {**found, "train.epochs": values["tuner/epochs"]} if "tuner/epochs" in values else found
