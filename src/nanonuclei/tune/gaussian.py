"""A sampler of Optuna that learns by a Gaussian process from scikit-learn; Optuna's own needs PyTorch."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial, TrialState
from scipy.stats import norm
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

NUM_CANDIDATES = 2000
"""Random settings of which the most promising is proposed."""
NUM_NEAR = 500
"""Candidates near the best settings so far."""
NEAR = 0.1
"""Standard deviation of those, in parts of a range."""


class GaussianProcessSampler(BaseSampler):
    """Proposes what maximises the expected improvement (Jones et al. 1998, J. Global Optimization 13, eq. 15).

    Numbers are scaled to 0..1, logarithmically where the range says so, choices become one coordinate each. Trials
    still running count with the value that the process expects, so that workers do not propose the same (Ginsbourger
    et al. 2010, "Kriging is well-suited to parallelize optimization": the kriging believer).

    Args:
        num_startup_trials: Trials that are drawn at random before.
        seed: Of the proposals.
    """

    def __init__(self, *, num_startup_trials: int, seed: int) -> None:
        self._num_startup_trials = num_startup_trials
        self._rng = np.random.default_rng(seed)
        self._random = RandomSampler(seed=seed)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Returns what all finished trials have in common."""
        found: dict[str, BaseDistribution] = optuna.search_space.intersection_search_space(
            study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
        )
        return found

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Returns the most promising of many candidates, or nothing where too little is known."""
        known = [t for t in study.get_trials(deepcopy=False) if set(search_space) <= set(t.params)]
        done = [t for t in known if t.state in (TrialState.COMPLETE, TrialState.PRUNED) and t.value is not None]
        if not search_space or len(done) < self._num_startup_trials:
            return {}
        sign = 1.0 if study.direction == optuna.study.StudyDirection.MAXIMIZE else -1.0
        values = sign * np.array([float(t.value or 0.0) for t in done])
        points = np.array([_encode(t.params, search_space) for t in done])
        running = [_encode(t.params, search_space) for t in known if t.state == TrialState.RUNNING]
        process = _fit(points, values)
        if running:
            points = np.concatenate([points, running])
            values = np.concatenate([values, process.predict(np.array(running))])
            process = _fit(points, values)
        candidates = self._candidates(points[int(np.argmax(values))], search_space)
        encoded = np.array([_encode(candidate, search_space) for candidate in candidates])
        mean, deviation = process.predict(encoded, return_std=True)
        gain = mean - values.max()
        scaled = gain / np.maximum(deviation, 1e-9)
        improvement = gain * norm.cdf(scaled) + deviation * norm.pdf(scaled)
        return candidates[int(np.argmax(improvement))]

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Returns a random value."""
        return self._random.sample_independent(study, trial, param_name, param_distribution)

    def _candidates(self, best: NDArray[np.float64], space: Mapping[str, BaseDistribution]) -> list[dict[str, Any]]:
        width = len(best)
        anywhere = self._rng.uniform(size=(NUM_CANDIDATES, width))
        near = np.clip(best + self._rng.normal(0.0, NEAR, size=(NUM_NEAR, width)), 0.0, 1.0)
        return [_decode(point, space) for point in np.concatenate([anywhere, near])]


def _fit(points: NDArray[np.float64], values: NDArray[np.float64]) -> GaussianProcessRegressor:
    kernel = ConstantKernel(1.0) * Matern(np.full(points.shape[1], 0.5), (0.05, 20.0), nu=2.5) + WhiteKernel(
        1e-2, (1e-6, 1.0)
    )
    process = GaussianProcessRegressor(kernel, normalize_y=True, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a length scale at its bound: the setting hardly matters
        return process.fit(points, values)


def _encode(params: Mapping[str, Any], space: Mapping[str, BaseDistribution]) -> list[float]:
    """Returns settings as numbers in 0..1, a choice as one number per value."""
    numbers: list[float] = []
    for name, distribution in space.items():
        if isinstance(distribution, CategoricalDistribution):
            chosen = distribution.to_internal_repr(params[name])
            numbers += [float(place == chosen) for place in range(len(distribution.choices))]
        elif isinstance(distribution, FloatDistribution | IntDistribution):
            low, high, value = _scaled(distribution, [distribution.low, distribution.high, params[name]])
            numbers.append((value - low) / (high - low))
    return numbers


def _decode(point: Sequence[float] | NDArray[np.float64], space: Mapping[str, BaseDistribution]) -> dict[str, Any]:
    """Returns the settings that numbers in 0..1 stand for; of a choice, the largest number's value."""
    place, settings = 0, {}
    for name, distribution in space.items():
        if isinstance(distribution, CategoricalDistribution):
            width = len(distribution.choices)
            settings[name] = distribution.choices[int(np.argmax(point[place : place + width]))]
            place += width
        elif isinstance(distribution, FloatDistribution | IntDistribution):
            low, high = _scaled(distribution, [distribution.low, distribution.high])
            value = low + float(point[place]) * (high - low)
            settings[name] = _within(float(np.exp(value)) if distribution.log else value, distribution)
            place += 1
    return settings


def _scaled(distribution: FloatDistribution | IntDistribution, values: Sequence[float]) -> list[float]:
    return [float(np.log(value)) if distribution.log else float(value) for value in values]


def _within(value: float, distribution: FloatDistribution | IntDistribution) -> float | int:
    if isinstance(distribution, IntDistribution):
        step = distribution.step
        value = distribution.low + step * round((value - distribution.low) / step)
        return int(min(max(value, distribution.low), distribution.high))
    return float(min(max(value, distribution.low), distribution.high))
