"""A network in ONNX form becomes a Keras network that answers alike and can be trained on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from tests.conftest import ROOT

from nanonuclei.config.params import Scalar, load_experiment
from nanonuclei.data.catalog import Catalog
from nanonuclei.engine.export import export_onnx, largest_difference, save_network
from nanonuclei.engine.halved import halve_weights
from nanonuclei.engine.stored.from_onnx import TOLERANCE, network_from_onnx
from nanonuclei.engine.stored.warm_start import StartedFrom, trained_weights
from nanonuclei.engine.train import fit
from nanonuclei.errors import ConfigError, TrackingError
from nanonuclei.tasks import create_task
from nanonuclei.tasks.nuclei.config import NucleiExperiment

SHAPES = ((1, 32, 64, 3), (2, 64, 32, 3))
Make = Callable[[dict[str, Scalar]], NucleiExperiment]


def layers_of(model: keras.Model) -> list[keras.Layer]:
    inner = [layer.layers if isinstance(layer, keras.Model) else [layer] for layer in model.layers]
    return [layer for part in inner for layer in part]


def trained(config: NucleiExperiment) -> keras.Model:
    """A network whose weights, and whose statistics of normalisation, are those of no new one."""
    keras.utils.set_random_seed(5)
    model, rng = create_task(config).build_network(), np.random.default_rng(5)
    for layer in layers_of(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in layer.weights])
    return model


@pytest.mark.parametrize(
    "settings",
    [
        {"network.normalisation": "batch"},
        pytest.param({"network.normalisation": "weights", "target.diameter": True}, marks=pytest.mark.slow),
        pytest.param({"network.normalisation": "none", "network.decoder": "pix2pix"}, marks=pytest.mark.slow),
    ],
)
def test_a_network_that_was_exported_is_read_back(
    settings: dict[str, Scalar], experiment: Make, tmp_path: Path
) -> None:
    config = experiment(settings)
    model, task = trained(config), create_task(config)
    export_onnx(model, tmp_path / "network.onnx", shapes=SHAPES)
    again = network_from_onnx(task, tmp_path / "network.onnx")
    assert largest_difference(again, tmp_path / "network.onnx", SHAPES) < 1e-4
    assert [weight.shape for weight in again.weights] == [weight.shape for weight in model.weights]
    weights = trained_weights(task, tmp_path / "network.onnx")
    np.testing.assert_array_equal(weights[0], again.get_weights()[0])


@pytest.mark.slow
def test_an_encoder_with_halved_weights_is_read_back(small_encoder: Path, experiment: Make, tmp_path: Path) -> None:
    config = experiment(
        {"network.kind": "mobilenetv2", "network.depth": 2, "network.weights": str(small_encoder), "windows.size": 32}
    )
    export_onnx(trained(config), tmp_path / "whole.onnx", shapes=SHAPES)
    images = np.random.default_rng(0).random((1, 32, 32, 3), np.float32)
    halve_weights(tmp_path / "whole.onnx", tmp_path / "network.onnx", batches=[images])
    again = network_from_onnx(create_task(config), tmp_path / "network.onnx")
    assert largest_difference(again, tmp_path / "network.onnx", SHAPES) < TOLERANCE


@pytest.mark.slow
def test_the_model_that_comes_along_is_read_back() -> None:
    folder = ROOT / "models" / "nuclei"
    config = load_experiment("nuclei", path=folder / "config.yaml", missing_from=ROOT / "params.yaml", stored=True)
    again = network_from_onnx(create_task(config), folder / "network.onnx")
    assert largest_difference(again, folder / "network.onnx", ((1, 96, 128, 3),)) < TOLERANCE


def test_weights_of_another_network_are_refused(experiment: Make, tmp_path: Path) -> None:
    save_network(trained(experiment({})), tmp_path / "network.keras")
    wider = create_task(experiment({"network.base_filters": 8}))
    with pytest.raises(ConfigError, match=r"weights of its own network alone, but .* of other shapes"):
        trained_weights(wider, tmp_path / "network.keras")
    deeper = create_task(experiment({"network.depth": 2}))
    with pytest.raises(ConfigError, match="holds 22 arrays and the network of the settings"):
        trained_weights(deeper, tmp_path / "network.keras")


def test_a_network_whose_weights_cannot_be_read_back_says_what_can_be_done(experiment: Make) -> None:
    group = create_task(experiment({"network.normalisation": "group"}))
    with pytest.raises(TrackingError, match=r"cannot be read back from ONNX\. Name the run of its training"):
        network_from_onnx(group, ROOT / "models" / "nuclei" / "network.onnx")


@pytest.mark.slow
def test_a_training_begins_with_the_weights_and_keeps_the_statistics_of_normalisation(
    experiment: Make, disc_catalog: Catalog, tmp_path: Path
) -> None:
    config = experiment({"network.normalisation": "batch", "train.epochs": 1, "train.learning_rate": 0.001})
    weights = trained(config).get_weights()
    begun = StartedFrom(create_task(config), weights)
    for found, wanted in zip(begun.build_model().get_weights(), weights, strict=True):
        np.testing.assert_array_equal(found, wanted)
    result = fit(begun, disc_catalog.split("train"), disc_catalog.split("val"), workdir=tmp_path)
    changed = [not np.array_equal(new, old) for new, old in zip(result.model.get_weights(), weights, strict=True)]
    frozen = [
        layer.name
        for layer in result.model.layers
        if isinstance(layer, keras.layers.BatchNormalization)
        for _ in layer.weights
    ]
    names = [weight.path.split("/")[0] for weight in result.model.weights]
    assert {name for name, moved in zip(names, changed, strict=True) if moved} == set(names) - set(frozen)
