"""Repro: `dvc repro` below one parent run that shows each stage, where its result comes from, and the final metrics."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.exceptions import MlflowException

from nanonuclei.errors import NanonucleiError
from nanonuclei.stages.pinned import check_data
from nanonuclei.stages.places import DATASETS, Build
from nanonuclei.tracking.runs import PARENT, PARENT_VARIABLE, existing_run, stage_run

STAGES_TABLE = "stages.csv"


def repro(targets: Sequence[str] = (), *, say: Callable[[str], None] = print) -> str:
    """Runs the stages that are out of date and reports on all of them.

    Args:
        targets: Such as ``train@nuclei``; all stages where none is given.
        say: Told what the user should read.

    Returns:
        The parent run's id.

    Raises:
        DataError: The data is missing, or not what `data.dvc` pins.
        NanonucleiError: A stage failed; what it said stands above.
    """
    with stage_run("repro", name="pipeline", tags={}) as run_id:
        check_data()
        code = _dvc_repro(targets, run_id)
        table = _stages(run_id)
        mlflow.log_text(table.to_csv(index=False), STAGES_TABLE)
        mlflow.set_tags({f"stage.{row['stage'].replace('@', '.')}": row["state"] for row in table.to_dict("records")})
        mlflow.log_metrics(_final_metrics())
        say("")
        say(table.to_string(index=False))
        if code:
            raise NanonucleiError(
                "`dvc repro` failed; the stage's message stands above. Mend it and run the pipeline again: finished "
                "stages are kept"
            )
    say(f"\nPipeline run {run_id}. `dvc metrics show` and `mlflow ui` tell more.")
    return run_id


def _dvc_repro(targets: Sequence[str], run_id: str) -> int:
    environment = dict(os.environ)
    environment.pop("MLFLOW_RUN_ID", None)  # a stage would log into the parent
    environment[PARENT_VARIABLE] = run_id
    environment["MLFLOW_TRACKING_URI"] = mlflow.get_tracking_uri()
    environment["MLFLOW_EXPERIMENT_ID"] = existing_run(run_id).info.experiment_id
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', '')}"
    return subprocess.run([sys.executable, "-m", "dvc", "repro", *targets], env=environment, check=False).returncode


def _stages(run_id: str) -> pd.DataFrame:
    """Returns one row per stage: ran here, restored from an earlier run, or not run."""
    rows = []
    for task in DATASETS:
        build = Build(task)
        for stage in build.STAGES:
            rows.append({"stage": f"{stage}@{task}", "state": _state(build.report(stage), run_id)})
    return pd.DataFrame(rows)


def _state(report: Path, run_id: str) -> str:
    if not report.is_file():
        return "not run"
    made_by = str(json.loads(report.read_text(encoding="utf-8"))["run_id"])
    try:
        parent = existing_run(made_by).data.tags.get(PARENT)
    except (MlflowException, NanonucleiError):
        return f"restored from {made_by}, which this tracking server does not know"
    return f"ran as {made_by}" if parent == run_id else f"restored from {made_by}"


def _final_metrics() -> dict[str, float]:
    metrics: dict[str, float] = {}
    for task in DATASETS:
        path = Build(task).metrics("evaluate")
        if path.is_file():
            found = _flat(json.loads(path.read_text(encoding="utf-8")))
            metrics |= {f"{task}/{name}": value for name, value in found.items()}
    return metrics


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    flat: dict[str, float] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}/")
        else:
            flat[f"{prefix}{name}"] = float(value)
    return flat
