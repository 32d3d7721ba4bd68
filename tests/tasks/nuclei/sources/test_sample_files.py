"""Layouts of datasets of nuclei: which file is the image, which the mask, of which sample."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.data.files.synthetic import LABELS, NUCLEI, opencv, tiff
from tests.tasks.nuclei.sources.samples import IMAGE, MASK, unpacked, zipped

from nanonuclei.data.catalog import BadSample, Sample
from nanonuclei.errors import DataError
from nanonuclei.tasks.nuclei.sources.dsb2018 import read_dsb2018
from nanonuclei.tasks.nuclei.sources.sample_files import group

LAYOUTS = [
    ("Kaggle", ["b/images/b.png", "b/masks/1.png", "b/masks/2.png"], {"b": (1, 2)}),
    ("Kaggle, id with a dot in front", [".s00/images/.s00.png", ".s00/masks/1.png"], {".s00": (1, 1)}),
    ("StarDist", ["images/a.tif", "images/b.tif", "masks/a.tif", "masks/b.tif"], {"a": (1, 1), "b": (1, 1)}),
    ("one image of it", ["images/a.tif", "masks/a.tif"], {"a": (1, 1)}),
    ("below another folder", ["x/images/a.tif", "x/images/b.tif", "x/masks/a.tif"], {"a": (1, 1), "b": (1, 0)}),
    (
        "parts with the same names",
        [f"{part}/{kind}/{name}.tif" for part in ("test", "train") for kind in ("images", "masks") for name in "ab"],
        {"test_a": (1, 1), "test_b": (1, 1), "train_a": (1, 1), "train_b": (1, 1)},
    ),
    ("BBBC039", ["images/a.tif", "images/b.tif", "masks/a.png", "masks/b.png"], {"a": (1, 1), "b": (1, 1)}),
    ("endings", ["images/a.png", "images/b.png", "masks/a_masks.png", "masks/b_mask.tif"], {"a": (1, 1), "b": (1, 1)}),
    ("Cellpose", ["a.png", "a_masks.png", "b.tif", "b_masks.tif"], {"a": (1, 1), "b": (1, 1)}),
    ("Cellpose's own", ["train/000_img.png", "train/000_masks.png"], {"000": (1, 1)}),
    ("mask of no image", ["images/a.png", "images/b.png", "masks/a.png", "masks/c.png"], None),
    ("capital letters", ["Images/a.TIF", "Masks/a.TIF"], {"a": (1, 1)}),
    ("names with blanks", ["images/a b.png", "masks/a b.png"], {"a_b": (1, 1)}),
    ("images alone", ["a.png", "b.png"], {}),
    ("junk", ["images/a.png", "images/._a.png", "masks/a.png", "masks/Thumbs.db"], {"a": (1, 1)}),
]


@pytest.mark.parametrize(("files", "wanted"), [case[1:] for case in LAYOUTS], ids=[case[0] for case in LAYOUTS])
def test_files_are_grouped_by_sample(files: list[str], wanted: dict[str, tuple[int, int]] | None) -> None:
    found = {name: (len(sample.images), len(sample.masks)) for name, sample in group(sorted(files)).items()}
    assert found == (wanted if wanted is not None else {"a": (1, 1), "b": (1, 0), "c": (0, 1)})


@pytest.mark.parametrize("pack", [zipped, unpacked])
@pytest.mark.parametrize(
    "files",
    [
        {"images/a.tif": tiff(NUCLEI), "masks/a.tif": tiff(LABELS.astype(np.uint16))},
        {"x/a.jpg": opencv(NUCLEI, ".jpg"), "x/a_masks.png": opencv(LABELS.astype(np.uint8), ".png")},
        {"s/images/s.png": opencv(NUCLEI, ".png"), "s/masks/all.png": opencv(LABELS.astype(np.uint16), ".png")},
    ],
)
def test_label_images_give_every_nucleus(tmp_path: Path, pack: object, files: dict[str, bytes]) -> None:
    (sample,) = read_dsb2018(pack(tmp_path / "dataset", files))  # type: ignore[operator]
    assert isinstance(sample, Sample)
    np.testing.assert_array_equal(sample.labels, LABELS)


def test_names_of_windows_are_read(tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name, content in {"s\\images\\s.png": IMAGE, "s\\masks\\a.png": MASK}.items():
            entry = zipfile.ZipInfo()
            entry.filename = entry.orig_filename = name
            archive.writestr(entry, content)
    (sample,) = read_dsb2018(tmp_path / "a.zip")
    assert isinstance(sample, Sample)
    assert sample.sample_id == "s"


def test_no_sample_of_twelve_is_lost(tmp_path: Path) -> None:
    files = {
        f"{name}/{kind}/{name}.png": content
        for name in (".s00", *map(str, range(11)))
        for kind, content in (("images", IMAGE), ("masks", MASK))
    }
    assert len(list(read_dsb2018(unpacked(tmp_path / "a", files)))) == 12


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    unpacked(tmp_path / "a", {"s/images/s.png": IMAGE, "s/masks/a.png": MASK})
    (tmp_path / "a/s/images/s.png").unlink()
    (tmp_path / "a/s/images/s.png").symlink_to("/etc/passwd")
    with pytest.raises(DataError, match=r"s\.png is a link that leads out of"):
        list(read_dsb2018(tmp_path / "a"))


@pytest.mark.parametrize("cut", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_half_an_image_spoils_its_sample(tmp_path: Path, suffix: str, cut: float) -> None:
    content = tiff(NUCLEI, compression="deflate") if suffix == ".tif" else opencv(NUCLEI, suffix)
    files = {f"s/images/s{suffix}": content[: int(len(content) * cut)], "s/masks/a.png": MASK}
    first, *_ = read_dsb2018(zipped(tmp_path / "a.zip", files))
    assert isinstance(first, BadSample)
    assert first.file == f"s/images/s{suffix}"
    assert first.problem.startswith("not a readable")


def test_many_images_of_zeros_are_a_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nanonuclei.tasks.nuclei.sources import dsb2018

    zeros = opencv(np.zeros((1500, 1500), np.uint8), ".png")
    mask = opencv(np.eye(1500, dtype=np.uint8), ".png")
    files = {
        f"{number}/{kind}/x.png": content
        for number in range(4)
        for kind, content in (("images", zeros), ("masks", mask))
    }
    path = zipped(tmp_path / "a.zip", files)
    assert len(list(read_dsb2018(path))) == 4
    monkeypatch.setattr(dsb2018, "RATIO_FLOOR", 2**24)
    with pytest.raises(DataError, match=r"unpacks from .* bytes of images and labels, more than 200 times"):
        list(read_dsb2018(path))
