"""A project under git, and the runs of a pipeline in it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import mlflow
import pytest

from nanonuclei.config.params import flatten, load_experiment
from nanonuclei.data.catalog import Catalog
from nanonuclei.data.versions import dataset_md5
from nanonuclei.tracking.facts import Facts, log_facts
from nanonuclei.tracking.runs import log_settings, stage_run


def git(*words: str) -> None:
    subprocess.run(["git", "-c", "user.name=A", "-c", "user.email=a@example.org", *words], check=True, timeout=120)


@pytest.fixture
def repository(project: Path, disc_catalog: Catalog) -> Path:
    """A project under git with one commit, a dataset that git does not see, and a database."""
    for name in ("params.yaml", "requirements.txt"):
        text = (project / name).read_text()
        (project / name).unlink()
        (project / name).write_text(text)
    (project / "data" / "discs").mkdir(parents=True)
    (project / "data" / "discs" / "images.zip").write_bytes(b"discs")
    (project / ".gitignore").write_text("/data/\n/mlruns/\nmlflow.db*\n")
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message", "first")
    return project


@pytest.fixture
def runs(repository: Path, disc_catalog: Catalog) -> dict[str, str]:
    """The runs of a pipeline: prepare, train, evaluate."""
    made: dict[str, str] = {}
    for stage in ("prepare", "train", "evaluate"):
        tags = {"pipeline": "dvc.yaml", "task": "nuclei", "dataset.name": "discs"}
        with stage_run(stage, name=stage, tags=tags) as run_id:
            settings = flatten(load_experiment("nuclei", path=repository / "params.yaml"))
            log_settings(run_id, {**settings, "data.dataset": "discs"})
            if stage != "evaluate":
                mlflow.log_text(disc_catalog.table().to_csv(index=False), "data/catalog.csv")
            mlflow.set_tag("split.fingerprint", disc_catalog.split_fingerprint())
            facts = Facts(
                stage=stage,
                task="nuclei",
                dataset="discs",
                dataset_md5=dataset_md5(repository / "data", "discs"),
                split_fingerprint=disc_catalog.split_fingerprint(),
                network_md5="" if stage == "prepare" else "5" * 32,
                upstream=dict(made),
            )
            log_facts(facts)
            made[stage] = run_id
    return made
