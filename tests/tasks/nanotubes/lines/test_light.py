from __future__ import annotations

import numpy as np
import pytest

from nanonuclei.tasks.nanotubes.lines.light import brightest_channel, is_transmitted


def test_each_pixel_of_a_colour_image_has_its_brightest_colour_whatever_its_alpha() -> None:
    colours = np.array([[[0, 200, 0, 255], [90, 10, 30, 255]]], np.uint8)
    assert brightest_channel(colours).tolist() == [[200, 90]]
    assert brightest_channel(colours[..., 1]).tolist() == [[200, 10]]


@pytest.mark.parametrize(("dark", "transmitted"), [(0.0, True), (0.02, True), (0.1, False), (0.9, False)])
def test_image_with_hardly_any_dark_ground_is_one_of_transmitted_light(dark: float, transmitted: bool) -> None:
    grey = np.full((100, 100), 0.5, np.float32)
    grey[:, : round(100 * dark)] = 0.02
    assert is_transmitted(grey) is transmitted
