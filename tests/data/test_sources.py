"""A dataset as distributed becomes samples; whatever is wrong with it is said in one pass."""

from __future__ import annotations

import os
import threading
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nanonuclei.data import sources
from nanonuclei.data.catalog import BadSample, Sample
from nanonuclei.data.sources import DSB2018_ARCHIVE, locate_dataset, problems_table, read_dsb2018
from nanonuclei.errors import DataError

Array = NDArray[Any]
SHARED = Path(os.environ.get("NANONUCLEI_SHARED", Path(__file__).parents[2] / ".." / "shared"))


def png(pixels: Array) -> bytes:
    """Encodes grey, RGB or RGBA pixels."""
    swap = {2: None, 3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}[pixels.shape[2] if pixels.ndim == 3 else 2]
    ok, data = cv2.imencode(".png", pixels if swap is None else cv2.cvtColor(pixels, swap))
    assert ok
    return data.tobytes()


def mask(shape: tuple[int, int], *boxes: tuple[int, int, int, int]) -> Array:
    """Draws boxes ``y0, x0, y1, x1`` at 255."""
    pixels = np.zeros(shape, np.uint8)
    for y0, x0, y1, x1 in boxes:
        pixels[y0:y1, x0:x1] = 255
    return pixels


def zipped(path: Path, files: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def unpacked(path: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


GREY = np.arange(6 * 8, dtype=np.uint8).reshape(6, 8)
IMAGE = png(GREY)
MASK = png(mask((6, 8), (0, 0, 2, 2)))
SOUND = {"s/images/s.png": IMAGE, "s/masks/a.png": MASK}


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
NONE = "not a readable image: damaged, cut short or of another format"
PROBLEMS = [
    ("damaged image", SOUND | {"s/images/s.png": CUT}, [("s/images/s.png", NONE)]),
    ("empty image file", SOUND | {"s/images/s.png": b""}, [("s/images/s.png", "not an image: 0 bytes")]),
    ("damaged mask", SOUND | {"s/masks/b.png": b"text, and some more of it"}, [("s/masks/b.png", NONE)]),
    (
        "mask of another size",
        SOUND | {"s/masks/b.png": png(mask((6, 9), (0, 0, 1, 1)))},
        [("s/masks/b.png", "mask has 9x6 px, its image 8x6 px (width x height)")],
    ),
    ("no masks", {"s/images/s.png": IMAGE}, [("s/masks", "no PNG mask")]),
    ("no image", {"s/masks/a.png": MASK}, [("s/images", "no PNG image")]),
    ("image of another format", {"s/images/s.tif": b"II", "s/masks/a.png": MASK}, [("s/images", "no PNG image")]),
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
    ("no image, damaged mask", {"s/masks/a.png": CUT}, [("s/images", "no PNG image"), ("s/masks/a.png", NONE)]),
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
    assert (file, problem) == ("s/images/s.png", "100000x100000 px, more than the 67,108,864 px that are decoded")


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
    labels = np.unique(np.array([0, 1, *values[2:]]), return_inverse=True)[1].reshape(6, 8).astype(np.uint16)
    masks = [
        (f"s/masks/{number:03}.png", png((labels == number).astype(np.uint8))) for number in range(1, labels.max() + 1)
    ]
    order.shuffle(masks)
    (sample,) = read_dsb2018(zipped(tmp_path_factory.mktemp("law") / "a.zip", {"s/images/s.png": IMAGE, **dict(masks)}))
    assert isinstance(sample, Sample)
    np.testing.assert_array_equal(sample.labels, labels)


def test_only_the_training_images_count_where_there_are_some(tmp_path: Path) -> None:
    files = {f"stage1_train/{name}": content for name, content in SOUND.items()} | {"stage1_test/t/images/t.png": IMAGE}
    (sample,) = read_dsb2018(zipped(tmp_path / "a.zip", files))
    assert sample.sample_id == "s"


def test_hidden_files_and_those_of_macos_are_passed_over(tmp_path: Path) -> None:
    junk = ["__MACOSX/s/masks/._a.png", "s/masks/.DS_Store", "s/images/._s.png", ".cache/t/images/t.png", "README.md"]
    (sample,) = read_dsb2018(zipped(tmp_path / "a.zip", SOUND | dict.fromkeys(junk, b"junk")))
    assert isinstance(sample, Sample)


@pytest.mark.parametrize("pack", [zipped, unpacked])
def test_the_zip_of_the_whole_competition_is_read_through(tmp_path: Path, pack: Any) -> None:
    inner = {
        name: zipped(tmp_path / name, files).read_bytes()
        for name, files in {"stage1_train.zip": SOUND, "stage1_test.zip": {"t/images/t.png": IMAGE}}.items()
    }
    (sample,) = read_dsb2018(pack(tmp_path / "data-science-bowl-2018", inner | {"stage1_train_labels.csv": b"id"}))
    assert isinstance(sample, Sample)
    assert sample.sample_id == "s"


UNUSABLE = [
    ("no zip", b"not a zip at all", "is no complete zip"),
    ("cut short", None, "is no complete zip"),
    ("missing", ..., "does not exist"),
]


@pytest.mark.parametrize(("content", "says"), [case[1:] for case in UNUSABLE], ids=[case[0] for case in UNUSABLE])
def test_a_dataset_broken_as_a_whole_is_an_error(tmp_path: Path, content: Any, says: str) -> None:
    path = tmp_path / "a.zip"
    if content is None:
        content = zipped(path, SOUND).read_bytes()[:-30]
    if content is not ...:
        path.write_bytes(content)
    with pytest.raises(DataError, match=says):
        next(read_dsb2018(path))


@pytest.mark.parametrize("pack", [zipped, unpacked])
def test_a_dataset_without_samples_is_an_error_that_says_what_is_expected(tmp_path: Path, pack: Any) -> None:
    path = pack(tmp_path / "a", {"pictures/a.png": IMAGE, "b.png": IMAGE})
    with pytest.raises(DataError, match=r"must hold <id>/images/<id>\.png .* holds 2 files and no sample"):
        next(read_dsb2018(path))


def test_few_samples_are_read_ahead_and_leaving_early_ends_the_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    original = sources._read_sample

    def counted(files: Any, sample_id: str, parts: Any) -> Any:
        read.append(sample_id)
        return original(files, sample_id, parts)

    monkeypatch.setattr(sources, "_read_sample", counted)
    files = {}
    for number in range(100):
        files |= {f"{number:03}/images/i.png": IMAGE, f"{number:03}/masks/m.png": MASK}
    before = threading.active_count()
    rows: Iterator[Sample | BadSample] = read_dsb2018(zipped(tmp_path / "a.zip", files))
    assert [next(rows).sample_id for _ in range(3)] == ["000", "001", "002"]
    rows.close()  # type: ignore[attr-defined]
    assert len(read) <= 3 + sources._LOOK_AHEAD
    assert threading.active_count() == before


def test_a_dataset_is_located_only_where_it_has_been_fetched(tmp_path: Path) -> None:
    assert locate_dataset("dsb2018", tmp_path) is None
    path = tmp_path / DSB2018_ARCHIVE
    path.parent.mkdir()
    path.write_bytes(b"")
    assert locate_dataset("dsb2018", tmp_path) == path


def test_an_unknown_dataset_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'dsb2019'\. Did you mean dsb2018\?"):
        locate_dataset("dsb2019", tmp_path)


def test_problems_are_laid_out_in_two_aligned_columns() -> None:
    rows = [BadSample("s", "s/masks/a.png", "empty mask"), BadSample("s", "s/images", "no PNG image")]
    assert problems_table(rows) == (
        "2 problems in 1 sample\nfile          | problem\ns/masks/a.png | empty mask\ns/images      | no PNG image"
    )


@pytest.mark.parametrize(
    ("num", "lines", "last"),
    [
        (0, 1, "0 problems in 0 samples"),
        (1, 3, "0/f  | p"),
        (3, 5, "2/f  | p"),
        (1203, 6, "... and 1,200 more"),
    ],
)
def test_a_long_list_of_problems_ends_in_how_many_more(num: int, lines: int, last: str) -> None:
    table = problems_table([BadSample(str(n), f"{n}/f", "p") for n in range(num)], most=3).split("\n")
    assert (len(table), table[-1]) == (lines, last)


def test_the_first_real_samples_are_sound() -> None:
    path = SHARED / "data" / "stage1_train.zip"
    if not path.is_file():
        pytest.skip("needs the corrected training set of the Data Science Bowl 2018: set NANONUCLEI_SHARED")
    rows = read_dsb2018(path)
    samples = [next(rows) for _ in range(5)]
    rows.close()  # type: ignore[attr-defined]
    first = samples[0]
    assert isinstance(first, Sample)
    assert (first.image.shape, first.labels.shape, int(first.labels.max())) == ((256, 256), (256, 256), 27)
    assert all(isinstance(sample, Sample) and sample.image.dtype == np.uint8 for sample in samples)


@pytest.mark.slow
def test_the_whole_real_set_is_sound() -> None:
    path = SHARED / "data" / "stage1_train.zip"
    if not path.is_file():
        pytest.skip("needs the corrected training set of the Data Science Bowl 2018: set NANONUCLEI_SHARED")
    num_samples = num_objects = num_grey = 0
    for sample in read_dsb2018(path):
        assert isinstance(sample, Sample), sample
        num_samples += 1
        num_objects += int(sample.labels.max())
        num_grey += sample.image.ndim == 2
    assert (num_samples, num_objects, num_grey) == (664, 28_986, 557)  # 541 fluorescence + 16 brightfield are grey
