from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from tests.conftest import network

from nanonuclei.models.blocks import RELU_GAIN, StandardizedConv2D
from nanonuclei.models.optimizers import COSINE_END, optimizer
from nanonuclei.models.phases import phases
from nanonuclei.models.unet import unet
from nanonuclei.tasks.nuclei.config import NucleiExperiment


def test_parameters_of_a_small_network_by_hand() -> None:
    """Depth 1, 2 filters: two 3 x 3 convolutions down, two at the bottom, one 2 x 2 up, two up, the head."""
    down, bottom = (27 * 2 + 2) + (18 * 2 + 2), (18 * 4 + 4) + (36 * 4 + 4)
    up, head = (4 * 4 * 2 + 2) + (36 * 2 + 2) + (18 * 2 + 2), 2 + 1
    model = unet(network(depth=1, base_filters=2), num_classes=1)
    assert model.count_params() == down + bottom + up + head


@pytest.mark.parametrize("normalisation", ["batch", "group", "weights", "none"])
def test_any_size_that_the_depth_divides_comes_out_as_it_went_in(normalisation: str) -> None:
    model = unet(network(normalisation=normalisation, dropout=0.1), num_classes=3)
    for shape in ((16, 24), (40, 8)):
        answer = model(np.zeros((1, *shape, 3), np.float32))
        assert answer.shape == (1, *shape, 3)


def test_standardized_convolution_by_hand() -> None:
    layer = StandardizedConv2D(2, 1, use_bias=False)
    layer.build((None, 4, 4, 2))
    layer.kernel.assign(np.array([[[[3.0, 1.0], [1.0, 5.0]]]]))
    layer.gain.assign(np.array([1.0, 2.0]))
    share = RELU_GAIN / np.sqrt(2)  # (3, 1) and (1, 5) become (1, -1) / sqrt(2) and 2 * (-1, 1) / sqrt(2)
    answer = np.asarray(layer(np.array([[[[1.0, 0.0]], [[0.0, 1.0]]]], np.float32)))
    np.testing.assert_allclose(answer[0, :, 0], [[share, -2 * share], [-share, 2 * share]], rtol=1e-5)


@pytest.mark.parametrize("normalisation", ["batch", "group", "weights", "none"])
def test_a_stored_network_answers_as_before(normalisation: str, tmp_path: Path) -> None:
    model = unet(network(normalisation=normalisation), num_classes=3)
    rng = np.random.default_rng(0)
    model.set_weights([value + rng.uniform(0.1, 0.5, value.shape) for value in model.get_weights()])
    x = rng.random((1, 16, 16, 3), np.float32)
    expected = np.asarray(model(x))
    model.save(tmp_path / "network.keras")
    np.testing.assert_array_equal(np.asarray(keras.saving.load_model(tmp_path / "network.keras")(x)), expected)
    model.save_weights(tmp_path / "network.weights.h5")
    other = unet(network(normalisation=normalisation), num_classes=3)
    other.load_weights(tmp_path / "network.weights.h5")
    np.testing.assert_array_equal(np.asarray(other(x)), expected)


def test_standardized_weights_keep_the_scale_of_activations() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, 32, 32, 64)).astype(np.float32)
    for _ in range(6):
        x = np.maximum(np.asarray(StandardizedConv2D(64, 3, padding="same")(x)), 0.0)
    assert 0.4 < x[:, 8:-8, 8:-8].std() < 2.5


def test_class_scores_sum_to_one() -> None:
    answer = np.asarray(unet(network(), num_classes=3)(np.random.default_rng(0).random((1, 16, 16, 3), np.float32)))
    np.testing.assert_allclose(answer.sum(axis=-1), 1.0, rtol=1e-5)


@pytest.mark.parametrize(
    ("epoch", "share"), [(0.0, 0.0), (1.0, 0.5), (2.0, 1.0), (6.0, (1 + COSINE_END) / 2), (10.0, COSINE_END)]
)
def test_cosine_schedule_rises_over_the_warmup_and_falls_to_its_end(
    experiment: Callable[..., NucleiExperiment], epoch: float, share: float
) -> None:
    settings = {"train.schedule": "cosine", "train.epochs": 10, "train.warmup_epochs": 2, "train.steps_per_epoch": 10}
    config = experiment(settings).train
    schedule = optimizer(config, phases(config)[0])._learning_rate
    assert float(schedule(epoch * 10)) == pytest.approx(share * config.learning_rate, abs=1e-8, rel=1e-4)


def test_short_training_keeps_half_of_its_epochs_from_the_warmup(
    experiment: Callable[..., NucleiExperiment],
) -> None:
    config = experiment({"train.schedule": "cosine", "train.epochs": 2, "train.warmup_epochs": 5}).train
    schedule = optimizer(config, phases(config)[0])._learning_rate
    assert float(schedule(config.steps_per_epoch)) == pytest.approx(config.learning_rate, rel=1e-4)
