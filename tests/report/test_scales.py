from __future__ import annotations

import pytest

from nanonuclei.config.space import Choice, FloatRange, IntRange
from nanonuclei.report.scales import broken, scale_of, scale_of_values


def test_a_range_declared_logarithmic_is_drawn_so_however_short() -> None:
    scale = scale_of(FloatRange(type="float", low=1.0, high=4.0, log=True))
    assert scale.log
    assert scale.ticks == [(1.0, "1"), (2.0, "2"), (4.0, "4")]
    assert scale.share(2.0) == pytest.approx(0.5)
    low, high = scale.limits()
    assert low < 1.0 < 4.0 < high


@pytest.mark.parametrize(
    ("low", "high", "step", "told"),
    [(3, 5, 1, ["3", "4", "5"]), (8, 32, 8, ["8", "16", "24", "32"]), (1, 1001, 100, ["1", "501", "1,001"])],
)
def test_ticks_of_whole_numbers_are_values_that_can_be_chosen(low: int, high: int, step: int, told: list[str]) -> None:
    scale = scale_of(IntRange(type="int", low=low, high=high, step=step, log=False))
    assert [text for _, text in scale.ticks] == told
    assert (scale.share(low), scale.share(high)) == (0.0, 1.0)


def test_choices_lie_side_by_side_in_their_order_and_a_single_one_in_the_middle() -> None:
    scale = scale_of(Choice(type="choice", values=[1.0, 0.35, "none"]))
    assert [scale.share(scale.place(value)) for value in (1.0, 0.35, "none")] == pytest.approx([1 / 6, 1 / 2, 5 / 6])
    assert [text for _, text in scale.ticks] == ["1.0", "0.35", "none"]
    one = scale_of(Choice(type="choice", values=[0.35]))
    assert one.share(one.place(0.35)) == 0.5


def test_close_values_are_told_apart_and_a_single_one_stands_alone() -> None:
    assert [text for _, text in scale_of_values([0.1393, 0.13968]).ticks] == ["0.1393", "0.13949", "0.13968"]
    assert scale_of_values([0.5, 0.5]).ticks == [(0.5, "0.5")]
    assert scale_of_values([]).ticks == []


def test_long_choices_are_broken_between_their_words() -> None:
    assert broken("sparse_categorical_crossentropy+dice") == "sparse_\ncategorical_\ncrossentropy+\ndice"
    assert broken("unet") == "unet"
