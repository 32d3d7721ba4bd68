from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.conftest import disc_sample

from nanonuclei.config.params import with_settings
from nanonuclei.data.catalog import TABLE, load_catalog
from nanonuclei.errors import DataError
from nanonuclei.invocation import PARENT_VARIABLE
from nanonuclei.stages import prepare as module
from nanonuclei.stages.prepare import PROBLEMS, prepare, prepared_dataset, say_left_out
from nanonuclei.tasks.nuclei.config import NucleiExperiment

Experiment = Callable[..., NucleiExperiment]


def png(array: np.ndarray) -> bytes:
    return cv2.imencode(".png", array)[1].tobytes()


def write_archive(path: Path, *, spoil: bool = False) -> Path:
    """Twelve drawn samples as Kaggle lays them out; spoilt: one mask of another size, one broken image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(12):
            sample = disc_sample(f"s{number:02}", seed=number)
            image = b"no image" if spoil and number == 3 else png(sample.image)
            archive.writestr(f"s{number:02}/images/s{number:02}.png", image)
            for label in range(1, int(sample.labels.max()) + 1):
                mask = (sample.labels == label).astype(np.uint8) * 255
                if mask.any():
                    mask = mask[:-1] if spoil and number == 5 and label == 1 else mask
                    archive.writestr(f"s{number:02}/masks/m{label}.png", png(mask))
    return path


def test_prepared_samples_are_the_archives(experiment: Experiment, tmp_path: Path) -> None:
    source = write_archive(tmp_path / "a.zip")
    prepare(experiment(), source=source, output=tmp_path / "out")
    catalog = load_catalog(tmp_path / "out")
    assert len(catalog.samples) == 12
    for number, ref in enumerate(catalog.samples):
        sample = disc_sample(f"s{number:02}", seed=number)
        np.testing.assert_array_equal(ref.image(), sample.image)
        np.testing.assert_array_equal(ref.labels() > 0, sample.labels > 0)
        assert ref.num_objects == len(np.unique(ref.labels())) - 1
        assert ref.labels().dtype == np.uint16


def test_fingerprints_follow_content_and_split(experiment: Experiment, tmp_path: Path) -> None:
    source = write_archive(tmp_path / "a.zip")
    first = prepare(experiment(), source=source, output=tmp_path / "first")
    again = prepare(experiment(), source=source, output=tmp_path / "again")
    other = prepare(experiment({"data.seed": 11}), source=source, output=tmp_path / "other")
    trained = prepare(experiment({"seed": 8}), source=source, output=tmp_path / "trained")
    for same in (again, trained):  # another seed of the training compares on the same images
        assert (same.fingerprint, same.split_fingerprint()) == (first.fingerprint, first.split_fingerprint())
    assert other.fingerprint == first.fingerprint
    assert other.split_fingerprint() != first.split_fingerprint()


def test_no_field_of_view_crosses_a_split(experiment: Experiment, tmp_path: Path) -> None:
    catalog = prepare(
        experiment({"data.simulated.num_images": 30, "data.simulated.size": 64}), source=None, output=tmp_path / "out"
    )
    splits: dict[int, set[str]] = {}
    for ref in catalog.samples:
        splits.setdefault(ref.field, set()).add(ref.split)
    assert all(len(found) == 1 for found in splits.values())
    assert {ref.split for ref in catalog.samples} == {"train", "val", "test"}


def test_all_broken_samples_are_told_at_once_and_nothing_is_left(experiment: Experiment, tmp_path: Path) -> None:
    source = write_archive(tmp_path / "a.zip", spoil=True)
    with pytest.raises(DataError) as caught:
        prepare(experiment(), source=source, output=tmp_path / "out")
    message = str(caught.value)
    assert "s03/images/s03.png" in message
    assert "s05/masks/m1.png" in message
    assert "data.on_bad_sample=skip" in message
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip"]


def test_broken_samples_are_left_out_and_listed_when_asked(experiment: Experiment, tmp_path: Path) -> None:
    source = write_archive(tmp_path / "a.zip", spoil=True)
    catalog = prepare(experiment({"data.on_bad_sample": "skip"}), source=source, output=tmp_path / "out")
    assert [ref.sample_id for ref in catalog.samples if ref.sample_id in ("s03", "s05")] == []
    assert (tmp_path / "out" / PROBLEMS).read_text().count("\n") == 3
    said: list[str] = []
    say_left_out(catalog, tmp_path / "out", say=said.append)
    (line,) = said
    assert line.startswith(
        f"Warning: 2 of {len(catalog.samples) + 2} samples cannot be used and are left out, as data.on"
    )
    for changed in ("problem\u00e9\n".encode("cp1252"), b"sample_id;file;problem\na;b;c\n"):  # as spreadsheets save
        (tmp_path / "out" / PROBLEMS).write_bytes(changed)
        with pytest.raises(DataError, match=r"problems\.csv must list the samples.*prepared again"):
            say_left_out(catalog, tmp_path / "out", say=said.append)


@pytest.mark.parametrize("change", [("\n", "\u00e9\n"), (",", ";")])
def test_a_table_that_another_program_has_changed_is_no_prepared_dataset(
    experiment: Experiment, tmp_path: Path, change: tuple[str, str]
) -> None:
    prepare(experiment(), source=write_archive(tmp_path / "a.zip"), output=tmp_path / "out")
    table = tmp_path / "out" / TABLE
    table.write_bytes(table.read_text().replace(*change).encode("cp1252"))
    with pytest.raises(DataError, match=r"out holds no prepared dataset.*Remove it"):
        load_catalog(tmp_path / "out")


@pytest.mark.usefixtures("project")
def test_prepared_data_is_used_again_until_its_settings_change(experiment: Experiment) -> None:
    config = experiment({"data.dataset": "simulated", "data.simulated.num_images": 12, "data.simulated.size": 64})
    said: list[str] = []
    first, folder = prepared_dataset(config, say=said.append)
    again, _ = prepared_dataset(with_settings(config, {"train.epochs": 9}), say=said.append)
    _, other = prepared_dataset(with_settings(config, {"data.simulated.size": 72}), say=said.append)
    assert again == first
    assert "from before" in said[2]
    assert other != folder


@pytest.mark.usefixtures("project")
def test_a_training_of_a_comparison_does_not_repeat_what_the_comparison_said_of_images(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = experiment({"data.dataset": "simulated", "data.simulated.num_images": 12, "data.simulated.size": 64})
    monkeypatch.setenv(PARENT_VARIABLE, "0" * 32)
    said: list[str] = []
    for _ in range(3):
        prepared_dataset(config, say=said.append)
    assert [text.split()[0] for text in said] == ["Preparing", "Prepared"]


@pytest.mark.usefixtures("project")
@pytest.mark.slow
def test_the_real_images_are_prepared_whole(experiment: Experiment, shared_data: Path, tmp_path: Path) -> None:
    catalog = prepare(experiment(), source=shared_data / "data" / "stage1_train.zip", output=tmp_path / "out")
    assert len(catalog.samples) == 664
    assert sum(ref.num_objects for ref in catalog.samples) == 28_986
    assert Counter(ref.modality for ref in catalog.samples) == {"fluorescence": 541, "brightfield": 16, "stained": 107}
    splits: dict[int, set[str]] = {}
    for ref in catalog.samples:
        splits.setdefault(ref.field, set()).add(ref.split)
    assert all(len(found) == 1 for found in splits.values())


def test_images_that_other_code_prepared_are_not_used(
    experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = experiment({"data.dataset": "simulated", "data.simulated.num_images": 10, "data.simulated.size": 64})
    said: list[str] = []
    for _ in range(2):
        prepared_dataset(config, say=said.append)
    assert [text.split()[0] for text in said] == ["Preparing", "Prepared", "Prepared"]
    assert said[-1].endswith("(from before)")
    monkeypatch.setattr(module, "_code_digest", lambda dataset: "of another version")
    prepared_dataset(config, say=said.append)
    assert said[-2].startswith("Preparing")
