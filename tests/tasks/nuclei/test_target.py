"""What a network of nuclei learns per pixel, beside the classes: how large the nucleus is."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from tests.conftest import disc_labels

from nanonuclei.tasks.nuclei.config import TargetConfig
from nanonuclei.tasks.nuclei.target import NucleiTarget


def target(kind: str = "core", *, diameter: bool = True, border_width: str = "fixed") -> NucleiTarget:
    settings = {"kind": kind, "border_width": border_width, "border": 2, "core": 0.5, "diameter": diameter}
    return NucleiTarget(TargetConfig.model_validate(settings))


LABELS = disc_labels((80, 120), [(40.0, 30.0, 20.0), (20.0, 90.0, 6.0), (60.0, 90.0, 11.0)])
AREAS = np.bincount(LABELS.ravel()).astype(np.float32)
STEPS = np.round(24 * np.log2(np.sqrt(4 * AREAS[1:] / np.pi)))


@pytest.mark.parametrize("kind", ["boundary", "core"])
def test_second_channel_is_the_diameter_in_steps_of_an_octave(kind: str) -> None:
    found = target(kind)(LABELS)
    assert found.dtype == np.uint8
    assert found.shape == (80, 120, 2)
    for number, steps in enumerate(STEPS, start=1):
        assert set(found[..., 1][number == LABELS].tolist()) == {int(steps)}
    assert (found[..., 1][LABELS == 0] == 0).all()
    np.testing.assert_array_equal(found[..., :1], target(kind, diameter=False)(LABELS))


def test_diameter_is_that_of_the_whole_nucleus_where_the_patch_cuts_it() -> None:
    part = LABELS[:50, 30:100]
    found = target()(part, AREAS)[..., 1]
    for number, steps in enumerate(STEPS, start=1):
        assert set(found[part == number].tolist()) == {int(steps)}
    assert target()(part)[..., 1].max() < STEPS[0]  # counted in the part alone, the first would be smaller


@pytest.mark.parametrize(("area", "steps"), [(0.1, 1), (np.pi / 4, 1), (np.pi * 16**2, 120), (np.pi * 4000**2, 255)])
def test_steps_by_hand(area: float, steps: int) -> None:
    """Diameters below 1 px, of 1, 32 and 8000 px: 24 steps per octave, from 1 to what a byte holds."""
    labels = np.ones((2, 2), np.int32)
    assert set(target()(labels, np.array([7.0, area], np.float32))[..., 1].ravel().tolist()) == {steps}


def test_borders_by_area_follow_the_area_of_the_whole() -> None:
    labels = np.zeros((30, 30), np.int32)
    labels[5:25, 5:15], labels[5:25, 15:25] = 1, 2  # 200 px each in the patch
    build = target("boundary", border_width="by_area")
    assert np.flatnonzero(build(labels)[15, :, 0] == 2).tolist() == [14, 15]
    whole = np.array([0.0, 400.0, 2500.0], np.float32)
    assert np.flatnonzero(build(labels, whole)[15, :, 0] == 2).tolist() == [13, 14, 15, 16, 17]


def test_patch_without_nuclei_is_all_background() -> None:
    assert not target()(np.zeros((8, 8), np.int32), np.zeros(1, np.float32)).any()


def test_target_can_be_sent_to_a_process() -> None:
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(target()))(LABELS, AREAS), target()(LABELS, AREAS))
