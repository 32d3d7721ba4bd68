"""The platform's words in Optuna's: distributions, samplers, pruners, and how much each setting matters."""

from __future__ import annotations

from collections.abc import Sequence

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import TrialState

from nanonuclei.config.space import FloatRange, IntRange, SearchSpace
from nanonuclei.config.tune import TuneConfig
from nanonuclei.tune.base import COMPLETE, TrialRecord

MIN_TRIALS = 4
"""Complete trials below which nothing is said about importance."""
HYPERBAND_FACTOR = 3
"""One in so many trials goes on at each rung (Li et al. 2018, J. Machine Learning Research 18, who take 3 or 4)."""


def distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    """Returns a space in Optuna's words."""
    found: dict[str, BaseDistribution] = {}
    for path, span in space.items():
        if isinstance(span, FloatRange):
            found[path] = FloatDistribution(span.low, span.high, log=span.log)
        elif isinstance(span, IntRange):
            found[path] = IntDistribution(span.low, span.high, log=span.log, step=span.step)
        else:
            found[path] = CategoricalDistribution(tuple(span.values))
    return found


def create_sampler(config: TuneConfig, *, seed: int) -> BaseSampler:
    """Returns a new sampler; its proposals depend on the seed and the trials of the study alone."""
    if config.optuna.sampler == "random":
        return RandomSampler(seed=seed)
    return TPESampler(n_startup_trials=config.num_startup_trials, seed=seed)


def create_pruner(config: TuneConfig) -> BasePruner:
    """Returns the pruner; its steps are epochs, from 1."""
    if config.optuna.pruner == "none":
        return NopPruner()
    if config.optuna.pruner == "hyperband":
        return HyperbandPruner(min_resource=1, max_resource=config.epochs, reduction_factor=HYPERBAND_FACTOR)
    first = config.num_warmup_epochs + 1  # steps below it are left alone
    return MedianPruner(n_startup_trials=config.optuna.num_unpruned_trials, n_warmup_steps=first)


def importances(records: Sequence[TrialRecord], space: SearchSpace, *, seed: int) -> dict[str, float]:
    """Returns the share of the metric's variance that each setting explains (fANOVA; Hutter et al. 2014, ICML).

    Args:
        records: Trials of any tuner; the complete ones count.
        space: What they were drawn from.
        seed: Of the forest within.

    Returns:
        Setting to share in 0..1, the largest first; empty with too few trials, or where all have one value.
    """
    complete = [record for record in records if record.state == COMPLETE and record.outcome.value is not None]
    if len(complete) < MIN_TRIALS or len({record.outcome.value for record in complete}) < 2:
        return {}
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    known = distributions(space)
    study = optuna.create_study()
    for record in complete:
        study.add_trial(
            optuna.create_trial(
                state=TrialState.COMPLETE,
                params={path: record.settings[path] for path in known},
                distributions=known,
                value=record.outcome.value,
            )
        )
    found = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=seed))
    return {path: float(share) for path, share in found.items()}
