"""Is one recipe better than another: means over seeds, and paired differences with bootstrap intervals. Pure numbers.

Figures and tables of the same are in `report.compare_tables`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nanonuclei.counted import counted
from nanonuclei.errors import DataError
from nanonuclei.tasks.values import IDENTITY

Score = Callable[[Mapping[str, NDArray[np.float64]]], Mapping[str, NDArray[np.float64]]]
"""Statistics summed over images, arrays with one entry per resampling, to metrics; `Task.score`."""

MIN_FIELDS = 2
NOTHING = "no difference shown"
"""How a verdict begins that favours no arm."""
SHOWN = 0.001
"""Step of the numbers that people are told."""


@dataclass(frozen=True)
class Arm:
    """One side of a comparison: the runs of a recipe.

    Attributes:
        name: Of the recipe.
        seeds: One per run.
        per_image: One table per run, with a row per test image: `IDENTITY` and the task's statistics.
    """

    name: str
    seeds: tuple[int, ...]
    per_image: tuple[pd.DataFrame, ...]


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are taken: so many resamplings, drawn with that seed."""

    resamplings: int
    seed: int


def compare_arms(arms: Sequence[Arm], score: Score, *, bootstrap: Bootstrap) -> pd.DataFrame:
    """Compares every arm with the first, metric by metric, over all images and per modality.

    The interval is that of the mean difference between the arms, for other images and other seeds: each resampling
    draws fields of view with replacement, the same for every run, and runs with replacement (Davison and Hinkley 1997,
    Bootstrap Methods and their Application, section 3.8, on data in two levels). Where the arms have the same seeds,
    the same are drawn in both, so that what a seed does to both cancels out. With few seeds their share of the
    variance is underestimated by a factor of (n - 1) / n; a single seed adds none.

    Args:
        arms: At least two; the images that all runs share count.
        score: The task's.
        bootstrap: Number of resamplings, 0 for no intervals, and the seed of the draw.

    Returns:
        A row per group, metric and arm: ``group, metric, arm, num_runs, mean, sd`` (over runs, with n - 1; NaN for one
        run), and against the first arm ``difference, low, high`` (95 %; NaN in its own rows, and where a group has
        fewer than two fields of view).

    Raises:
        DataError: There are fewer than two arms, one has no run, or the runs share fewer than two fields of view.
    """
    if len(arms) < 2 or any(not arm.per_image for arm in arms):
        counts = {arm.name: len(arm.per_image) for arm in arms}
        raise DataError(f"a comparison needs two arms with a run each, got runs per arm {counts}. Name another recipe")
    tables = _shared_images(arms)
    groups = ["all", *sorted(tables[0][0]["modality"].unique())]
    rows: list[dict[str, object]] = []
    for group in groups:
        seen = [[table if group == "all" else table[table["modality"] == group] for table in arm] for arm in tables]
        fields = seen[0][0]["field"].to_numpy()
        rng = np.random.default_rng(bootstrap.seed)
        resamplings = bootstrap.resamplings if len(np.unique(fields)) >= MIN_FIELDS else 0
        weights = _drawn_fields(fields, resamplings, rng)
        draws = _drawn_runs([arm.seeds for arm in arms], resamplings, rng)
        scores = [[_scores(table, weights, score) for table in arm] for arm in seen]
        for metric in scores[0][0]:
            curves = [np.stack([run[metric] for run in runs]) for runs in scores]  # (runs, 1 + resamplings)
            means = [np.einsum("br,rb->b", draw, curve) for draw, curve in zip(draws, curves, strict=True)]
            for arm, curve, mean in zip(arms, curves, means, strict=True):
                row = {"group": group, "metric": metric, "arm": arm.name, "num_runs": len(curve), "mean": mean[0]}
                rows.append({**row, "sd": _deviation(curve[:, 0]), **_difference(arm is arms[0], mean - means[0])})
    return pd.DataFrame(rows)


