from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import ROOT, disc_labels, score_map_of

from nanonuclei.config.pixels import WindowsConfig
from nanonuclei.engine.networks import network_of
from nanonuclei.errors import TrackingError
from nanonuclei.imaging import score_maps as module
from nanonuclei.imaging.matching import matching
from nanonuclei.imaging.networks import TileNetwork, timed, with_views
from nanonuclei.imaging.score_maps import (
    fitted,
    score_maps,
)
from nanonuclei.imaging.window_geometry import WindowGeometry
from nanonuclei.imaging.windows import blend, cover
from nanonuclei.models.as_networks import _filled, compiled
from nanonuclei.tasks import create_reader, create_task
from nanonuclei.tasks.base import Task
from nanonuclei.tasks.nanotubes.config import NanotubeExperiment
from nanonuclei.tasks.nuclei.config import NucleiExperiment

STEP = 2


def windows_of(size: int, *, stride: int, batch_size: int) -> WindowsConfig:
    return WindowsConfig(
        size=size,
        stride=stride,
        batch_size=batch_size,
        num_views=1,
        diameter="none",
        best_diameter=24.0,
        precision="float32",
    )


class Echo:
    """A network that answers the first channel, and remembers the batches it saw."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        self.shapes.append(batch.shape)
        return batch[..., :1]


@pytest.mark.parametrize("stride", [16, 11])
def test_map_of_an_echo_is_the_image(stride: int) -> None:
    rng = np.random.default_rng(0)
    images = [rng.random((*shape, 3), np.float32) for shape in ((16, 16), (40, 23), (7, 50), (33, 33))]
    network = Echo()
    config = windows_of(16, stride=stride, batch_size=3)
    for image, score_map in zip(images, score_maps(network, images, config=config, step=STEP), strict=True):
        np.testing.assert_allclose(score_map, image[..., :1], atol=1e-6)
    for count, height, width, _ in network.shapes:
        assert count <= 3
        assert max(height, width) <= 16
        assert height % STEP == width % STEP == 0


@pytest.mark.parametrize(
    ("extent", "expected"),
    [(1, 4), (16, 16), (17, 12), (28, 16), (29, 16), (40, 16), (41, 16), (100, 16)],
)
def test_windows_are_just_large_enough(extent: int, expected: int) -> None:
    assert fitted(extent, 16, overlap=4, step=4) == expected


@given(extent=st.integers(1, 500), steps=st.integers(1, 8), step=st.sampled_from([1, 2, 16]), data=st.data())
def test_fitted_windows_are_no_more_than_full_ones_and_cover(
    extent: int, steps: int, step: int, data: st.DataObject
) -> None:
    largest = steps * step
    overlap = data.draw(st.integers(0, largest - 1))
    size = fitted(extent, largest, overlap=overlap, step=step)
    number = len(cover((extent, 1), (largest, 1), (largest - overlap, 1)))
    assert size <= largest
    assert size % step == 0
    assert len(cover((extent, 1), (size, 1), (max(1, size - overlap), 1))) <= number


class Noise:
    """A network that answers every window with other numbers."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)
        self.answers: list[np.ndarray] = []

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        answer = self.rng.random((*batch.shape[:3], 2), np.float32)
        self.answers += list(answer)
        return answer


@pytest.mark.parametrize("shape", [(50, 40), (16, 70), (70, 16), (9, 9), (33, 17)])
@pytest.mark.parametrize("stride", [16, 11, 3])
def test_map_blended_band_by_band_is_that_of_all_windows_at_once(shape: tuple[int, int], stride: int) -> None:
    network, image = Noise(), np.zeros((*shape, 3), np.float32)
    config = windows_of(16, stride=stride, batch_size=3)
    (score_map,) = score_maps(network, [image], config=config, step=STEP)
    sizes = [fitted(extent, 16, overlap=16 - stride, step=STEP) for extent in shape]
    windows = cover(shape, (sizes[0], sizes[1]), (max(1, sizes[0] - 16 + stride), max(1, sizes[1] - 16 + stride)))
    assert len(network.answers) == len(windows)
    np.testing.assert_array_equal(score_map, blend(np.stack(network.answers), windows, shape))


def test_batches_hold_windows_of_one_shape_within_both_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    config = windows_of(32, stride=32, batch_size=3)
    images = [np.zeros((*shape, 3), np.float32) for shape in [(8, 8)] * 4 + [(8, 10)] + [(64, 32)] + [(32, 32)] * 3]
    for most, sizes in ((10_000, [3, 1, 1, 3, 2]), (2048, [3, 1, 1, 2, 2, 1]), (10, [1] * 10)):
        monkeypatch.setattr(module, "MOST_PIXELS", most)
        network = Echo()
        assert len(list(score_maps(network, images, config=config, step=STEP))) == len(images)
        assert [shape[0] for shape in network.shapes] == sizes


def test_network_that_compiles_per_shape_is_called_with_few_of_them() -> None:
    network = Echo()
    for number in range(1, 9):
        batch = np.random.default_rng(number).random((number, 4, 4, 3), np.float32)
        np.testing.assert_array_equal(_filled(network)(batch), batch[..., :1])
    assert {shape[0] for shape in network.shapes} == {1, 2, 4, 8}


def test_images_are_read_as_they_are_needed() -> None:
    read = []

    def images() -> object:
        for number in range(50):
            read.append(number)
            yield np.zeros((8, 8, 3), np.float32)

    config = windows_of(16, stride=16, batch_size=2)
    next(score_maps(Echo(), images(), config=config, step=STEP))
    assert len(read) <= 3


