"""Differences whose mean, deviation and interval are computed by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from numpy.typing import NDArray

from nanonuclei.errors import DataError
from nanonuclei.report.compare import Arm, Bootstrap, compare_arms, verdict
from nanonuclei.tasks.nanotubes import score as nanotubes
from nanonuclei.tasks.nuclei import score as nuclei

BOOTSTRAP = Bootstrap(resamplings=2000, seed=1)


def table(values: Sequence[float], *, fields: Sequence[int] | None = None, first: int = 0) -> pd.DataFrame:
    """One image per value; its score is that value."""
    num = len(values)
    return pd.DataFrame(
        {
            "sample_id": [f"s{first + number}" for number in range(num)],
            "modality": ["fluorescence"] * num,
            "field": list(fields or range(num)),
            "height": 10,
            "width": 10,
            "images": 1.0,
            "total": list(values),
        }
    )


def mean_score(sums: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    return {"iou": sums["total"] / sums["images"]}


def compared(*arms: Arm, bootstrap: Bootstrap = BOOTSTRAP) -> pd.DataFrame:
    found = compare_arms(arms, mean_score, bootstrap=bootstrap)
    return found[found["group"] == "all"].set_index("arm")


def test_means_deviations_and_difference_are_those_computed_by_hand() -> None:
    a = Arm("a", (7, 8, 9), tuple(table(values) for values in ([0.2, 0.4], [0.4, 0.6], [0.6, 0.8])))  # 0.3 0.5 0.7
    b = Arm("b", (7, 8, 9), tuple(table(values) for values in ([0.3, 0.5], [0.6, 0.6], [0.6, 1.0])))  # 0.4 0.6 0.8
    found = compared(a, b)
    assert_allclose(found["mean"], [0.5, 0.6])
    assert_allclose(found["sd"], [0.2, 0.2])
    assert_allclose(found.loc["b", "difference"], 0.1)
    assert found.loc["a", ["difference", "low", "high"]].isna().all()
    assert found["num_runs"].tolist() == [3, 3]


def test_what_seed_and_field_do_to_both_arms_cancels_out() -> None:
    rng = np.random.default_rng(3)
    values = rng.uniform(size=(3, 20))
    a = Arm("a", (1, 2, 3), tuple(table(run) for run in values))
    b = Arm("b", (3, 1, 2), tuple(table(values[place] + 0.01) for place in (2, 0, 1)))
    row = compared(a, b).loc["b"]
    assert_allclose(row[["difference", "low", "high"]].astype(float), 0.01, atol=1e-12)


def test_runs_of_other_seeds_are_drawn_independently() -> None:
    a = Arm("a", (1, 2), (table([0.0] * 4), table([1.0] * 4)))
    same = compared(a, Arm("b", (1, 2), (table([0.1] * 4), table([1.1] * 4)))).loc["b"]
    other = compared(a, Arm("b", (5, 6), (table([0.1] * 4), table([1.1] * 4)))).loc["b"]
    assert_allclose([same["low"], same["high"]], 0.1)
    assert_allclose([other["low"], other["high"]], [-0.9, 1.1])  # by chance all draws of one arm are its other run


def test_interval_is_that_of_the_resampled_fields() -> None:
    differences = np.array([0.0] * 50 + [1.0] * 50)
    a, b = Arm("a", (7,), (table(np.zeros(100)),)), Arm("b", (7,), (table(differences),))
    row = compared(a, b).loc["b"]
    half = 1.96 * np.sqrt(0.25 / 100)  # a binomial share of 0.5 among 100 fields
    assert_allclose([row["low"], row["high"]], [0.5 - half, 0.5 + half], atol=0.015)
    assert np.isnan(row["sd"])


def test_tiles_of_one_field_are_drawn_together() -> None:
    values = np.repeat([0.0, 1.0], 50)
    a = Arm("a", (7,), (table(np.zeros(100), fields=[0] * 50 + [1] * 50),))
    b = Arm("b", (7,), (table(values, fields=[0] * 50 + [1] * 50),))
    row = compared(a, b).loc["b"]
    assert (row["low"], row["high"]) == (0.0, 1.0)


def test_groups_are_compared_too_and_one_field_gives_no_interval() -> None:
    tables = [table([0.1, 0.2, 0.3]), table([0.2, 0.4, 0.6])]
    for one in tables:
        one["modality"] = ["fluorescence", "fluorescence", "stained"]
    found = compare_arms([Arm("a", (7,), (tables[0],)), Arm("b", (7,), (tables[1],))], mean_score, bootstrap=BOOTSTRAP)
    stained = found[(found["group"] == "stained") & (found["arm"] == "b")].iloc[0]
    assert list(dict.fromkeys(found["group"])) == ["all", "fluorescence", "stained"]
    assert_allclose(stained["difference"], 0.3)
    assert np.isnan(stained["low"])


def test_images_that_all_runs_share_count() -> None:
    a = Arm("a", (7,), (table([9.0, 0.1, 0.2], first=0),))
    b = Arm("b", (7,), (table([0.3, 0.4, 9.0], first=1),))
    found = compared(a, b)
    assert_allclose(found["mean"], [0.15, 0.35])


@pytest.mark.parametrize(
    ("arms", "message"),
    [
        ([Arm("a", (7,), (table([0.1, 0.2]),))], "needs two arms with a run each"),
        ([Arm("a", (7,), (table([0.1, 0.2]),)), Arm("b", (), ())], r"\{'a': 1, 'b': 0\}"),
        ([Arm("a", (7,), (table([0.1, 0.2]),)), Arm("b", (7,), (table([0.1], first=9),))], "got 0 images of 0"),
        (
            [Arm("a", (7,), (table([0.1, 0.2]),)), Arm("b", (7,), (table([0.1, 0.2]).assign(tp=1),))],
            "but tp are not in all",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(arms: list[Arm], message: str) -> None:
    with pytest.raises(DataError, match=message):
        compare_arms(arms, mean_score, bootstrap=BOOTSTRAP)


@pytest.mark.parametrize(
    ("metric", "difference", "low", "high", "words"),
    [
        (
            "ap50_pooled",
            0.012,
            0.004,
            0.021,
            "tuned is better by 0.012 AP at IoU 0.5, pooled, 95 % interval 0.004 to 0.021",
        ),
        ("iou", -0.02, -0.03, -0.01, "tuned is worse by 0.020 foreground IoU, 95 % interval 0.010 to 0.030"),
        (
            "binary_crossentropy",
            -0.02,
            -0.03,
            -0.01,
            "tuned is better by 0.020 binary cross-entropy, 95 % interval 0.010 to 0.030",
        ),
        (
            "tcr_error",
            0.02,
            0.01,
            0.03,
            "tuned is worse by 0.020 error of nanotubes per cell, 95 % interval 0.010 to 0.030",
        ),
        (
            "iou",
            -0.0002,
            -0.0004,
            -0.0001,
            "tuned is no better than unet in foreground IoU: they are equal to three decimals",
        ),
        (
            "iou",
            0.003,
            -0.01,
            0.016,
            "no difference shown in foreground IoU: tuned minus unet is 0.003, 95 % interval -0.010 to 0.016",
        ),
        (
            "iou",
            0.0,
            0.0,
            0.0,
            "no difference shown in foreground IoU: tuned minus unet is 0.000, 95 % interval 0.000 to 0.000",
        ),
        (
            "iou",
            0.1,
            float("nan"),
            float("nan"),
            "no difference shown in foreground IoU: tuned minus unet is 0.100, no interval",
        ),
    ],
)
def test_verdict_says_which_is_better_only_where_the_interval_excludes_zero(
    metric: str, difference: float, low: float, high: float, words: str
) -> None:
    row = {"metric": metric, "arm": "tuned", "difference": difference, "low": low, "high": high}
    assert (
        verdict(
            row,
            baseline="unet",
            names={**nuclei.METRIC_NAMES, **nanotubes.METRIC_NAMES},
            lower_is_better=nuclei.LOWER_IS_BETTER | nanotubes.LOWER_IS_BETTER,
        )
        == words
    )


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=12))
def test_swapping_the_arms_turns_the_difference_and_its_interval_around(pairs: list[tuple[float, float]]) -> None:
    a = Arm("a", (7,), (table([first for first, _ in pairs]),))
    b = Arm("b", (7,), (table([second for _, second in pairs]),))
    there = compared(a, b, bootstrap=Bootstrap(50, 3)).loc["b"]
    back = compared(b, a, bootstrap=Bootstrap(50, 3)).loc["a"]
    assert_allclose(
        there[["difference", "low", "high"]].astype(float),
        -back[["difference", "high", "low"]].astype(float),
        atol=1e-9,
    )
