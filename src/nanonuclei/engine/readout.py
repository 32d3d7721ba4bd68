"""Chooses how nuclei are read off the score map of a trained network, by the scores of the validation images."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import keras
import numpy as np
import pandas as pd

from nanonuclei.config.experiment import InstancesConfig, NucleiExperiment
from nanonuclei.data.catalog import SampleRef
from nanonuclei.engine.networks import network_of
from nanonuclei.engine.predict import map_maker
from nanonuclei.errors import DataError
from nanonuclei.imaging.matching import MatchCounts, match_counts
from nanonuclei.imaging.postprocess import read_instances
from nanonuclei.imaging.types import Float32Array, Labels
from nanonuclei.tasks import Task

THRESHOLDS = (0.5, 0.7, 0.9)
"""IoU thresholds whose mean pooled AP is raised."""

CHOICES: dict[str, tuple[float, ...]] = {
    "seed_threshold": (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7),
    "min_score": (0.0, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85),
    "min_dip": (0.5, 1.0, 1.5, 2.0, 3.0),
    "threshold": (0.4, 0.45, 0.5, 0.55, 0.6),
}
"""Values that are tried of each setting of `instances`, in the order in which settings are looked at."""

ROUNDS = 2
"""Times that all settings are looked at: the best value of one depends on the others."""

LEAST_GAIN = 0.001
"""A value that gains less is not worth leaving the configured one for; a difference of one nucleus in a thousand."""

MAX_PIXELS = 60_000_000
"""Validation pixels that are held in memory, in 12 bytes each; of more images a part is drawn."""


def tune_read_out(task: Task, model: keras.Model, samples: Sequence[SampleRef]) -> tuple[InstancesConfig, pd.DataFrame]:
    """Looks for the thresholds that read most nuclei rightly, one setting after the other, from the configured ones.

    Args:
        task: A nuclei task; its `instances` are where the search begins.
        model: The trained network.
        samples: Validation images.

    Returns:
        The settings found, with `tune` off; and one row per combination that was tried, in order: the settings,
        ``score``, the mean over IoU 0.5, 0.7 and 0.9 of the pooled AP, and whether it was ``chosen``.

    Raises:
        DataError: There is no sample.
    """
    if not samples:
        raise DataError("the read-out is tuned on one or more validation images, got none. Raise data.split.val")
    config: NucleiExperiment = task.config
    chosen = _drawn(samples, seed=config.seed)
    make, _ = map_maker(config, network_of(task, model))
    maps = list(make(task.network_input(sample.image()) for sample in chosen))
    truth = [sample.labels() for sample in chosen]
    best = config.instances.model_copy(update={"tune": False})
    tried: dict[InstancesConfig, float] = {}
    with ThreadPoolExecutor(2, thread_name_prefix="read-out") as threads:

        def score(candidate: InstancesConfig) -> float:
            if candidate not in tried:
                counts = list(threads.map(lambda pair: _counts(*pair, candidate), zip(truth, maps, strict=True)))
                tried[candidate] = _mean_ap(counts)
            return tried[candidate]

        reached = score(best)
        for _ in range(ROUNDS):
            before = best
            for name in _settings(config):
                for value in CHOICES[name]:
                    candidate = best.model_copy(update={name: value})
                    if score(candidate) > reached + LEAST_GAIN:
                        best, reached = candidate, score(candidate)
            if best == before:
                break
    rows = [{**_shown(candidate), "score": value, "chosen": candidate == best} for candidate, value in tried.items()]
    return best, pd.DataFrame(rows)


def _settings(config: NucleiExperiment) -> tuple[str, ...]:
    """Returns the settings that change what is read: seeds need a watershed, their threshold the body class."""
    if config.instances.kind == "components":
        return ("min_score", "threshold")
    return tuple(CHOICES) if config.target.kind != "foreground" else ("min_score", "min_dip", "threshold")


def _drawn(samples: Sequence[SampleRef], *, seed: int) -> list[SampleRef]:
    """Returns as many samples, drawn at random, as memory is allowed for, and one at least."""
    order = np.random.default_rng(seed).permutation(len(samples))
    pixels = np.cumsum([samples[place].height * samples[place].width for place in order])
    return [samples[place] for place in sorted(order[: max(1, int(np.sum(pixels <= MAX_PIXELS)))])]


def _counts(labels: Labels, score_map: Float32Array, config: InstancesConfig) -> MatchCounts:
    return match_counts(labels, read_instances(score_map, config).labels, THRESHOLDS)


def _mean_ap(counts: Sequence[MatchCounts]) -> float:
    return float(np.mean([matching.accuracy for matching in sum(counts[1:], counts[0]).matchings()]))


def _shown(config: InstancesConfig) -> dict[str, Any]:
    return {name: value for name, value in config.model_dump().items() if name in CHOICES}