def test_no_image_gives_no_map() -> None:
    config = windows_of(16, stride=16, batch_size=2)
    assert list(score_maps(Echo(), [], config=config, step=STEP)) == []


def test_objects_of_an_image_of_any_size_fit_into_it(experiment: Callable[..., NucleiExperiment]) -> None:
    task = create_task(experiment({"instances.min_area": 0}))
    model = task.build_network()
    image = np.random.default_rng(0).integers(0, 255, (37, 61), np.uint8)
    found = task.instances(score_map_of(task, network_of(task, model), image), image.shape)
    assert found.labels.shape == (37, 61)
    assert len(found) == found.labels.max()


def test_keras_network_answers_arrays(experiment: Callable[..., NucleiExperiment]) -> None:
    network = compiled(create_task(experiment()).build_network())
    assert isinstance(network(np.zeros((1, 32, 32, 3), np.float32)), np.ndarray)


def test_bfloat16_moves_scores_of_nuclei_by_little(experiment: Callable[..., NucleiExperiment]) -> None:
    exact, rough = (create_task(experiment({"windows.precision": name})) for name in ("float32", "bfloat16"))
    model = exact.build_network()
    batch = np.random.default_rng(0).random((2, 32, 32, 3), np.float32)
    expected, found = network_of(exact, model)(batch), network_of(rough, model)(batch)
    assert found.dtype == expected.dtype == np.float32
    assert 0.0 < np.abs(found - expected).max() < 0.05


class Ramp:
    """Answers the image plus a ramp to the right: no two of the eight views agree."""

    def predict_on_batch(self, batch: np.ndarray) -> np.ndarray:
        return batch[..., :1] + np.arange(batch.shape[2], dtype=np.float32)[:, None]


def test_eight_views_turn_back_before_they_are_averaged() -> None:
    batch = np.random.default_rng(0).random((2, 16, 16, 3), np.float32)
    answer = with_views(compiled(Ramp()), num_views=8)(batch)
    np.testing.assert_allclose(answer, batch[..., :1] + 7.5, rtol=1e-5)


def test_answer_over_eight_views_turns_with_the_image(experiment: Callable[..., NucleiExperiment]) -> None:
    network = with_views(compiled(create_task(experiment()).build_network()), num_views=8)
    batch = np.random.default_rng(0).random((1, 32, 32, 3), np.float32)
    turned = np.ascontiguousarray(np.rot90(batch, axes=(1, 2)))
    np.testing.assert_allclose(network(turned), np.rot90(network(batch), axes=(1, 2)), atol=1e-5)


class Local:
    """A network that sees 2 px far, and nothing beyond its window: answers fade to 3/5 at the window's border."""

    def predict_on_batch(self, batch: np.ndarray) -> np.ndarray:
        seen = [cv2.blur(image[..., 0], (5, 5), borderType=cv2.BORDER_CONSTANT) for image in batch]
        return np.stack(seen)[..., None]


@pytest.mark.parametrize("size", [32, 48, 64])
@pytest.mark.parametrize("overlap", [0, 1, 8, 16, 24])
def test_nuclei_that_lie_across_the_seams_of_windows_come_out_whole_and_once(
    experiment: Callable[..., NucleiExperiment], size: int, overlap: int
) -> None:
    stride, shape = size - overlap, (190, 181)
    task = seam_task(experiment, size=size, stride=stride)
    steps = [fitted(extent, size, overlap=overlap, step=task.config.network.step) - overlap for extent in shape]
    rows, columns = (range(step, 170, step) for step in steps)  # where windows begin
    discs = [(float(y), float(x), 8.0) for y in rows for x in columns]
    discs = [disc for place, disc in enumerate(discs) if _apart(disc, discs[:place])]
    truth = disc_labels(shape, discs)
    image = np.where(truth > 0, 255, 0).astype(np.uint8)
    found = task.instances(score_map_of(task, network_of(task, Local()), image), shape)
    assert len(found) == len(discs) == matching(truth, found.labels, 0.8).tp


def seam_task(experiment: Callable[..., NucleiExperiment], *, size: int, stride: int) -> Task:
    settings = {"windows.size": size, "windows.stride": stride, "normalize.kind": "range", "instances.min_score": 0.0}
    return create_task(experiment({**settings, "target.kind": "foreground", "loss.kind": "binary_crossentropy"}))


def _apart(disc: tuple[float, float, float], others: list[tuple[float, float, float]]) -> bool:
    return all(np.hypot(disc[0] - y, disc[1] - x) > 20 for y, x, _ in others)


def test_prediction_is_imported_without_keras() -> None:
    modules = "nanonuclei.imaging.score_maps, nanonuclei.engine.runtime, nanonuclei.imaging.scan"
    code = f"import sys, {modules}; print('keras' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["False"]


def test_network_that_scans_must_tell_how_its_windows_lie(tube_experiment: Callable[..., NanotubeExperiment]) -> None:
    reader, image = create_reader(tube_experiment()), np.random.default_rng(0).random((40, 50, 3), np.float32)
    with pytest.raises(TrackingError, match=r"must tell how its windows lie, but Echo does not.*task=nanotubes"):
        reader.score_maps(Echo(), [image])
    tiles = TileNetwork(lambda batch: batch[:, :3, :6, :1], WindowGeometry(32, 8, 4))
    network, watch = timed(tiles)
    (score_map,) = reader.score_maps(network, [image])
    assert score_map.shape == (40, 50, 2)
    np.testing.assert_array_equal(score_map[..., 1], image[..., 0])
    assert watch.seconds > 0.0
