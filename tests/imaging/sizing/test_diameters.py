"""The size of objects: estimated from a map, and what a network is shown because of it."""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from tests.conftest import disc_labels

from nanonuclei.errors import ConfigError
from nanonuclei.imaging.matching import matching
from nanonuclei.imaging.sizing.diameters import WELL_SEEN, Sizing
from nanonuclei.imaging.sizing.estimate import OCTAVES, median_diameter
from nanonuclei.tasks.nuclei.config import NucleiExperiment
from nanonuclei.tasks.nuclei.reader import NucleiReader

Experiment = Callable[..., NucleiExperiment]


def told(labels: np.ndarray) -> np.ndarray:
    """The map of a network that is never wrong: background, body, border (none), diameter."""
    areas = np.bincount(labels.ravel())
    octaves = np.log2(np.sqrt(4 * np.maximum(areas, 1) / np.pi))
    inside = (labels > 0).astype(np.float32)
    size = np.where(labels > 0, octaves[labels] / OCTAVES, 0.5)
    return np.stack([1 - inside, inside, 0 * inside, size], axis=-1).astype(np.float32)


class Knowing:
    """A network that tells bright discs and their diameters, and remembers the windows that it saw."""

    def __init__(self, *, from_grey: float = 0.5) -> None:
        self.shapes: list[tuple[int, ...]] = []
        self._least = from_grey

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        self.shapes += [window.shape[:2] for window in batch]
        return np.stack([told(cv2.connectedComponents(np.uint8(window[..., 0] >= self._least))[1]) for window in batch])


def discs(diameter: float, *, rows: int = 3) -> np.ndarray:
    """A square of as many discs as `rows` has squared, apart by 0.6 diameters."""
    pitch = 1.6 * diameter
    places = [(row + 0.5) * pitch for row in range(rows)]
    side = math.ceil(pitch * rows)
    return disc_labels((side, side), [(y, x, diameter / 2) for y in places for x in places])


def image_of(labels: np.ndarray) -> np.ndarray:
    return np.repeat((labels > 0).astype(np.float32)[..., None], 3, axis=2)


def config(experiment: Experiment, **windows: object) -> NucleiExperiment:
    settings = {"windows.size": 1024, "windows.stride": 960, "target.diameter": True, "instances.min_score": 0.0}
    settings |= {"instances.kind": "components", "instances.min_area": 4, "normalize.kind": "range"}
    return experiment({**settings, **{f"windows.{name}": value for name, value in windows.items()}})


def is_well_seen(shown: float) -> bool:
    """Whether a diameter, px, lies between `WELL_SEEN` times the best one, but for the error of an estimate."""
    return 0.95 * WELL_SEEN[0] * 24.0 <= shown <= 1.05 * WELL_SEEN[1] * 24.0


def test_median_weighs_small_and_large_alike() -> None:
    small, large = (30.0, 20.0, 5.0), (30.0, 60.0, 20.0)
    diameter, number = median_diameter(told(disc_labels((80, 120), [small, large])))
    assert number == pytest.approx(2.0, rel=1e-4)
    assert 9.0 < diameter < 42.0
    two_small = median_diameter(told(disc_labels((80, 120), [small, (60.0, 20.0, 5.0), large])))
    two_large = median_diameter(told(disc_labels((80, 120), [small, large, (30.0, 100.0, 19.0)])))
    assert two_small[0] == pytest.approx(10.0, rel=0.05)  # though the large one has 8 times their pixels
    assert two_large[0] == pytest.approx(39.0, rel=0.05)
    assert [two_small[1], two_large[1]] == pytest.approx([3.0, 3.0], rel=1e-4)


def test_map_without_objects_has_no_diameter() -> None:
    diameter, number = median_diameter(told(np.zeros((8, 8), np.int32)))
    assert math.isnan(diameter)
    assert number == 0.0


@pytest.mark.parametrize("diameter", [8, 12, 24, 50, 94, 160])
def test_discs_of_any_size_are_counted_and_come_back_in_the_size_of_the_image(
    experiment: Experiment, diameter: int
) -> None:
    reader, network, labels = NucleiReader(config(experiment, diameter="auto")), Knowing(), discs(diameter)
    (score_map,) = reader.score_maps(network, [image_of(labels)])
    found = reader.objects(score_map, labels.shape)
    assert len(found.instances) == 9
    assert matching(labels, found.instances.pixels(), 0.75).tp == 9
    assert found.measures["diameter"] == pytest.approx(diameter, rel=0.06, abs=0.5)
    assert is_well_seen(diameter * found.measures["shown_at"])


