"""A number and its noun agree."""

from __future__ import annotations

import pytest

from nanonuclei.counted import counted


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((0, "image"), "0 images"),
        ((1, "image"), "1 image"),
        ((2300, "image"), "2,300 images"),
        ((1, "nucleus", "nuclei"), "1 nucleus"),
        ((2, "nucleus", "nuclei"), "2 nuclei"),
    ],
)
def test_number_and_noun_agree(words: tuple[int, str], expected: str) -> None:
    assert counted(*words) == expected
