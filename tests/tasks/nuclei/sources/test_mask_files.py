"""What a mask file is: one nucleus, a label image, or separate parts; what could be either is refused with a remedy."""

from __future__ import annotations

import numpy as np
import pytest
from tests.data.files.synthetic import LABELS

from nanonuclei.errors import DataError
from nanonuclei.tasks.nuclei.sources.mask_files import MaskKind, Painting, objects_of

BINARY = np.where(LABELS > 0, 255, 0).astype(np.uint8)
TOUCHING = np.repeat(np.arange(1, 41), 4)[None].repeat(16, axis=0)
COLOURED = np.where(LABELS > 0, 1 + LABELS % 2, 0)
"""Two values that 14 separate nuclei share, as in BBBC039."""


@pytest.mark.parametrize(
    ("values", "kind", "num"),
    [
        (LABELS, "one_per_nucleus", 14),
        (LABELS.astype(np.uint16) * 300, "one_per_nucleus", 14),
        (LABELS.astype(np.float32), "labels", 14),
        (TOUCHING, "one_per_nucleus", 40),
        (np.where(LABELS == 3, 255, 0), "one_per_nucleus", 1),
        (BINARY, "connected", 14),
        (BINARY, "labels", 1),
        (COLOURED, "connected", 14),
        (COLOURED, "labels", 2),
        (np.dstack([COLOURED, 0 * COLOURED, 0 * COLOURED]), "connected", 14),
        (np.dstack([LABELS] * 3), "labels", 14),
        (LABELS * 0, "one_per_nucleus", 0),
    ],
)
def test_masks_of_each_kind_give_their_nuclei(values: np.ndarray, kind: MaskKind, num: int) -> None:
    objects = objects_of(values, kind, alone=True)
    assert objects.dtype == np.int32
    assert np.unique(objects[objects > 0]).tolist() == list(range(1, num + 1))
    np.testing.assert_array_equal(objects > 0, (values if values.ndim == 2 else values.any(axis=-1)) > 0)


def test_one_of_several_masks_is_one_nucleus_and_not_a_label_image() -> None:
    one, both = LABELS == 1, (LABELS == 1) | (LABELS == 2)
    soft = np.where(one, 200, 0)
    soft[np.nonzero(one)[0][0], np.nonzero(one)[1][0]] = 90
    assert objects_of(soft, "one_per_nucleus", alone=False).sum() == one.sum()
    assert objects_of(np.where(both, 255, 0), "one_per_nucleus", alone=False).sum() == both.sum()
    labels = np.where(one, 200, np.where(both, 100, 0))
    with pytest.raises(DataError, match=r"2 separate parts where one nucleus .* data\.masks=labels if each value"):
        objects_of(labels, "one_per_nucleus", alone=False)
    with pytest.raises(DataError, match=r"3 separate parts where one nucleus"):
        objects_of(np.where(both | (LABELS == 3), 255, 0), "one_per_nucleus", alone=False)
    assert objects_of(labels, "labels", alone=False).max() == 2


def test_a_speck_beside_a_nucleus_is_no_second_one() -> None:
    values = np.where(LABELS == 1, 255, 0)
    values[-1, -1] = 255
    assert objects_of(values, "one_per_nucleus", alone=True).max() == 1


@pytest.mark.parametrize(
    ("values", "kind", "message"),
    [
        (BINARY, "one_per_nucleus", r"one mask with 14 separate parts .* Set data\.masks=connected if each part is"),
        (
            COLOURED,
            "one_per_nucleus",
            r"2 values in 14 separate parts\. Set data\.masks=connected .*=labels",
        ),
        (np.dstack([LABELS, LABELS[::-1], LABELS]), "labels", "a mask in colours. Save it in grey"),
        (LABELS * 0.3, "labels", "must hold whole numbers from 0"),
        (-LABELS, "labels", "must hold whole numbers from 0"),
    ],
)
def test_what_could_be_either_is_refused_with_the_remedy(values: np.ndarray, kind: MaskKind, message: str) -> None:
    with pytest.raises(DataError, match=message):
        objects_of(values, kind, alone=True)


def test_soft_edges_are_no_labels() -> None:
    import cv2

    soft = cv2.GaussianBlur(BINARY, (7, 7), 2)
    soft[BINARY > 0] = np.maximum(soft[BINARY > 0], 255)
    with pytest.raises(DataError, match="as a soft brush leaves"):
        objects_of(soft, "one_per_nucleus", alone=True)


def test_labels_of_two_files_are_numbered_on() -> None:
    painting = Painting(LABELS.shape)
    left, right = (np.where((LABELS > 0) & (np.arange(128) < 64) == side, LABELS, 0) for side in (True, False))
    for name, values in (("a", left), ("b", right)):
        assert list(painting.add(name, objects_of(values, "labels", alone=False))) == []
    assert len(np.unique(painting.labels)) == 15
    np.testing.assert_array_equal(painting.labels > 0, LABELS > 0)
