"""Preparing nanotubes: what was read is on disk, splits are sound, and nothing half-written is left."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from nanonuclei.config.params import load_experiment
from nanonuclei.data.catalog import SPLITS, load_catalog
from nanonuclei.errors import DataError
from nanonuclei.stages.prepare import PROBLEMS, prepare, prepared_dataset
from nanonuclei.tasks.nanotubes.config import NanotubeExperiment
from nanonuclei.tasks.nanotubes.sources.samples import cells_path, nuclei_image, tube_truth

ROOT = Path(__file__).parents[3]
SMALL = {"num_images": 6, "size": 128, "cell_radius": 12.0, "coverage": 0.4, "tubes_per_cell": 1.0, "tile": 0}


def wanted(window: int = 32, seed: int = 7, **changes: Any) -> NanotubeExperiment:
    """The settings of params.yaml on few and small images, changed."""
    tree = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["nanotubes"]
    tree["data"]["simulated"] |= SMALL
    tree["data"] |= {"dataset": "tnt", "seed": seed, **changes}
    tree["train"]["patch_size"] = window
    return NanotubeExperiment.model_validate({"task": "nanotubes", **tree})


def drawn(seed: int, *, tubes: bool = True, shape: tuple[int, int] = (64, 64)) -> tuple[np.ndarray, np.ndarray]:
    image = np.random.default_rng(seed).integers(1, 200, shape).astype(np.uint8)
    mask = np.zeros(shape, np.uint8)
    if tubes:
        mask[shape[0] // 4, 5 : shape[1] - 5] = 255
        mask[3 * shape[0] // 4, 5 : shape[1] - 5] = 255
    return image, mask


def dataset(folder: Path, num: int = 6, **options: Any) -> Path:
    for number in range(num):
        image, mask = drawn(number, **options)
        for kind, array in (("images", image), ("masks", mask)):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / kind / f"s{number}.png"), array)
    return folder


def patches(folder: Path, num: int, side: int = 32) -> Path:
    for number in range(num):
        for kind in ("positive", "negative"):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            image, _ = drawn(100 * number + len(kind), shape=(side, side))
            cv2.imwrite(str(folder / kind / f"p{number}.png"), image)
    return folder


def test_simulated_images_are_prepared_with_all_that_is_known(tmp_path):
    catalog = prepare(wanted(dataset="simulated"), source=None, output=tmp_path / "out")
    assert load_catalog(tmp_path / "out") == catalog
    assert len(catalog.samples) == 6
    for sample in catalog.samples:
        truth = tube_truth(sample)
        assert (truth.kind, len(truth.lines)) == ("mask", sample.num_objects)
        cells = cv2.imread(str(cells_path(tmp_path / "out", sample.sample_id)), cv2.IMREAD_UNCHANGED)
        nuclei = nuclei_image(sample)
        assert cells is not None
        assert nuclei is not None
        assert cells.shape == nuclei.shape == sample.image().shape == (128, 128)
        assert truth.num_cells == len(np.unique(cells)) - 1


def test_the_same_dataset_gives_the_same_files_and_fingerprints(tmp_path):
    source = dataset(tmp_path / "set")
    catalogs = [
        prepare(wanted(seed=seed), source=source, output=tmp_path / name)
        for name, seed in (("one", 7), ("two", 7), ("three", 8))
    ]
    one, two, three = catalogs
    assert (one.fingerprint, one.split_fingerprint()) == (two.fingerprint, two.split_fingerprint())
    assert one.fingerprint == three.fingerprint
    for file in (tmp_path / "one").rglob("*"):
        if file.is_file() and file.name != PROBLEMS:
            assert (tmp_path / "two" / file.relative_to(tmp_path / "one")).read_bytes() == file.read_bytes()


def test_every_split_has_nanotubes_and_no_field_is_in_two(tmp_path):
    source = dataset(tmp_path / "set", 8)
    (source / "fields.csv").write_text("image,field\ns0.png,x\ns1.png,x\ns2.png,x\n")
    cv2.imwrite(str(source / "images/s7.png"), drawn(6)[0])  # as s6
    catalog = prepare(wanted(), source=source, output=tmp_path / "out")
    fields = {sample.sample_id: sample.field for sample in catalog.samples}
    assert fields["s0"] == fields["s1"] == fields["s2"]
    assert fields["s6"] == fields["s7"]
    assert len(set(fields.values())) == 5
    splits: dict[int, set[str]] = {}
    for sample in catalog.samples:
        splits.setdefault(sample.field, set()).add(sample.split)
    assert all(len(names) == 1 for names in splits.values())
    assert all(any(sample.num_objects for sample in catalog.split(split)) for split in SPLITS)


def overlapping(folder: Path, num: int) -> Path:
    """Patches of `num` images, 16 px apart: a line across the upper half of each."""
    for number in range(num):
        image, _ = drawn(number, shape=(64, 96))
        for y, x in itertools.product(range(0, 33, 16), range(0, 65, 16)):
            kind = folder / ("positive" if y == 0 else "negative")
            kind.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(kind / f"i{number}_{y:02}_{x:02}.png"), image[y : y + 32, x : x + 32])
    return folder


def test_patches_that_share_pixels_are_never_in_two_splits(tmp_path):
    catalog = prepare(wanted(window=32), source=overlapping(tmp_path / "set", 6), output=tmp_path / "out")
    assert len(catalog.samples) == 6 * 15
    splits: dict[str, set[str]] = {}
    for sample in catalog.samples:
        splits.setdefault(sample.sample_id.split("i")[-1][0], set()).add(sample.split)
    assert all(len(names) == 1 for names in splits.values())
    assert set.union(*splits.values()) == set(SPLITS)


def test_patches_of_too_few_images_are_refused_with_the_reason(tmp_path):
    with pytest.raises(DataError, match=r"30 images of 2 fields.*share pixels are of one field: cut them out of more"):
        prepare(wanted(window=32), source=overlapping(tmp_path / "set", 2), output=tmp_path / "out")


def test_one_stitched_image_is_split_by_quadrants_a_window_apart(tmp_path):
    source = dataset(tmp_path / "set", 1, shape=(200, 240))
    catalog = prepare(wanted(split_by="quadrant", window=40), source=source, output=tmp_path / "out")
    assert sorted(sample.sample_id for sample in catalog.samples) == ["s0_ne", "s0_nw", "s0_se", "s0_sw"]
    assert {sample.split for sample in catalog.samples} == set(SPLITS)
    assert {(sample.height, sample.width) for sample in catalog.samples} == {(80, 100)}
    image, _ = drawn(0, shape=(200, 240))
    parts = {sample.sample_id: sample.image() for sample in catalog.samples}
    np.testing.assert_array_equal(parts["s0_nw"], image[:80, :100])
    np.testing.assert_array_equal(parts["s0_se"], image[120:, 140:])


def test_patches_are_prepared_at_the_size_of_a_window_only(tmp_path):
    source = patches(tmp_path / "set", 6)
    catalog = prepare(wanted(window=32), source=source, output=tmp_path / "out")
    assert len(catalog.samples) == 12
    assert sum(sample.num_objects for sample in catalog.samples) == 6
    with pytest.raises(DataError, match=r"a patch of 32x32 px, more than a window of 24.*train\.patch_size"):
        prepare(wanted(window=24), source=source, output=tmp_path / "less")


def test_all_problems_are_in_one_message_and_nothing_is_left(tmp_path):
    source = dataset(tmp_path / "set", 7, tubes=False)
    (source / "images/s0.png").write_bytes(b"broken")
    cv2.imwrite(str(source / "masks/s1.png"), drawn(1)[1][1:])
    cv2.imwrite(str(source / "images/s2.png"), drawn(2)[0][:20])
    cv2.imwrite(str(source / "masks/s2.png"), drawn(2)[1][:20])
    with pytest.raises(DataError) as caught:
        prepare(wanted(), source=source, output=tmp_path / "out")
    message = str(caught.value)
    for text in (
        "images/s0.png | not a readable image",
        "masks/s1.png  | has 64x63 px, its image 64x64 px",
        "images/s2.png | has 64x20 px, less than a window of 32. Lower train.patch_size",
        "split train   | its 2 images lack a nanotube. Add such images",
        "split val     |",
        "split test    |",
        "data.on_bad_sample=skip",
    ):
        assert text in message
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_broken_samples_are_left_out_and_listed_when_asked(tmp_path):
    source = dataset(tmp_path / "set", 7)
    (source / "images/s0.png").write_bytes(b"broken")
    catalog = prepare(wanted(on_bad_sample="skip"), source=source, output=tmp_path / "out")
    assert [sample.sample_id for sample in catalog.samples] == [f"s{number}" for number in range(1, 7)]
    assert "images/s0.png" in (tmp_path / "out" / PROBLEMS).read_text()


@pytest.mark.parametrize(
    ("num", "options", "message"),
    [
        (2, {}, "at least 3"),
        (6, {"tubes": False}, "lack a nanotube"),
        (4, {"shape": (30, 64)}, "has 64x30 px, less than a window of 32"),
    ],
)
def test_what_cannot_be_dealt_out_stops_even_when_samples_may_be_skipped(tmp_path, num, options, message):
    source = dataset(tmp_path / "set", num, **options)
    with pytest.raises(DataError, match=message):
        prepare(wanted(on_bad_sample="skip"), source=source, output=tmp_path / "out")


def test_a_dataset_without_a_usable_image_tells_why_even_when_samples_may_be_skipped(tmp_path):
    source = dataset(tmp_path / "set", 3)
    for number in range(3):
        (source / f"images/s{number}.png").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"(?s)images/s2\.png \| not a readable image.*at least 3.*Mend them$"):
        prepare(wanted(on_bad_sample="skip"), source=source, output=tmp_path / "out")


@pytest.mark.usefixtures("project")
def test_prepared_data_is_used_again_until_its_settings_change(experiment):
    small = {f"data.simulated.{name}": value for name, value in SMALL.items()}
    settings = {"data.dataset": "simulated", "train.patch_size": 32, "windows.tile": 512, **small}
    configs = [
        load_experiment("nanotubes", path=Path("params.yaml"), settings={**settings, **changes})
        for changes in ({}, {"train.epochs": 60}, {"data.simulated.noise": 0.5}, {"data.split_by": "quadrant"})
    ]
    said: list[str] = []
    first, second, third, fourth = (prepared_dataset(config, say=said.append) for config in configs)
    assert first == second
    assert "from before" in said[2]
    assert len({first[1], third[1], fourth[1]}) == 3
    nuclei = experiment({"data.dataset": "simulated", "data.simulated.num_images": 12, "data.simulated.size": 64})
    catalog = prepare(nuclei, source=None, output=Path("nuclei"))
    assert len(catalog.samples) == 12
