"""Folders of prepared images, when several processes make the same one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import ROOT

from nanonuclei.config.params import load_experiment
from nanonuclei.data.catalog import SUMMARY
from nanonuclei.stages import new_folder, prepare
from nanonuclei.stages.new_folder import put
from nanonuclei.stages.prepare import prepared_dataset
from nanonuclei.writing import being_made

SIMULATED = {
    "nuclei": {"num_images": 12, "size": 64},
    "nanotubes": {"num_images": 6, "size": 128, "cell_radius": 12.0, "coverage": 0.4, "tubes_per_cell": 1.0, "tile": 0},
}


def folder(path: Path, *, text: str, whole: bool = True) -> Path:
    path.mkdir(parents=True)
    (path / "image.png").write_text(text)
    if whole:
        (path / SUMMARY).write_text("{}")
    return path


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("task", SIMULATED)
def test_two_that_prepare_the_same_images_at_once_both_get_them(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {f"data.simulated.{name}": value for name, value in SIMULATED[task].items()}
    config = load_experiment(
        task, path=ROOT / "params.yaml", settings={**settings, "data.dataset": "simulated", "train.patch_size": 32}
    )
    meeting = threading.Barrier(2)

    @contextmanager
    def together(output: Path) -> Iterator[Path]:
        with being_made(output) as partial:
            meeting.wait(timeout=60)  # both have seen that nothing is prepared, and have their folder
            yield partial
            meeting.wait(timeout=60)  # neither is gone before the other has moved its own

    monkeypatch.setattr(prepare, "being_made", together)
    with ThreadPoolExecutor(2) as threads:
        one, other = threads.map(lambda _: prepared_dataset(config, say=lambda text: None), range(2))
    assert one == other
    catalog, place = one
    assert [path.name for path in place.parent.iterdir()] == [place.name]
    assert all(np.ptp(sample.image()) > 0 for sample in catalog.samples)


@pytest.mark.parametrize(
    ("before", "cached", "expected"),
    [
        (lambda path: None, True, "new"),
        (lambda path: None, False, "new"),
        (lambda path: folder(path, text="theirs"), True, "theirs"),
        (lambda path: folder(path, text="theirs"), False, "new"),
        (lambda path: folder(path, text="half", whole=False), True, "new"),
    ],
    ids=["nothing there, cached", "nothing there", "whole, cached", "whole", "half, cached"],
)
def test_what_has_appeared_meanwhile_is_taken_only_if_it_is_whole_and_the_same(
    before: Callable[[Path], object], cached: bool, expected: str, tmp_path: Path
) -> None:
    output = tmp_path / "deep" / "prepared"
    with being_made(output) as partial:
        (partial / "image.png").write_text("new")
        (partial / SUMMARY).write_text("{}")
        before(output)
        assert put(partial, output, cached=cached) == (expected == "new")
    assert (output / "image.png").read_text() == expected
    assert [path.name for path in output.parent.iterdir()] == ["prepared"]
    assert output.stat().st_mode == tmp_path.joinpath("deep").stat().st_mode


def fail_in(output: Path) -> None:
    with being_made(output) as partial:
        (partial / "image.png").write_text("half")
        raise ZeroDivisionError


def test_nothing_is_left_of_what_failed(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        fail_in(tmp_path / "prepared")
    assert list(tmp_path.iterdir()) == []
    assert not new_folder.is_whole(tmp_path / "prepared")
