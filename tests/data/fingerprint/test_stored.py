"""One file of a model tells what its training images look like; folders with the two files of before still do."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import ROOT

from nanonuclei.data.catalog import Catalog
from nanonuclei.data.fingerprint.likeness import Features
from nanonuclei.data.fingerprint.look import Look
from nanonuclei.data.fingerprint.stored import (
    FILE,
    FORMER_FILE,
    Fingerprint,
    Measured,
    fingerprint_of,
    measure_samples,
    read_fingerprint,
    write_fingerprint,
)
from nanonuclei.errors import DataError

SHIPPED = ROOT / "models" / "nuclei"


def measured(count: int) -> list[Measured]:
    return [
        Measured(
            "train" if number < count - 2 else "val",
            number,
            Features(0.1, 0.2, 0.3, 0.4, 0.5 + number / 100, 0.0, 20.0 + number),
            Look(0.2, 0.0, 0.01 * (number + 1)),
        )
        for number in range(count)
    ]


def same(first: Fingerprint, second: Fingerprint) -> bool:
    assert first.likeness is not None
    assert second.likeness is not None
    rows = np.allclose(first.likeness.rows, second.likeness.rows, rtol=1e-3)
    fields = (first.likeness.fields == second.likeness.fields).all()
    return bool(rows and fields and (first.dataset, first.looks) == (second.dataset, second.looks))


def test_file_holds_what_was_written(tmp_path: Path) -> None:
    assert read_fingerprint(tmp_path) is None
    write_fingerprint(measured(8), tmp_path, dataset="drawn")
    found = read_fingerprint(tmp_path)
    assert found is not None
    assert same(found, fingerprint_of(measured(8), dataset="drawn"))
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_single_images_are_compared_with_trained_ones_and_many_with_those_of_validation_too() -> None:
    found = fingerprint_of(measured(8), dataset="drawn")
    assert found.likeness is not None
    assert (len(found.looks.rows), len(found.likeness.rows)) == (6, 8)


def test_too_few_fields_of_view_tell_nothing_of_many_images() -> None:
    few = [one for one in measured(8) if one.field < 3]
    found = fingerprint_of(few, dataset="few")
    assert found.likeness is None
    assert len(found.looks.rows) == 3


def test_images_of_a_catalog_are_measured_with_their_objects_and_as_the_network_sees_them(
    disc_catalog: Catalog,
) -> None:
    samples = (*disc_catalog.split("train"), *disc_catalog.split("val"))
    found = measure_samples(samples, lambda image: np.repeat(image[..., None] / np.float32(255), 3, axis=2))
    assert [(one.split, one.field) for one in found] == [(sample.split, sample.field) for sample in samples]
    assert all(one.features.diameter > 1 for one in found)
    assert all(one.look.colour == 0.0 for one in found)


def write_former(folder: Path, *, looks: bool, features: bool) -> None:
    """Writes what models held before: looks in one file, features in another."""
    rows = measured(8)
    if looks:
        tree = {"format": 1, "dataset": "drawn", "num_images": 6, "measures": {}, "percentiles": []}
        text = json.dumps({**tree, "looks": [list(one.look) for one in rows[:6]]})
        (folder / FILE).write_text(text)
    if features:
        table = [[one.field, *one.features] for one in rows]
        (folder / FORMER_FILE).write_text(json.dumps({"format": 1, "dataset": "drawn", "rows": table}))


def test_two_files_of_an_older_model_tell_the_same(tmp_path: Path) -> None:
    write_former(tmp_path, looks=True, features=True)
    found = read_fingerprint(tmp_path)
    assert found is not None
    assert same(found, fingerprint_of(measured(8), dataset="drawn"))


@pytest.mark.parametrize(("looks", "features"), [(True, False), (False, True)])
def test_one_file_of_an_older_model_tells_its_half(tmp_path: Path, looks: bool, features: bool) -> None:
    write_former(tmp_path, looks=looks, features=features)
    found = read_fingerprint(tmp_path)
    assert found is not None
    assert (bool(found.looks.rows), found.likeness is not None) == (looks, features)


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"format": 2}', '{"format": 2, "dataset": "x", "columns": [], "rows": []}']
)
def test_broken_file_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(DataError, match="Restore or remove it"):
        read_fingerprint(tmp_path)


def test_file_of_a_newer_format_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"format": 3}')
    assert read_fingerprint(tmp_path) is None


def test_strangeness_and_looks_of_the_shipped_model_are_those_that_the_results_were_made_with() -> None:
    """Computed at commit 10a4d8f, from the two files that the model held then."""
    found = read_fingerprint(SHIPPED)
    assert found is not None
    assert found.likeness is not None
    rows = found.likeness.rows
    features = [Features(*(rows[place] * light)) for place in (0, 1, 5, 100, 465, 530) for light in (1.0, 0.5)]
    assert [round(found.likeness.strangeness(one), 6) for one in features] == [
        *(0.011299, 0.990584, 0.79661, 0.998117, 0.193974, 0.990584),
        *(0.3258, 0.998117, 0.478343, 0.984934, 0.173258, 0.981168),
    ]
    darker = [Features(*(row * 0.5)) for row in rows[:40]]
    expected = "images are 1.5 times darker in their darkest parts than the most alike of training"
    assert found.likeness.difference(darker) == expected
    looks = [Look(0.1, 0, 0.02), Look(0.5, 0, 0.02), Look(0.9, 0.1, 0.05), Look(0.5, 0.5, 0.5), Look(0.2, 0, 0)]
    distances = [found.looks.distance(look) for look in looks]
    assert distances == pytest.approx([0.014211, 0.311691, 0.14911, 0.47434, 0.484021], abs=1e-6)
    assert found.looks.unlike(looks[1]) == "background 0.5, in the nearest training image 0.19"
