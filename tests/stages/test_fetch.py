"""`fetch` puts a dataset in place and says in its last line and exit code how much of it cannot be used."""

from __future__ import annotations

from pathlib import Path

import cv2
import mlflow
import numpy as np
import pandas as pd
import pytest

from nanonuclei.cli import main
from nanonuclei.stages.pipeline.pinned import data_state

LISTED = Path("scratch/fetch")


def put(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), values)


def write(folder: Path, name: str) -> None:
    """An image with a mask of one object, as both tasks read it."""
    noise = np.random.default_rng(len(name)).integers(1, 255, (48, 64)).astype(np.uint8)
    put(folder / "images" / f"{name}.png", noise)
    mask = np.zeros((48, 64), np.uint8)
    mask[10:13, 10:50] = 255
    put(folder / "masks" / f"{name}.png", mask)


@pytest.mark.parametrize("dataset", ["dsb2018", "tnt"])
def test_samples_that_cannot_be_used_are_counted_listed_and_exit_code_3(
    dataset: str, project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, listed = tmp_path / "mine", LISTED / f"{dataset}-problems.csv"
    for name in ("a", "bb", "ccc"):
        write(source, name)
    broken = source / "images" / "a.png"
    broken.write_bytes(b"no image")
    (source / "masks" / "bb.png").unlink()
    words = ["fetch", dataset, "--source", str(source)]
    assert main(words) == 3
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("Warning: 2 of 3 samples cannot be used. All problems (")
    assert last.endswith(f") are listed in {listed}.")
    table = pd.read_csv(listed)
    assert set(table["sample_id"]) == {"a", "bb"}
    run = mlflow.search_runs(output_format="list")[0]
    assert (run.info.status, run.data.tags["error"]) == ("FAILED", "2 of 3 samples cannot be used")
    assert main([*words[:-1], str(next(Path("data").rglob("*.zip")))]) == 3  # the dataset in place, once more
    assert "2 of 3 samples cannot be used" in capsys.readouterr().out
    write(source, "a")
    write(source, "bb")
    assert main(words) == 0
    assert not listed.exists()
    assert "cannot be used" not in capsys.readouterr().out


@pytest.mark.parametrize("dataset", ["dsb2018", "tnt"])
def test_a_refused_fetch_leaves_no_empty_folder(
    dataset: str, project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "mine", "a")
    (tmp_path / "mine" / "images" / "a.png").write_bytes(b"no image")
    assert main(["fetch", dataset, "--source", str(tmp_path / "mine")]) == 2
    assert "holds none" in capsys.readouterr().err
    assert not list(project.glob("data/*"))


def test_dvc_is_named_only_within_a_repository_of_dvc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    assert data_state() == ""
    (tmp_path / ".dvc").mkdir()
    assert data_state() == "data/ is not versioned yet: `dvc add data` pins it."


def test_a_source_of_another_kind_is_told_before_a_run_is_opened(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b"):
        put(tmp_path / f"kaggle/{name}/images/{name}.png", np.full((9, 9), 9, np.uint8))
        put(tmp_path / f"kaggle/{name}/masks/1.png", np.full((9, 9), 255, np.uint8))
    tasks = tmp_path / "labelling" / "tasks.json"
    tasks.parent.mkdir()
    tasks.write_text('[{"data": {"image": "windows/a.png"}, "annotations": []}]')
    told = {
        ("mine", "kaggle"): "the layout of the Data Science Bowl 2018. Fetch it as that by `",
        ("tnt", "labelling/tasks.json"): "tells of none: tasks.json: 1 tasks without a finished annotation are",
        ("mine-tnt", "labelling/tasks.json"): "labelling/tasks.json is a file of annotations. Put it into one folder",
        ("tnt", "kaggle"): "must tell of an image where nanotubes are, but tells of none: ",
    }
    for (dataset, source), sentence in told.items():
        assert main(["fetch", dataset, "--source", str(tmp_path / source)]) == 2
        assert sentence in capsys.readouterr().err
    assert not Path("mlflow.db").exists()
