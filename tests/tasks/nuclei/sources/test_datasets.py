"""A dataset as a whole: where it lies, what of it counts, and what is said where it cannot be used."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.tasks.nuclei.sources.samples import IMAGE, MASK, SOUND, unpacked, zipped

from nanonuclei.data.catalog import BadSample, Sample
from nanonuclei.data.problems import problems_table
from nanonuclei.errors import DataError
from nanonuclei.tasks.nuclei.dataset import NucleiDataset
from nanonuclei.tasks.nuclei.sources import dsb2018 as sources
from nanonuclei.tasks.nuclei.sources.dsb2018 import DSB2018_ARCHIVE, read_dsb2018


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

    def counted(files: Any, sample_id: str, *others: Any) -> Any:
        read.append(sample_id)
        return original(files, sample_id, *others)

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
    assert NucleiDataset.locate("dsb2018", tmp_path) is None
    path = tmp_path / DSB2018_ARCHIVE
    path.parent.mkdir()
    path.write_bytes(b"")
    assert NucleiDataset.locate("dsb2018", tmp_path) == path


def test_an_unknown_dataset_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'dsb2019'\. Did you mean dsb2018\?"):
        NucleiDataset.locate("dsb2019", tmp_path)


def test_problems_are_laid_out_in_two_aligned_columns() -> None:
    rows = [BadSample("s", "s/masks/a.png", "empty mask"), BadSample("s", "s/images", "no PNG image")]
    assert problems_table(rows) == (
        "2 problems in 1 sample\nfile          | problem\ns/masks/a.png | empty mask\ns/images      | no PNG image"
    )


@pytest.mark.parametrize(
    ("num", "lines", "last"),
    [
        (0, 1, "0 problems in 0 samples"),
        (1, 3, "0/f    | p"),
        (3, 5, "2/f    | p"),
        (1203, 6, "... and 1,200 more"),
    ],
)
def test_a_long_list_of_problems_ends_in_how_many_more(num: int, lines: int, last: str) -> None:
    table = problems_table([BadSample(str(n), f"{n}/f", "p") for n in range(num)], most=3).split("\n")
    assert (len(table), table[-1]) == (lines, last)


def test_the_first_real_samples_are_sound(shared_data: Path) -> None:
    path = shared_data / "data" / "stage1_train.zip"
    rows = read_dsb2018(path)
    samples = [next(rows) for _ in range(5)]
    rows.close()  # type: ignore[attr-defined]
    first = samples[0]
    assert isinstance(first, Sample)
    assert (first.image.shape, first.labels.shape, int(first.labels.max())) == ((256, 256), (256, 256), 27)
    assert all(isinstance(sample, Sample) and sample.image.dtype == np.uint8 for sample in samples)
