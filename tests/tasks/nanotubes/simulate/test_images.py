"""The simulated nanotubes: repeatable, true to what is said of them, and hard in the right places."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import cv2
import numpy as np
import pytest

from nanonuclei.errors import DataError
from nanonuclei.tasks.nanotubes.lines.line import measure
from nanonuclei.tasks.nanotubes.simulate.images import NanotubeImage, NanotubeSettings, simulate_nanotubes

SETTINGS = NanotubeSettings(
    size=320, cell_radius=20.0, coverage=0.3, tubes_per_cell=0.5, faint=0.2, distractors=1.0, noise=1.0, tile=160
)


@pytest.fixture(scope="module")
def images() -> list[NanotubeImage]:
    return list(simulate_nanotubes(8, settings=SETTINGS, seed=3))


def only(settings: NanotubeSettings, seed: int = 3) -> NanotubeImage:
    return next(simulate_nanotubes(1, settings=settings, seed=seed))


def test_images_have_the_promised_names_shapes_and_types(images):
    assert [image.sample_id for image in images[:2]] == ["nanotubes_0000", "nanotubes_0001"]
    for image in images:
        assert image.image.shape == (320, 320, 2)
        assert image.image.dtype == np.uint8
        for labels in (image.cells, image.nuclei, image.tube_labels()):
            assert labels.shape == (320, 320)
            assert labels.dtype == np.uint16


@pytest.mark.parametrize("size", [128, 201, 320])
def test_the_same_seed_gives_the_same_images(size):
    one, other = (only(replace(SETTINGS, size=size)) for _ in range(2))
    assert np.array_equal(one.image, other.image)
    assert np.array_equal(one.cells, other.cells)
    assert np.array_equal(one.nuclei, other.nuclei)
    assert [tube.cells for tube in one.tubes] == [tube.cells for tube in other.tubes]
    for tube, twin in zip(one.tubes, other.tubes, strict=True):
        assert np.array_equal(tube.line.points, twin.line.points)
        assert np.array_equal(tube.pixels, twin.pixels)


def test_an_image_does_not_depend_on_how_many_are_drawn(images):
    few = list(islice(simulate_nanotubes(500, settings=SETTINGS, seed=3), 2))
    assert all(np.array_equal(one.image, other.image) for one, other in zip(few, images, strict=False))


def test_index_and_seed_change_the_image(images):
    pictures = [image.image.tobytes() for image in images] + [only(SETTINGS, seed=4).image.tobytes()]
    assert len(set(pictures)) == 9


def test_the_label_of_a_tube_is_its_place_in_the_list(images):
    for image in images:
        labels = image.tube_labels()
        if image.tubes:
            last = image.tubes[-1]
            assert (labels[tuple(last.pixels.T)] == len(image.tubes)).all()
        covered = np.zeros(labels.shape, bool)
        for tube in image.tubes:
            covered[tuple(tube.pixels.T)] = True
        assert np.array_equal(labels > 0, covered)


def test_measuring_the_mask_of_a_tube_finds_its_length_width_and_cells_again(images):
    misnamed = num_tubes = 0
    for image in images:
        num_tubes += len(image.tubes)
        for tube in image.tubes:
            mask = np.zeros(image.cells.shape, np.int32)
            mask[tuple(tube.pixels.T)] = 1
            found = measure(mask, image.cells)[0]
            misnamed += sorted(found.cells) != sorted(tube.cells)
            assert found.line.length == pytest.approx(tube.line.length, abs=5.0)
            if tube.line.length > 15.0:
                assert found.line.width == pytest.approx(tube.line.width, abs=0.6)
    # A line may end where two cells meet.
    assert misnamed <= 0.05 * num_tubes


def test_the_number_of_tubes_per_cell_is_about_what_was_asked_for(images):
    ratio = sum(len(image.tubes) for image in images) / sum(int(image.cells.max()) for image in images)
    assert ratio == pytest.approx(0.5, abs=0.2)


def test_tubes_are_brighter_than_their_surroundings_and_faint_ones_less_so():
    contrasts: dict[bool, list[float]] = {True: [], False: []}
    for image in simulate_nanotubes(6, settings=replace(SETTINGS, faint=0.4, distractors=0.0, tile=0), seed=1):
        membranes = image.image[..., 0].astype(np.float32)
        taken = cv2.dilate(((image.cells > 0) | (image.tube_labels() > 0)).astype(np.uint8), np.ones((5, 5))) > 0
        noise = np.diff(membranes, axis=1)[~taken[:, 1:]].std() / np.sqrt(2.0)
        for tube in image.tubes:
            own = np.zeros(image.cells.shape, np.uint8)
            own[tuple(np.rint(tube.line.points[8:-8]).astype(int).T)] = 1
            around = (cv2.dilate(own, np.ones((13, 13))) > 0) & ~taken
            if own.sum() > 15 and around.sum() > 40:
                contrasts[tube.faint].append((membranes[own > 0].mean() - np.median(membranes[around])) / noise)
    assert min(map(len, contrasts.values())) >= 10
    assert 1.2 < np.median(contrasts[True]) < 3.2
    assert np.median(contrasts[False]) > 4.0
    assert np.mean(np.array(contrasts[False]) > 2.0) > 0.95


def test_cells_shine_in_one_channel_and_nuclei_in_the_other(images):
    for image in images:
        membranes, nuclei = image.image[..., 0].astype(float), image.image[..., 1].astype(float)
        ground = image.cells == 0
        assert membranes[~ground].mean() > membranes[ground].mean() + 15
        assert nuclei[image.nuclei > 0].mean() > nuclei[(image.nuclei == 0) & ~ground].mean() + 15


def test_tubes_do_not_show_in_the_channel_of_the_nuclei():
    settings = replace(SETTINGS, noise=0.0, distractors=0.0, tile=0, faint=0.0)
    image = only(settings)
    tubes = image.tube_labels() > 0
    nuclei = image.image[..., 1].astype(float)
    around = cv2.dilate(tubes.astype(np.uint8), np.ones((7, 7))).astype(bool) & (image.cells == 0) & ~tubes
    assert abs(nuclei[tubes].mean() - nuclei[around].mean()) < 3.0


def test_images_without_tubes_have_cells_seams_and_look_alikes():
    image = only(replace(SETTINGS, tubes_per_cell=0.0, distractors=2.0))
    assert image.tubes == ()
    assert not image.tube_labels().any()
    assert image.cells.max() > 5
    bare = only(replace(SETTINGS, tubes_per_cell=0.0, distractors=0.0))
    lines, plain = (
        np.mean(cv2.morphologyEx(one.image[..., 0], cv2.MORPH_TOPHAT, np.ones((5, 5), np.uint8))[one.cells == 0] > 15)
        for one in (image, bare)
    )
    assert lines > 3 * plain


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": 127}, "size of simulated nanotubes must be in 128..8192, got 127"),
        ({"cell_radius": 5.0}, "cell_radius"),
        ({"coverage": 0.0}, "coverage"),
        ({"tubes_per_cell": -0.1}, "tubes_per_cell"),
        ({"faint": 1.5}, "faint"),
        ({"distractors": 5.0}, "distractors"),
        ({"noise": float("nan")}, "noise"),
        ({"tile": 63}, "tile must be 0 or at least 64 px, got 63"),
    ],
)
def test_impossible_settings_fail_at_once(change, message):
    with pytest.raises(DataError, match=message):
        simulate_nanotubes(1, settings=replace(SETTINGS, **change), seed=0)


@pytest.mark.parametrize(("num_images", "seed"), [(-1, 0), (1, -1)])
def test_negative_numbers_of_images_and_seeds_are_refused(num_images, seed):
    with pytest.raises(DataError, match="0 or more"):
        simulate_nanotubes(num_images, settings=SETTINGS, seed=seed)


def test_no_images_are_no_samples():
    assert list(simulate_nanotubes(0, settings=SETTINGS, seed=0)) == []
