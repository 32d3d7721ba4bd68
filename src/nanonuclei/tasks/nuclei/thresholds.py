"""Chooses how nuclei are read off the score map of a trained network, by the scores of the validation images."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd

from nanonuclei.config.pixels import InstancesConfig
from nanonuclei.data.catalog import SampleRef
from nanonuclei.errors import DataError
from nanonuclei.imaging.matching import MatchCounts, match_counts
from nanonuclei.imaging.types import Float32Array, Labels
from nanonuclei.tasks.nuclei.config import NucleiExperiment
from nanonuclei.tasks.nuclei.reader import NucleiReader
from nanonuclei.tasks.values import Decided

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


MAX_SECONDS = 60.0
"""Time after which no further value is tried: over the noise of a network that has hardly been trained, each takes
many times as long as over nuclei."""


def decide_thresholds(
    reader: NucleiReader,
    samples: Sequence[SampleRef],
    score_maps: Iterable[Float32Array],
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Decided:
    """Looks for the thresholds that read most nuclei rightly, one setting after the other, from the configured ones.

    Args:
        reader: The `instances` of its config are where the search begins.
        samples: Validation images.
        score_maps: Their score maps, in the same order.
        clock: Tells seconds; the search ends after `MAX_SECONDS` of them, and says so.

    Returns:
        The settings found, with `instances.tune` off; and one row per combination that was tried, in order: the
        settings, ``score``, the mean over IoU 0.5, 0.7 and 0.9 of the pooled AP, and whether it was ``chosen``.

    Raises:
        DataError: There is no sample.
    """
    if not samples:
        raise DataError("thresholds are chosen on one or more validation images, got none. Raise data.split.val")
    config = reader.config
    maps = list(score_maps)
    truth = [sample.labels() for sample in samples]
    best = config.instances.model_copy(update={"tune": False})
    tried: dict[InstancesConfig, float] = {}
    with ThreadPoolExecutor(2, thread_name_prefix="thresholds") as threads:

        def score(candidate: InstancesConfig) -> float:
            if candidate not in tried:
                trial = NucleiReader(config.model_copy(update={"instances": candidate}))
                counts = list(threads.map(lambda pair: _counts(pair[0], pair[1], trial), zip(truth, maps, strict=True)))
                tried[candidate] = _mean_ap(counts)
            return tried[candidate]

        begun, ended = clock(), ""
        before = reached = score(best)
        for _ in range(ROUNDS):
            last = best
            for name in _settings(config):
                for value in CHOICES[name]:
                    if clock() - begun > MAX_SECONDS:
                        ended = f" The search was ended after {MAX_SECONDS:g} s."
                        break
                    candidate = best.model_copy(update={name: value})
                    if score(candidate) > reached + LEAST_GAIN:
                        best, reached = candidate, score(candidate)
                if ended:
                    break
            if ended or best == last:
                break
    rows = [{**_shown(candidate), "score": value, "chosen": candidate == best} for candidate, value in tried.items()]
    found = _shown(best)
    return Decided(
        settings={"instances.tune": False, **{f"instances.{name}": value for name, value in found.items()}},
        metrics={**{f"read_out/{name}": value for name, value in found.items()}, "val/read_out_ap": reached},
        tried=pd.DataFrame(rows).round(6),
        sentence=(
            "Thresholds chosen on the validation images: "
            f"{', '.join(f'{name} {value:g}' for name, value in found.items())} "
            f"(mean pooled AP {reached:.3f}, {before:.3f} before).{ended}"
        ),
    )


def drawn(samples: Sequence[SampleRef], *, seed: int) -> list[SampleRef]:
    """Returns as many samples, drawn at random, as memory is allowed for, and one at least."""
    order = np.random.default_rng(seed).permutation(len(samples))
    pixels = np.cumsum([samples[place].height * samples[place].width for place in order])
    return [samples[place] for place in sorted(order[: max(1, int(np.sum(pixels <= MAX_PIXELS)))])]


def _settings(config: NucleiExperiment) -> tuple[str, ...]:
    """Returns the settings that change what is read: seeds need a watershed, their threshold the body class."""
    if config.instances.kind == "components":
        return ("min_score", "threshold")
    return tuple(CHOICES) if config.target.kind != "foreground" else ("min_score", "min_dip", "threshold")


def _counts(labels: Labels, score_map: Float32Array, reader: NucleiReader) -> MatchCounts:
    return match_counts(labels, reader.instances(score_map, labels.shape).pixels(), THRESHOLDS)


def _mean_ap(counts: Sequence[MatchCounts]) -> float:
    return float(np.mean([matching.accuracy for matching in sum(counts[1:], counts[0]).matchings()]))


def _shown(config: InstancesConfig) -> dict[str, Any]:
    return {name: value for name, value in config.model_dump().items() if name in CHOICES}
