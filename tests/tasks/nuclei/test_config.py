"""Settings of the nuclei task that cannot go together, and the sizes of nuclei as settings."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nanonuclei.config.params import with_settings
from nanonuclei.errors import ConfigError
from nanonuclei.tasks.nuclei.config import NucleiExperiment

Experiment = Callable[..., NucleiExperiment]
FOREGROUND = {"target.kind": "foreground", "loss.kind": "binary_crossentropy"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"target.diameter": True, **FOREGROUND}, r"target\.diameter needs three classes.*got foreground"),
        ({"windows.diameter": "auto"}, r"windows\.diameter=auto needs a network that was taught sizes"),
        (
            {"augment.least_diameter": 30.0},
            r"least_diameter <= usual_diameter <= largest_diameter must hold, got 30, 24 and 120",
        ),
        ({"augment.largest_diameter": 20.0}, r"must hold, got 6, 24 and 20"),
        ({"windows.diameter": 0.0}, r"diameter"),
        ({"windows.diameter": -3.0}, r"diameter"),
        ({"windows.diameter": 20_000.0}, r"diameter"),
        ({"windows.diameter": "large"}, r"diameter"),
        ({"augment.most_zoom": 0.5}, r"most_zoom"),
    ],
)
def test_settings_that_cannot_be_are_refused(experiment: Experiment, settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        experiment(settings)


def test_diameter_is_a_number_or_one_of_two_words(experiment: Experiment) -> None:
    config = experiment({"target.diameter": True})
    for given, meant in ((30, 30.0), ("24", 24.0), ("12.5", 12.5), ("auto", "auto"), ("none", "none")):
        assert with_settings(config, {"windows.diameter": given}).windows.diameter == meant
