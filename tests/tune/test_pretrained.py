"""Pretrained weights that a space may ask for are looked up before the first trial."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nanonuclei.errors import ConfigError
from nanonuclei.models.encoders import weights_path
from nanonuclei.tasks.nuclei.config import NucleiExperiment
from nanonuclei.tune.pretrained import check_weights


def choice(*values: object) -> dict[str, Any]:
    return {"type": "choice", "values": list(values)}


@pytest.mark.parametrize(
    ("settings", "space", "asked"),
    [
        ({"network.weights": "imagenet"}, {"train.learning_rate": choice(0.1, 0.2)}, []),
        ({"network.weights": "none"}, {"network.kind": choice("unet", "mobilenetv2")}, []),
        (
            {"network.weights": "imagenet"},
            {"network.kind": choice("unet", "mobilenetv2"), "network.alpha": choice(0.35, 0.4, 0.5)},
            [("mobilenetv2", 0.35), ("mobilenetv2", 0.5)],
        ),
        (
            {},
            {"network.kind": choice("resnet50"), "network.weights": choice("none", "imagenet")},
            [("resnet50", 0.35)],
        ),
    ],
)
def test_weights_are_looked_up_for_every_legal_network_of_the_space(
    experiment: Callable[..., NucleiExperiment],
    settings: dict[str, Any],
    space: dict[str, Any],
    asked: list[tuple[str, float]],
) -> None:
    seen: list[tuple[str, float]] = []
    config = experiment({**settings, "tune.space": space})
    check_weights(config, look=lambda network: seen.append((network.kind, network.alpha)))
    assert seen == asked


def test_weights_that_are_not_there_are_refused_with_the_trial_that_needs_them(
    experiment: Callable[..., NucleiExperiment], tmp_path: Path
) -> None:
    missing = str(tmp_path / "none.weights.h5")
    space = {"network.kind": choice("unet", "vgg16"), "network.weights": choice("none", missing)}
    with pytest.raises(ConfigError) as caught:
        check_weights(experiment({"tune.space": space}), look=weights_path)
    assert f"network.kind=vgg16, network.weights={missing}" in str(caught.value)
    assert "a file that exists" in str(caught.value)