@pytest.mark.parametrize(("diameter", "looks"), [(4, 2), (8, 3), (26, 1), (50, 1), (160, 2)])  # a glance below 24 px
def test_an_image_is_shown_as_it_is_and_again_where_its_objects_are_too_small_or_too_large_but_no_dust(
    experiment: Experiment, diameter: int, looks: int
) -> None:
    network, labels = Knowing(), discs(diameter)
    tuple(NucleiReader(config(experiment, diameter="auto")).score_maps(network, [image_of(labels)]))
    assert network.shapes[0] == tuple(-(-extent // 2) * 2 for extent in labels.shape)  # multiples of the step, 2
    assert len(network.shapes) == looks


def test_maps_come_in_the_order_of_the_images(experiment: Experiment) -> None:
    sizes = (24, 8, 94, 12, 50)
    images = [image_of(discs(size)) for size in sizes]
    maps = NucleiReader(config(experiment, diameter="auto")).score_maps(Knowing(), iter(images))
    for size, image, score_map in zip(sizes, images, maps, strict=True):
        assert is_well_seen(size * score_map.shape[0] / image.shape[0])
        assert score_map.shape[0] == score_map.shape[1]


def test_few_objects_leave_an_image_as_it_is(experiment: Experiment) -> None:
    labels = disc_labels((300, 300), [(150.0, 150.0, 60.0)])
    (score_map,) = NucleiReader(config(experiment, diameter="auto")).score_maps(Knowing(), [image_of(labels)])
    assert score_map.shape[:2] == (300, 300)


def with_specks(labels: np.ndarray, grey: float, *, size: int = 3) -> np.ndarray:
    """An image of white objects with square specks of a grey value, 10 px apart, on the background between them."""
    image, apart = image_of(labels), cv2.dilate((labels > 0).astype(np.uint8), np.ones((11, 11), np.uint8)) == 0
    for row in range(5, labels.shape[0] - size, 10):
        for column in range(5, labels.shape[1] - size, 10):
            if apart[row, column]:
                image[row : row + size, column : column + size] = grey
    return image


def test_grain_beside_large_objects_is_no_small_object(experiment: Experiment) -> None:
    """Specks that the network takes for objects and a glance does not, faint beside the large ones."""
    labels, reader = discs(100), NucleiReader(config(experiment, diameter="auto"))
    network, image = Knowing(from_grey=0.2), with_specks(discs(100), 0.25)
    assert median_diameter(network(image[None])[0])[0] < 5.0
    (score_map,) = reader.score_maps(network, [image])
    found = reader.objects(score_map, labels.shape)
    assert len(found.instances) == 9
    assert found.measures["shown_at"] == pytest.approx(0.3, abs=0.01)
    settled = reader.settled(network, [image, image]).config.windows.diameter
    assert settled == pytest.approx(80.0, rel=0.05)  # which shows the image at 0.3, too


@pytest.mark.parametrize(("grey", "size"), [(1.0, 3), (0.25, 6)], ids=["bright", "seen in a glance"])
def test_small_objects_beside_large_ones_are_kept(experiment: Experiment, grey: float, size: int) -> None:
    network, image = Knowing(from_grey=0.2), with_specks(discs(100), grey, size=size)
    (score_map,) = NucleiReader(config(experiment, diameter="auto")).score_maps(network, [image])
    assert score_map.shape[0] >= image.shape[0]


@pytest.mark.parametrize(("wanted", "factor"), [("none", 1.0), (24.0, 1.0), (48.0, 0.5), (12.0, 2.0), (4.0, 3.0)])
def test_given_diameter_is_brought_to_the_best_one_in_a_single_look(
    experiment: Experiment, wanted: object, factor: float
) -> None:
    network, image = Knowing(), image_of(discs(48))
    (score_map,) = NucleiReader(config(experiment, diameter=wanted)).score_maps(network, [image])
    assert score_map.shape[0] == pytest.approx(image.shape[0] * factor, abs=1)
    assert len(network.shapes) == 1


def test_diameter_beyond_the_image_is_refused(experiment: Experiment) -> None:
    sizing = Sizing(Knowing(), config(experiment, diameter=300.0).windows, 2)
    image = np.zeros((100, 200, 3), np.float32)
    message = r"windows\.diameter must be .*at most 200 px in an image of 200 x 100 px, got 300\. Lower it, or .*auto"
    with pytest.raises(ConfigError, match=message):
        list(sizing.maps([image]))


def test_map_in_the_size_of_the_image_tells_diameters_of_the_image(experiment: Experiment) -> None:
    reader, labels = NucleiReader(config(experiment)), discs(40)
    half = told(cv2.resize(labels, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_NEAREST))
    whole = reader.in_shape(half, labels.shape)
    assert whole.shape == (*labels.shape, 4)
    np.testing.assert_allclose(whole[..., :3].sum(axis=-1), 1.0, atol=1e-5)
    assert median_diameter(whole)[0] == pytest.approx(40.0, rel=0.05)
    assert reader.in_shape(half, half.shape[:2]) is half
