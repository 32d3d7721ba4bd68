"""The pipeline as a user runs it: `mlflow run .` and `dvc` in a copy of the project with a small dataset of its own."""

from __future__ import annotations

import shutil
import signal
import sqlite3
from pathlib import Path

import pandas as pd
import pytest
from tests.clones import runs
from tests.object_store import BUCKET, KEYS, object_store
from tests.pipeline_clone import SETTINGS, call, outdated, pipeline, report, set_parameters, start, wait_for

pytestmark = [pytest.mark.slow]

PIPELINE = pipeline
"""The fixture of all tests here."""


def test_each_stage_is_a_finished_child_and_the_parent_shows_them(pipeline: Path) -> None:
    found = runs(pipeline)
    (parent,) = [run_id for run_id, tags in found.items() if tags["stage"] == "repro"]
    children = {tags["stage"]: run_id for run_id, tags in found.items() if tags.get("mlflow.parentRunId") == parent}
    assert set(children) == {"prepare", "train", "evaluate"}
    assert {tags["state"] for tags in found.values()} == {"FINISHED"}
    for stage, run_id in children.items():
        assert found[parent][f"stage.{stage}.nuclei"] == f"ran as {run_id}"
        assert f"ran as {run_id}" in found[parent]["mlflow.note.content"]
        assert report(pipeline, stage)["run_id"] == run_id
    with sqlite3.connect(pipeline / "mlflow.db") as database:
        query = "select value from latest_metrics where run_uuid = ? and key = 'nuclei/test/ap50_pooled'"
        assert database.execute(query, (parent,)).fetchone() is not None


def test_curves_for_dvc_are_curves(pipeline: Path) -> None:
    plots = pipeline / "build" / "nuclei" / "plots"
    assert len(pd.read_csv(plots / "curves.csv")) == SETTINGS["train.epochs"]
    assert pd.read_csv(plots / "thresholds.csv")["ap"].is_monotonic_decreasing
    curve = pd.read_csv(plots / "precision_recall.csv")
    assert curve["score"].is_monotonic_decreasing
    assert curve["recall"].is_monotonic_increasing
    assert curve[["recall", "precision"]].stack().between(0, 1).all()


def test_lineage_holds_from_the_model_and_a_swapped_network_is_found(pipeline: Path) -> None:
    recorded = report(pipeline, "evaluate")
    text = call(pipeline, "nanonuclei", "lineage", recorded["model_uri"])
    assert "The lineage holds." in text
    assert f"git checkout {recorded['git.commit']}" in text
    (network,) = (pipeline / "mlruns").rglob("models/m-*/artifacts/artifacts/network.keras")
    content = network.read_bytes()
    network.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    try:
        assert "broken   model" in call(pipeline, "nanonuclei", "lineage", recorded["run_id"], wanted=1)
    finally:
        network.write_bytes(content)


@pytest.mark.parametrize(
    ("file", "text", "stages"),
    [
        ("src/nanonuclei/drawing/charts.py", "# changed\n", set()),
        ("src/nanonuclei/cli.py", "# changed\n", set()),
        ("src/nanonuclei/models/losses.py", "# changed\n", {"train@nuclei"}),
        ("src/nanonuclei/imaging/matching.py", "# changed\n", {"evaluate@nuclei"}),
        ("src/nanonuclei/data/fields.py", "# changed\n", {"prepare@nuclei"}),
    ],
)
def test_a_changed_file_makes_only_its_stages_outdated(pipeline: Path, file: str, text: str, stages: set[str]) -> None:
    before = (pipeline / file).read_text()
    (pipeline / file).write_text(before + text)
    try:
        assert outdated(pipeline) == stages
    finally:
        (pipeline / file).write_text(before)


def test_compiled_python_makes_nothing_outdated(pipeline: Path) -> None:
    folder = pipeline / "src" / "nanonuclei" / "imaging" / "__pycache__"
    folder.mkdir(exist_ok=True)
    (folder / "planted.pyc").write_bytes(b"1")
    assert outdated(pipeline) == set()


@pytest.mark.parametrize(
    ("settings", "stages"),
    [
        ({"data.split": {"train": 0.6, "val": 0.2, "test": 0.2}}, {"prepare@nuclei"}),
        ({"loss.border_weight": 2.0}, {"train@nuclei"}),
        ({"instances.min_area": 3}, {"evaluate@nuclei"}),
        ({"data.simulated.num_images": 3}, set()),
    ],
)
def test_a_changed_setting_makes_only_its_stages_outdated(
    pipeline: Path, settings: dict[str, object], stages: set[str]
) -> None:
    before = (pipeline / "params.yaml").read_text()
    set_parameters(pipeline, settings)
    try:
        assert outdated(pipeline) == stages
    finally:
        (pipeline / "params.yaml").write_text(before)


def test_a_second_run_restores_everything_from_the_cache(pipeline: Path) -> None:
    before = set(runs(pipeline))
    shutil.rmtree(pipeline / "build")
    text = call(pipeline, "nanonuclei", "repro")
    found = runs(pipeline)
    (parent,) = set(found) - before
    assert "Epoch" not in text
    for stage in ("prepare", "train", "evaluate"):
        assert found[parent][f"stage.{stage}.nuclei"] == f"restored from {report(pipeline, stage)['run_id']}"
    assert call(pipeline, "git", "status", "--porcelain") == ""


