"""A scan answers what the network answers window by window."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from tests.conftest import spread_scores

from nanonuclei.config.params import Scalar, load_experiment
from nanonuclei.engine.export import export_onnx
from nanonuclei.engine.networks import inference_precision, network_of
from nanonuclei.engine.runtime import load_onnx
from nanonuclei.errors import ConfigError
from nanonuclei.imaging.scan import Scanner, TileNetwork
from nanonuclei.imaging.types import Float32Array
from nanonuclei.imaging.window_geometry import WindowGeometry
from nanonuclei.imaging.windows import cut
from nanonuclei.tasks import create_task
from nanonuclei.tasks.nanotubes.classifier import window_classifier, window_geometry
from nanonuclei.tasks.nanotubes.config import NanotubeExperiment

ROOT = Path(__file__).parents[2]
SMALL: dict[str, Scalar] = {
    "network.kind": "mobilenetv2",
    "network.trunk": "block_3_expand_relu",
    "train.patch_size": 16,
    "windows.tile": 64,
    "windows.precision": "float32",
}
TRUNKS: dict[str, dict[str, Scalar]] = {
    "mobilenetv2": {},
    "vgg16": {"network.kind": "vgg16", "network.trunk": "block3_conv1"},
    "no hidden units": {"network.hidden": 0},
    "flattened head": {"network.head": "flatten", "network.hidden": 5},
}
SIZES = {
    "smaller than a window": (9, 13),
    "one window": (16, 16),
    "smaller than a tile": (40, 33),
    "several tiles": (101, 77),
    "one row": (1, 90),
}


def experiment(settings: dict[str, Scalar]) -> NanotubeExperiment:
    config = load_experiment("nanotubes", path=ROOT / "params.yaml", settings={**SMALL, **settings})
    assert isinstance(config, NanotubeExperiment)
    return config


def classifier(config: NanotubeExperiment) -> keras.Model:
    keras.utils.set_random_seed(3)
    model = window_classifier(config.network, window=config.train.patch_size)
    spread_scores(model, window_geometry(config.network, window=config.train.patch_size).patch)
    return model


def make_scanner(model: keras.Model, config: NanotubeExperiment) -> Scanner:
    return Scanner(network_of(create_task(config), model), config.windows.tile)


def one_by_one(model: keras.Model, image: Float32Array, geometry: WindowGeometry) -> Float32Array:
    """Runs the network on every window, at every stride, that begins inside the image and ends as early as it can."""
    rows, columns = (max(0, -(-(length - geometry.window) // geometry.stride)) + 1 for length in image.shape[:2])
    corners = [
        (row * geometry.stride - geometry.margin, column * geometry.stride - geometry.margin)
        for row in range(rows)
        for column in range(columns)
    ]
    patches = np.stack([cut(image, corner, (geometry.patch, geometry.patch)) for corner in corners])
    answers = [model.predict_on_batch(patches[start : start + 64]) for start in range(0, len(patches), 64)]
    return np.concatenate(answers).reshape(rows, columns)


@pytest.mark.parametrize("trunk", TRUNKS)
def test_scan_agrees_with_window_by_window(trunk: str) -> None:
    config = experiment(TRUNKS[trunk])
    model = classifier(config)
    scanner = make_scanner(model, config)
    spreads = []
    for number, shape in enumerate(SIZES.values()):
        image = np.random.default_rng(number).random((*shape, 3), dtype=np.float32)
        scores = scanner.scores(image)
        expected = one_by_one(model, image, scanner.geometry)
        assert scores.shape == expected.shape
        np.testing.assert_allclose(scores, expected, atol=1e-3)
        spreads.append(np.ptp(expected))
    assert max(spreads) > 0.2  # the scores do differ, by more than they may be wrong


@pytest.mark.parametrize("trunk", TRUNKS)
def test_scan_as_onnx_agrees_with_keras(trunk: str, tmp_path: Path) -> None:
    config = experiment(TRUNKS[trunk])
    model = classifier(config)
    scanner = make_scanner(model, config)
    path = tmp_path / "scan.onnx"
    export_onnx(model, path, shapes=create_task(config).export_shapes)
    served = Scanner(TileNetwork(load_onnx(path, threads=1), scanner.geometry), scanner.tile)
    for shape in ((101, 77, 3), (9, 13, 3)):
        image = np.random.default_rng(0).random(shape, dtype=np.float32)
        np.testing.assert_allclose(served.scores(image), scanner.scores(image), atol=1e-4)


def test_without_the_margin_they_would_not_agree() -> None:
    config = experiment({})
    model = classifier(config)
    scanner = make_scanner(model, config)
    image = np.ones((101, 77, 3), np.float32)
    bare = np.zeros((1, scanner.geometry.patch, scanner.geometry.patch, 3), np.float32)
    inner = slice(scanner.geometry.margin, -scanner.geometry.margin)
    bare[:, inner, inner] = 1.0
    assert abs(scanner.scores(image)[3, 3] - model.predict_on_batch(bare).item()) > 1e-3


def test_tiles_hold_no_more_than_the_config_says() -> None:
    config = experiment({})
    scanner = make_scanner(classifier(config), config)
    sides: list[int] = []

    def noting(tile: Float32Array) -> Float32Array:
        sides.extend(tile.shape[1:3])
        return scanner.network(tile)

    Scanner(TileNetwork(noting, scanner.geometry), scanner.tile).scores(np.zeros((200, 150, 3), np.float32))
    assert max(sides) <= config.windows.tile
    assert len(set(sides)) <= 2


def test_pixel_in_the_middle_of_a_window_has_its_score_and_keeps_its_grey_value() -> None:
    config = experiment({})
    scanner = make_scanner(classifier(config), config)
    image = np.random.default_rng(0).random((60, 49, 3), dtype=np.float32)
    scores, made = scanner.scores(image), scanner.score_map(image)
    assert made.shape == (60, 49, 2)
    assert made.dtype == np.float32
    np.testing.assert_array_equal(made[..., 1], image[..., 0])
    stride, half = scanner.geometry.stride, scanner.geometry.window // 2
    for row, column in ((0, 0), (2, 5), (7, 3)):
        assert made[row * stride + half, column * stride + half, 0] == scores[row, column]
    assert made[0, 0, 0] == scores[0, 0]
    assert made[-1, -1, 0] == scores[-1, -1]


def test_bfloat16_moves_scores_by_little_and_leaves_the_policy_as_it_was() -> None:
    exact, rough = (experiment({"windows.precision": name}) for name in ("float32", "bfloat16"))
    model = classifier(exact)
    image = np.random.default_rng(0).random((48, 48, 3), dtype=np.float32)
    difference = np.abs(make_scanner(model, exact).scores(image) - make_scanner(model, rough).scores(image)).max()
    assert 0.0 < difference < 0.1
    assert keras.config.dtype_policy().name == "float32"


def test_precision_is_decided_by_the_machine_where_it_is_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nanonuclei.engine.devices._cpu_flags", lambda: {"avx512_bf16"})
    monkeypatch.setattr("nanonuclei.engine.devices._gpus", lambda backend: [])
    assert inference_precision(experiment({"windows.precision": "auto"})) == "bfloat16"
    monkeypatch.setattr("nanonuclei.engine.devices._cpu_flags", set)
    assert inference_precision(experiment({"windows.precision": "auto"})) == "float32"


def test_tile_that_holds_no_window_is_refused() -> None:
    config = experiment({"train.patch_size": 64, "windows.tile": 64})
    with pytest.raises(ConfigError, match=r"windows.tile must hold a window of 64 px with margins of \d+ px, got 64"):
        make_scanner(classifier(config), config)
