"""A dataset as distributed becomes samples; whatever is wrong with it is said in one pass."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tasks.nuclei.sources.samples import GREY, IMAGE, MASK, SOUND, Array, mask, png, unpacked, zipped

from nanonuclei.data.catalog import BadSample, Sample
from nanonuclei.tasks.nuclei.sources import dsb2018 as sources
from nanonuclei.tasks.nuclei.sources.dsb2018 import read_dsb2018


def problems(tmp_path: Path, files: Mapping[str, bytes]) -> list[tuple[str, str]]:
    """Reads files as a dataset and returns (file, problem) pairs, of which all belong to sample s."""
    rows = list(read_dsb2018(zipped(tmp_path / "bad.zip", files)))
    bad = [row for row in rows if isinstance(row, BadSample)]
    assert {row.sample_id for row in bad} <= {"s"}
    assert [row.sample_id for row in rows if isinstance(row, Sample)] == ([] if bad else ["s"])
    return [(row.file, row.problem) for row in bad]


@pytest.mark.parametrize("prefix", ["", "stage1_train/", "repository-abc/data/stage1_train/"])
@pytest.mark.parametrize("pack", [zipped, unpacked])
def test_zips_and_folders_read_alike_at_any_depth(tmp_path: Path, prefix: str, pack: Any) -> None:
    files = {
        "b/images/b.png": IMAGE,
        "b/masks/2.png": png(mask((6, 8), (4, 4, 6, 8))),
        "b/masks/1.png": MASK,
        "a/images/a.png": IMAGE,
        "a/masks/1.png": MASK,
    }
    path = pack(tmp_path / "dataset", {prefix + name: content for name, content in files.items()})
    a, b = read_dsb2018(path)
    assert isinstance(a, Sample)
    assert isinstance(b, Sample)
    assert (a.sample_id, b.sample_id) == ("a", "b")
    expected = np.zeros((6, 8), np.uint16)
    expected[0:2, 0:2] = 1
    expected[4:6, 4:8] = 2
    np.testing.assert_array_equal(b.labels, expected)
    assert b.labels.dtype == np.uint16
    np.testing.assert_array_equal(b.image, GREY)


RGB = np.stack([GREY, GREY + 1, GREY + 2], axis=-1)
ALPHA = np.full((6, 8, 1), 255, np.uint8)
IMAGES = [
    ("grey", GREY, GREY),
    ("grey 16 bit", GREY.astype(np.uint16) * 1000, GREY.astype(np.uint16) * 1000),
    ("grey as RGB", np.dstack([GREY] * 3), GREY),
    ("grey as RGBA", np.dstack([GREY] * 3 + [ALPHA]), GREY),
    ("RGB", RGB, RGB),
    ("RGB 16 bit", RGB.astype(np.uint16) * 999, RGB.astype(np.uint16) * 999),
    ("RGBA", np.dstack([RGB, ALPHA]), RGB),
    ("RGBA, fully transparent", np.dstack([RGB, ALPHA * 0]), RGB),
]


@pytest.mark.parametrize(("stored", "expected"), [case[1:] for case in IMAGES], ids=[case[0] for case in IMAGES])
def test_images_come_as_grey_or_rgb_in_their_own_depth(tmp_path: Path, stored: Array, expected: Array) -> None:
    (sample,) = read_dsb2018(zipped(tmp_path / "a.zip", SOUND | {"s/images/s.png": png(stored)}))
    assert isinstance(sample, Sample)
    assert sample.image.dtype == expected.dtype
    assert sample.image.flags.c_contiguous
    np.testing.assert_array_equal(sample.image, expected)


BOX = mask((6, 8), (1, 1, 3, 3))
MASKS = [
    ("255", BOX),
    ("1", BOX // 255),
    ("16 bit, low byte empty", (BOX // 255).astype(np.uint16) << 8),
    ("RGB", np.dstack([BOX, BOX * 0, BOX * 0])),
    ("RGBA, opaque everywhere", np.dstack([BOX] * 3 + [ALPHA])),
]


@pytest.mark.parametrize("stored", [case[1] for case in MASKS], ids=[case[0] for case in MASKS])
def test_any_nonzero_pixel_of_a_mask_belongs_to_its_object(tmp_path: Path, stored: Array) -> None:
    (sample,) = read_dsb2018(zipped(tmp_path / "a.zip", SOUND | {"s/masks/a.png": png(stored)}))
    assert isinstance(sample, Sample)
    np.testing.assert_array_equal(sample.labels, BOX // 255)


CUT = IMAGE[: len(IMAGE) // 2]
NONE = "not a readable image: damaged, cut short or of another format. Save it again as PNG or TIFF"
OTHER = "not a readable image: damaged, cut short or of another format. Save it as PNG or TIFF"
PROBLEMS = [
    ("damaged image", SOUND | {"s/images/s.png": CUT}, [("s/images/s.png", NONE)]),
    ("empty image file", SOUND | {"s/images/s.png": b""}, [("s/images/s.png", "not an image: 0 bytes. Save it again")]),
    ("damaged mask", SOUND | {"s/masks/b.png": b"text, and some more of it"}, [("s/masks/b.png", OTHER)]),
    (
        "mask of another size",
        SOUND | {"s/masks/b.png": png(mask((6, 9), (0, 0, 1, 1)))},
        [("s/masks/b.png", "mask has 9x6 px, its image 8x6 px (width x height)")],
    ),
    ("no masks", {"s/images/s.png": IMAGE}, [("s/masks", "no mask")]),
    ("no image", {"s/masks/a.png": MASK}, [("s/images", "no image")]),
    ("image of no format", {"s/images/s.tif": b"II", "s/masks/a.png": MASK}, [("s/images/s.tif", OTHER)]),
    ("image under another suffix", {"s/images/s.txt": IMAGE, "s/masks/a.png": MASK}, [("s/images", "no image")]),
    ("two images", SOUND | {"s/images/t.png": IMAGE}, [("s/images", "2 images where one is expected")]),
    ("empty mask", SOUND | {"s/masks/b.png": png(mask((6, 8)))}, [("s/masks/b.png", "empty mask: no pixel is set")]),
    (
        "mask twice",
        SOUND | {"s/masks/b.png": MASK},
        [("s/masks/b.png", "shares 4 px with a.png, 100% of the smaller mask; at most 10% are taken for a slip")],
    ),
    (
        "all at once",
        {
            "s/images/s.png": IMAGE,
            "s/masks/a.png": CUT,
            "s/masks/b.png": png(mask((6, 8))),
            "s/masks/c.png": png(mask((8, 6), (0, 0, 1, 1))),
        },
        [
            ("s/masks/a.png", NONE),
            ("s/masks/b.png", "empty mask: no pixel is set"),
            ("s/masks/c.png", "mask has 6x8 px, its image 8x6 px (width x height)"),
        ],
    ),
    ("no image, damaged mask", {"s/masks/a.png": CUT}, [("s/images", "no image"), ("s/masks/a.png", NONE)]),
    ("nothing", SOUND, []),
]


@pytest.mark.parametrize(("files", "expected"), [case[1:] for case in PROBLEMS], ids=[case[0] for case in PROBLEMS])
def test_every_problem_of_a_sample_is_found_in_one_pass(
    tmp_path: Path, files: Mapping[str, bytes], expected: list[tuple[str, str]]
) -> None:
    assert problems(tmp_path, files) == expected


def test_a_file_damaged_within_the_zip_spoils_its_sample_only(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {"r/images/r.png": IMAGE, "r/masks/a.png": MASK, **SOUND}.items():
            archive.writestr(name, content)
    content = bytearray(path.read_bytes())
    content[content.rindex(MASK) + 40] ^= 0xFF
    path.write_bytes(content)
    good, bad = read_dsb2018(path)
    assert isinstance(good, Sample)
    assert isinstance(bad, BadSample)
    assert (bad.file, bad.problem) == ("s/masks/a.png", "cannot be read: Bad CRC-32 for file 's/masks/a.png'")


def test_more_masks_than_can_be_numbered_are_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_OBJECTS", 2)
    files = SOUND | {
        f"s/masks/{letter}.png": png(mask((6, 8), (place, 4, place + 1, 6))) for place, letter in enumerate("xyz")
    }
    assert problems(tmp_path, files) == [("s/masks", "4 masks, more than the 2 that fit")]


def test_an_image_too_large_to_decode_is_a_problem(tmp_path: Path) -> None:
    header = bytearray(IMAGE)
    header[16:24] = (100_000).to_bytes(4, "big") * 2
    ((file, problem),) = problems(tmp_path, SOUND | {"s/images/s.png": bytes(header)})
    assert (file, problem) == (
        "s/images/s.png",
        "100000x100000 px, more than the 67,108,864 px that are decoded. Cut it into parts",
    )


OVERLAPS = [
    (0, True),
    (1, True),
    (2, True),  # 2 of 20 px, just 10 %
    (3, False),
    (20, False),
]


@pytest.mark.parametrize(("shared", "accepted"), OVERLAPS)
def test_pixels_claimed_twice_go_to_the_first_mask_up_to_a_tenth_of_the_smaller(
    tmp_path: Path, shared: int, accepted: bool
) -> None:
    first = mask((10, 40), (0, 0, 10, 20))
    second = mask((10, 40), (0, 20 - shared, 1, 40 - shared))
    files = {"s/images/s.png": png(first), "s/masks/a.png": png(first), "s/masks/b.png": png(second)}
    (row,) = read_dsb2018(zipped(tmp_path / "a.zip", files))
    assert isinstance(row, Sample) == accepted
    if isinstance(row, Sample):
        assert (row.labels == 1).sum() == 200
        assert (row.labels == 2).sum() == 20 - shared


def test_a_mask_that_many_others_cover_in_small_shares_is_a_problem(tmp_path: Path) -> None:
    files = {"s/images/s.png": png(mask((10, 20)))}
    for row in range(10):
        files[f"s/masks/{row}.png"] = png(mask((10, 20), (row, 9, row + 1, 20)))
    files["s/masks/last.png"] = png(mask((10, 20), (0, 9, 10, 10)))
    assert problems(tmp_path, files) == [("s/masks/last.png", "covered by other masks: no pixel is left")]


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 5), min_size=48, max_size=48), st.randoms(use_true_random=False))
def test_masks_of_a_label_map_read_back_to_the_label_map(
    tmp_path_factory: pytest.TempPathFactory, values: list[int], order: Any
) -> None:
    # Two labels at least: of a mask that is alone, separate parts are refused, as they may be the nuclei.
    labels = np.unique(np.array([0, 1, 2, *values[3:]]), return_inverse=True)[1].reshape(6, 8).astype(np.uint16)
    masks = [
        (f"s/masks/{number:03}.png", png((labels == number).astype(np.uint8))) for number in range(1, labels.max() + 1)
    ]
    order.shuffle(masks)
    (sample,) = read_dsb2018(zipped(tmp_path_factory.mktemp("law") / "a.zip", {"s/images/s.png": IMAGE, **dict(masks)}))
    assert isinstance(sample, Sample)
    np.testing.assert_array_equal(sample.labels, labels)
