"""What a stage knew when it ran: its run's `lineage/facts.json` and tags, which `tracking.origin.lineage` checks."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import mlflow

from nanonuclei.data.versions import file_md5, listing_md5

FACTS = "lineage/facts.json"
TAG = "lineage."
MODEL_URI = "model.uri"
CODE = ("git.commit", "git.dirty")
"""Tags that were set when the stage began: the code may have been edited since."""
PARENT_MODEL, PARENT_MD5 = "parent.model", "parent.md5"
"""Tags of a run whose training began with a stored model: its name, which does not move, and md5 of its network."""
REPLAYED, REPLAYED_MD5 = "replayed.dataset", "replayed.md5"
"""Tags of such a run: whose images were shown again beside the new ones, and DVC's md5 of them unless simulated."""
LOCK = Path("requirements.txt")
DVC_LOCK = Path("dvc.lock")
ADDED_LATER = ("registered_model_meta", "__pycache__")
"""What MLflow or Python put into a stored model's folder after it was logged."""


@dataclass(frozen=True)
class Facts:
    """What a stage tells of itself.

    Attributes:
        stage: ``prepare``, ``train``, ``evaluate``, or ``ship`` of a model that came along.
        task: Name of the task.
        dataset: Name of the dataset.
        dataset_md5: DVC's md5 of ``data/DATASET``; empty where the images are simulated.
        split_fingerprint: Of the catalog: which sample, with which content, is in which split.
        network_md5: Of the network's file; empty where the stage has none.
        upstream: Stage to id of the run that its input comes from.
    """

    stage: str
    task: str
    dataset: str
    dataset_md5: str
    split_fingerprint: str
    network_md5: str = ""
    upstream: Mapping[str, str] = field(default_factory=dict)


def log_facts(facts: Facts) -> dict[str, str]:
    """Logs facts to the active run, with commit, environment lock, a copy of `dvc.lock` and the logged model's md5.

    Returns:
        What was recorded, in the form of `lineage/facts.json`.
    """
    run = mlflow.get_run(mlflow.active_run().info.run_id)
    plain = dataclasses.asdict(facts)
    upstream = plain.pop("upstream")
    uri = run.data.tags.get(MODEL_URI, "")
    recorded = {
        "run_id": run.info.run_id,
        **plain,
        **{f"upstream.{stage}": run_id for stage, run_id in upstream.items()},
        **{name: run.data.tags[name] for name in CODE if name in run.data.tags},
        "environment_md5": file_md5(LOCK) if LOCK.is_file() else "",
        "dvc_lock_md5": file_md5(DVC_LOCK) if DVC_LOCK.is_file() else "",
        "model_uri": uri,
        "model_md5": model_md5(uri) if uri else "",
        "parent": run.data.tags.get(PARENT_MODEL, ""),
        "parent_md5": run.data.tags.get(PARENT_MD5, ""),
        "replayed": run.data.tags.get(REPLAYED, ""),
        "replayed_md5": run.data.tags.get(REPLAYED_MD5, ""),
    }
    recorded = {name: str(value) for name, value in recorded.items() if value != ""}
    mlflow.set_tags({f"{TAG}{name}": value for name, value in recorded.items()})
    mlflow.log_dict(recorded, FACTS)
    if DVC_LOCK.is_file():
        mlflow.log_artifact(str(DVC_LOCK), "lineage")
    return recorded


def model_md5(uri: str) -> str:
    """Returns one md5 over all files of a stored model."""
    folder = Path(mlflow.artifacts.download_artifacts(uri))
    files = {
        path.relative_to(folder).as_posix(): file_md5(path)
        for path in folder.rglob("*")
        if path.is_file() and not set(path.relative_to(folder).parts) & set(ADDED_LATER)
    }
    return listing_md5(files).removesuffix(".dir")
