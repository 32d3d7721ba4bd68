"""What several test files of the stages use: trainings that nobody waits for."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.stages.compared import Trainings

from nanonuclei.stages.compare import compare as stage
from nanonuclei.tasks.nuclei.config import NucleiExperiment


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> Trainings:
    """Makes the trainings of a comparison at once, and notes them."""
    found = Trainings()
    monkeypatch.setattr(stage, "run_child", found)
    return found


@pytest.fixture
def config(experiment: Callable[..., NucleiExperiment]) -> NucleiExperiment:
    """A tiny experiment on simulated images."""
    return experiment({"data.dataset": "simulated", "data.simulated.num_images": 12, "data.simulated.size": 64})
