"""Lies that are planted into a run, its commit or its data, one at a time; each must be found."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
from mlflow.tracking import MlflowClient

from nanonuclei.data.catalog import Catalog
from nanonuclei.data.versions import dataset_md5
from nanonuclei.errors import TrackingError
from nanonuclei.tracking.facts import REPLAYED, REPLAYED_MD5, Facts, log_facts
from nanonuclei.tracking.origin.lineage import Lineage, describe, trace
from nanonuclei.tracking.runs import stage_run


def broken(lineage: Lineage) -> set[tuple[str, str]]:
    stages = {recorded["run_id"]: recorded["stage"] for recorded in lineage.chain}
    return {(stages[check.run_id], check.subject) for check in lineage.checks if check.verdict == "broken"}


def test_untouched_chain_holds_and_says_how_to_get_back(runs: dict[str, str]) -> None:
    lineage = trace(runs["evaluate"])
    assert lineage.holds, describe(lineage)
    assert [recorded["stage"] for recorded in lineage.chain] == ["evaluate", "prepare", "train"]
    assert {check.subject for check in lineage.checks} == {
        "tags",
        "chain",
        "split",
        "code",
        "settings",
        "environment",
        "data",
    }
    text = describe(lineage)
    assert f"git checkout {lineage.chain[0]['git.commit']}" in text
    assert all(run_id in text for run_id in runs.values())


def change_byte(runs: dict[str, str]) -> None:
    Path("data/discs/images.zip").write_bytes(b"disks")


def tag(stage: str, name: str, value: str) -> Callable[[dict[str, str]], None]:
    return lambda runs: MlflowClient().set_tag(runs[stage], name, value)


def swap_catalog(runs: dict[str, str]) -> None:
    path = Path(mlflow.artifacts.download_artifacts(f"runs:/{runs['train']}/data/catalog.csv"))
    text = path.read_text()
    path.write_text(text.replace(",train,", ",test,", 1))
    MlflowClient().log_artifact(runs["train"], str(path), "data")


@pytest.mark.parametrize(
    ("lie", "found"),
    [
        (change_byte, {("evaluate", "data")}),
        (tag("train", "split.fingerprint", "0" * 32), {("train", "tags")}),
        (tag("evaluate", "git.commit", "0" * 40), {("evaluate", "tags")}),
        (tag("prepare", "git.dirty", "true"), {("prepare", "tags")}),
        (tag("prepare", "lineage.dataset_md5", "0" * 32), {("prepare", "tags")}),
        (tag("train", "dataset.name", "other"), {("train", "tags")}),
        (swap_catalog, {("train", "split")}),
    ],
    ids=["byte", "split", "commit", "dirty", "md5", "dataset", "catalog"],
)
def test_planted_lie_is_found(
    runs: dict[str, str], lie: Callable[[dict[str, str]], None], found: set[tuple[str, str]]
) -> None:
    lie(runs)
    lineage = trace(runs["evaluate"])
    assert not lineage.holds
    assert broken(lineage) == found, describe(lineage)


def test_missing_data_is_not_believed(runs: dict[str, str]) -> None:
    Path("data/discs/images.zip").unlink()
    Path("data/discs").rmdir()
    (check,) = [check for check in trace(runs["train"]).checks if check.verdict != "holds"]
    assert (check.subject, check.verdict) == ("data", "unknown")
    assert "No cache or remote of DVC here holds it: fetch it, or copy it from where the run was made" in check.detail


@pytest.mark.parametrize(("content", "verdict"), [(b"old discs", "holds"), (b"others", "broken"), (None, "unknown")])
def test_images_that_were_shown_again_are_compared_too(
    repository: Path, disc_catalog: Catalog, content: bytes | None, verdict: str
) -> None:
    old = repository / "data" / "old" / "images.zip"
    old.parent.mkdir()
    old.write_bytes(b"old discs")
    tags = {REPLAYED: "old", REPLAYED_MD5: dataset_md5(repository / "data", "old"), "dataset.name": "simulated"}
    with stage_run("train", name="train", tags=tags) as run_id:
        mlflow.log_text(disc_catalog.table().to_csv(index=False), "data/catalog.csv")
        mlflow.set_tag("split.fingerprint", disc_catalog.split_fingerprint())
        log_facts(Facts("train", "nuclei", "simulated", "", disc_catalog.split_fingerprint()))
    if content is None:
        shutil.rmtree(old.parent)
    else:
        old.write_bytes(content)
    checks = {check.subject: check for check in trace(run_id).checks}
    assert checks["data"].verdict == "holds"
    assert checks["replayed"].verdict == verdict
    assert checks["replayed"].detail.startswith("data/old ")


def test_uncommitted_changes_break_the_lineage(repository: Path) -> None:
    (repository / "params.yaml").write_text((repository / "params.yaml").read_text().replace("seed: 7", "seed: 8"))
    with stage_run("train", name="train", tags={"dataset.name": "simulated"}) as run_id:
        mlflow.set_tag("split.fingerprint", "f")
        log_facts(Facts("prepare", "nuclei", "simulated", "", "f"))
    assert ("prepare", "code") in broken(trace(run_id))


def test_what_the_pipeline_writes_itself_is_no_change_of_the_code(repository: Path) -> None:
    for folder in (repository, repository / "pipelines" / "other"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "dvc.lock").write_text("stages: {}\n")
    (repository / "build").mkdir()
    (repository / "build" / "metrics.json").write_text("{}\n")
    with stage_run("train", name="train", tags={}) as run_id:
        pass
    assert MlflowClient().get_run(run_id).data.tags["git.dirty"] == "false"


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("reference", ["0" * 32, "models:/nobody/1", "models:/nobody@champion"])
def test_unknown_runs_and_models_are_refused(reference: str) -> None:
    with pytest.raises(TrackingError, match=r"no (run|model)"):
        trace(reference)


@pytest.mark.usefixtures("project")
def test_run_without_a_record_is_refused() -> None:
    with stage_run("explore", name="explore", tags={}) as run_id:
        pass
    with pytest.raises(TrackingError, match="recorded no lineage"):
        trace(run_id)