def test_changed_and_missing_data_get_one_line(pipeline: Path) -> None:
    archive = pipeline / "data" / "dsb2018" / "stage1_train.zip"
    content = archive.read_bytes()
    archive.chmod(0o644)
    archive.write_bytes(content + b"\0")
    try:
        text = call(pipeline, "nanonuclei", "repro", wanted=2)
        assert text.count("Error: data/ changed since data.dvc") == 1
        assert "Traceback" not in text
        archive.unlink()
        archive.parent.rmdir()
        text = call(pipeline, "nanonuclei", "repro", wanted=2)
        assert "the pipeline needs data/dsb2018, which is missing" in text
    finally:
        archive.parent.mkdir(exist_ok=True)
        archive.write_bytes(content)


def test_a_failed_stage_ends_its_run_and_the_parent(pipeline: Path) -> None:
    before = set(runs(pipeline))
    kept = (pipeline / "params.yaml").read_text()
    set_parameters(pipeline, {"train.devices": 64})
    try:
        call(pipeline, "nanonuclei", "repro", wanted=2)
    finally:
        (pipeline / "params.yaml").write_text(kept)
    states = {tags["stage"]: tags["state"] for run_id, tags in runs(pipeline).items() if run_id not in before}
    assert states == {"repro": "FAILED", "train": "FAILED"}
    call(pipeline, "nanonuclei", "repro")
    assert outdated(pipeline) == set()


def test_an_interrupted_pipeline_ends_its_runs_and_goes_on_later(pipeline: Path) -> None:
    before = set(runs(pipeline))
    kept = (pipeline / "params.yaml").read_text()
    set_parameters(pipeline, {"train.epochs": 400})
    try:
        process = start(pipeline, "nanonuclei", "repro")
        wait_for(
            lambda: any(tags.get("stage") == "train" for run_id, tags in runs(pipeline).items() if run_id not in before)
        )
        second = call(pipeline, "nanonuclei", "repro", wanted=2)
        assert "busy" in second or "lock" in second
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=120) == 130
    finally:
        (pipeline / "params.yaml").write_text(kept)
    states = sorted((tags["stage"], tags["state"]) for run_id, tags in runs(pipeline).items() if run_id not in before)
    assert states == [("repro", "FAILED"), ("repro", "KILLED"), ("train", "KILLED")]
    call(pipeline, "nanonuclei", "repro")
    assert outdated(pipeline) == set()


def test_conflict_markers_in_the_lock_get_one_line(pipeline: Path) -> None:
    kept = (pipeline / "dvc.lock").read_text()
    (pipeline / "dvc.lock").write_text(f"<<<<<<< ours\n{kept}=======\n{kept}>>>>>>> theirs\n")
    try:
        text = call(pipeline, "nanonuclei", "repro", wanted=2)
        assert text.count("Error: dvc.lock must not hold conflict markers") == 1
    finally:
        (pipeline / "dvc.lock").write_text(kept)


def test_a_remote_brings_back_what_was_wiped(pipeline: Path, tmp_path: Path) -> None:
    """After the tests that take results from the cache of runs, which no remote holds."""
    archive = pipeline / "data" / "dsb2018" / "stage1_train.zip"
    content = archive.read_bytes()
    call(pipeline, "dvc", "remote", "add", "--local", "--default", "lab", str(tmp_path / "remote"))
    call(pipeline, "dvc", "push")
    for name in ("data", "build", ".dvc/cache"):
        shutil.rmtree(pipeline / name)
    call(pipeline, "git", "checkout", "--", "build")
    call(pipeline, "dvc", "pull", "--allow-missing")
    assert archive.read_bytes() == content
    assert outdated(pipeline) == set()
    call(pipeline, "nanonuclei", "lineage", report(pipeline, "evaluate")["run_id"])


def test_a_remote_on_s3_brings_back_what_was_wiped(pipeline: Path) -> None:
    archive = pipeline / "data" / "dsb2018" / "stage1_train.zip"
    content = archive.read_bytes()
    before = call(pipeline, "git", "status", "--porcelain")
    with object_store() as (_, address):
        call(pipeline, "dvc", "remote", "add", "--local", "--force", "--default", "lab", f"s3://{BUCKET}/nanonuclei")
        for name, value in (
            ("endpointurl", address),
            ("access_key_id", KEYS[0]),
            ("secret_access_key", KEYS[1]),
            ("region", "us-east-1"),
        ):
            call(pipeline, "dvc", "remote", "modify", "--local", "lab", name, value)
        call(pipeline, "dvc", "push")
        for name in ("data", ".dvc/cache"):
            shutil.rmtree(pipeline / name)
        call(pipeline, "dvc", "pull", "--allow-missing")
    assert archive.read_bytes() == content
    assert "secret" not in (pipeline / ".dvc" / "config").read_text()
    assert call(pipeline, "git", "status", "--porcelain") == before