def verdict(
    row: Mapping[str, object], *, baseline: str, names: Mapping[str, str], lower_is_better: Collection[str]
) -> str:
    """Puts a row of `compare_arms` into words.

    Args:
        row: Of an arm that is not the first.
        baseline: Name of the first arm.
        names: What people call the metrics.
        lower_is_better: Metrics that are better when smaller.

    Returns:
        Such as ``tuned is better by 0.012 foreground IoU, 95 % interval 0.004 to 0.021``, or
        ``no difference shown in foreground IoU: tuned minus unet is 0.003, 95 % interval -0.010 to 0.016``. An
        interval that touches 0 shows nothing.
    """
    metric, arm = str(row["metric"]), str(row["arm"])
    difference, low, high = (float(str(row[name])) for name in ("difference", "low", "high"))
    name = names.get(metric, metric)
    if not np.isfinite([difference, low, high]).all() or low <= 0.0 <= high:
        interval = f", 95 % interval {low:.3f} to {high:.3f}" if np.isfinite([low, high]).all() else ", no interval"
        return f"{NOTHING} in {name}: {arm} minus {baseline} is {difference:.3f}{interval}"
    if max(map(abs, (difference, low, high))) < SHOWN / 2:
        return f"{arm} is no better than {baseline} in {name}: they are equal to three decimals"
    better = (difference > 0) != (metric in lower_is_better)
    ends = sorted((abs(low), abs(high)))
    word = "better" if better else "worse"
    return f"{arm} is {word} by {abs(difference):.3f} {name}, 95 % interval {ends[0]:.3f} to {ends[1]:.3f}"


def _shared_images(arms: Sequence[Arm]) -> list[list[pd.DataFrame]]:
    """Returns the tables cut down to the images that all of them hold, in one order, with the first one's fields."""
    columns = [set(map(str, table.columns)) for arm in arms for table in arm.per_image]
    if differing := sorted(name for name in set.union(*columns) if not all(name in own for own in columns)):
        raise DataError(
            f"runs must have the same statistics per image, but {', '.join(differing)} are not in all of them: other "
            "code scored them. Evaluate them with one version of the code"
        )
    indexed = [[table.set_index("sample_id").sort_index() for table in arm.per_image] for arm in arms]
    first = indexed[0][0]
    shared = first.index
    for table in (table for tables in indexed for table in tables):
        shared = shared.intersection(table.index)
    known = {name: first.loc[shared, name] for name in ("modality", "field")}
    if known["field"].nunique() < MIN_FIELDS:
        raise DataError(
            f"runs are compared on the test images that all of them have, from {MIN_FIELDS} fields of view at least: "
            f"got {counted(len(shared), 'image')} of {known['field'].nunique()}. Compare runs of one split, or "
            "evaluate them again"
        )
    return [
        [table.loc[shared].assign(modality=known["modality"], field=known["field"]) for table in tables]
        for tables in indexed
    ]


def _drawn_fields(fields: NDArray[np.int64], resamplings: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Returns how often each image counts, ``(1 + resamplings, images)``; first the images as they are."""
    unique, place = np.unique(fields, return_inverse=True)
    drawn = rng.multinomial(len(unique), np.full(len(unique), 1.0 / len(unique)), size=resamplings)
    return np.concatenate([np.ones((1, len(fields))), drawn[:, place].astype(np.float64)])


def _drawn_runs(
    seeds: Sequence[tuple[int, ...]], resamplings: int, rng: np.random.Generator
) -> list[NDArray[np.float64]]:
    """Returns per arm which share each run has, ``(1 + resamplings, runs)``; first equal shares.

    Arms with the seeds of the first arm, in whatever order, get its draw.
    """
    found: list[NDArray[np.float64]] = []
    shares: dict[int, NDArray[np.float64]] = {}
    for place, own in enumerate(seeds):
        num = len(own)
        drawn = rng.multinomial(num, np.full(num, 1.0 / num), size=resamplings) / num
        draw = np.concatenate([np.full((1, num), 1.0 / num), drawn])
        if place == 0:
            shares = dict(zip(own, draw.T, strict=True)) if len(set(own)) == num else {}
        elif sorted(own) == sorted(shares):
            draw = np.stack([shares[seed] for seed in own], axis=1)
        found.append(draw)
    return found


def _scores(table: pd.DataFrame, weights: NDArray[np.float64], score: Score) -> Mapping[str, NDArray[np.float64]]:
    names = [name for name in table.columns if name not in IDENTITY]
    sums = weights @ table[names].to_numpy(np.float64)
    try:
        return score({name: sums[:, place] for place, name in enumerate(names)})
    except KeyError as error:
        raise DataError(
            f"the tables per image must hold all that the scores are made of, but lack {error}: older code made them. "
            "Compare runs of this version"
        ) from error


def _deviation(values: NDArray[np.float64]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")


def _difference(baseline: bool, differences: NDArray[np.float64]) -> dict[str, float]:
    nothing = float("nan")
    if baseline:
        return {"difference": nothing, "low": nothing, "high": nothing}
    low, high = np.percentile(differences[1:], [2.5, 97.5]) if len(differences) > 1 else (nothing, nothing)
    return {"difference": float(differences[0]), "low": float(low), "high": float(high)}
