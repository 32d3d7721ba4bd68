"""Scores a model on full images: one row of statistics per image, metrics over all and per modality, intervals."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nanonuclei.data.catalog import SampleRef
from nanonuclei.engine.networks import network_of
from nanonuclei.errors import DataError
from nanonuclei.imaging.networks import Network, timed
from nanonuclei.imaging.types import Float32Array
from nanonuclei.tasks.base import Task
from nanonuclei.tasks.values import IDENTITY, Report, Statistics

AHEAD = 4
"""Images that are decoded before the network asks for them."""


def evaluate(task: Task, model: keras.Model, samples: Sequence[SampleRef]) -> Report:
    """Scores a Keras model; see `evaluate_network`."""
    return evaluate_network(task, network_of(task, model), samples)


def evaluate_network(task: Task, network: Network, samples: Sequence[SampleRef]) -> Report:
    """Predicts every sample and scores it; `Reader.score_maps` tells what the network must be.

    While the network works on one batch, threads decode the next images and read objects off the last score maps.

    Raises:
        DataError: There is no sample.
    """
    if not samples:
        raise DataError("the split must hold at least one image to be evaluated, got none")
    network, watch = timed(network)
    started = time.perf_counter()
    with ThreadPoolExecutor(2, thread_name_prefix="evaluate") as threads:
        rows: list[Future[tuple[Statistics, pd.DataFrame]]] = [
            threads.submit(_statistics, task, sample, score_map)
            for sample, score_map in zip(
                samples, task.score_maps(network, _decoded(task, samples, threads)), strict=True
            )
        ]
        statistics, objects = zip(*(row.result() for row in rows), strict=True)
    seconds = time.perf_counter() - started
    identity = [{name: getattr(sample, name) for name in IDENTITY} for sample in samples]
    per_image = pd.concat([pd.DataFrame(identity), pd.DataFrame(list(statistics))], axis=1)
    metrics, intervals = summarise(task, per_image, resamplings=task.config.evaluate.bootstrap, seed=task.config.seed)
    surest = pd.concat(objects, ignore_index=True).sort_values("score", ascending=False, ignore_index=True)
    return Report(metrics, intervals, per_image, surest, seconds, watch.seconds)


def summarise(
    task: Task, per_image: pd.DataFrame, *, resamplings: int, seed: int
) -> tuple[dict[str, float], pd.DataFrame]:
    """Turns statistics per image into metrics over all and per modality, with 95 % percentile intervals.

    The bootstrap draws fields of view with replacement, not images: tiles of one field are not independent (Efron and
    Tibshirani 1993, chapter 8, on resampling the unit that was sampled).

    Args:
        task: Whose `score` is used.
        per_image: Columns ``modality``, ``field`` and the task's statistics.
        resamplings: 0 gives no intervals.
        seed: Of the resampling.

    Returns:
        Metrics by name, and a table with columns ``group, metric, value, low, high``.
    """
    names = [name for name in per_image.columns if name not in IDENTITY]
    metrics: dict[str, float] = {}
    lines = []
    groups = ["all", *sorted(per_image["modality"].unique())]
    for group in groups:
        rows = per_image if group == "all" else per_image[per_image["modality"] == group]
        weights = resample(rows["field"].to_numpy(), resamplings, np.random.default_rng(seed))
        sums = weights @ rows[names].to_numpy(np.float64)
        scores = task.score({name: sums[:, place] for place, name in enumerate(names)})
        for metric, values in scores.items():
            value = float(values[0])
            metrics[metric if group == "all" else f"{group}/{metric}"] = value
            low, high = np.percentile(values[1:], [2.5, 97.5]) if resamplings else (np.nan, np.nan)
            lines.append({"group": group, "metric": metric, "value": value, "low": float(low), "high": float(high)})
    return metrics, pd.DataFrame(lines)


def resample(fields: NDArray[np.int64], resamplings: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Returns how often each image counts, ``(1 + resamplings, images)``; the first row is the data as they are."""
    unique, place = np.unique(fields, return_inverse=True)
    drawn = rng.multinomial(len(unique), np.full(len(unique), 1.0 / len(unique)), size=resamplings)
    return np.concatenate([np.ones((1, len(fields))), drawn[:, place].astype(np.float64)])


def _decoded(task: Task, samples: Sequence[SampleRef], threads: ThreadPoolExecutor) -> Iterator[Float32Array]:
    """Yields the network's inputs, decoded by threads a few images ahead of their use."""
    waiting: deque[Future[Float32Array]] = deque()
    for sample in samples:
        waiting.append(threads.submit(lambda s: task.network_input(s.image()), sample))
        if len(waiting) > AHEAD:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _statistics(task: Task, sample: SampleRef, score_map: Float32Array) -> tuple[Statistics, pd.DataFrame]:
    assessed = task.assess(sample, score_map)
    return assessed.statistics, assessed.objects.assign(sample_id=sample.sample_id, modality=sample.modality)
