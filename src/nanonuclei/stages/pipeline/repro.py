"""Repro: `dvc repro` below one parent run that shows each stage, where its result comes from, and the final metrics."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import mlflow
import pandas as pd

from nanonuclei.errors import NanonucleiError
from nanonuclei.stages.pipeline.pinned import check_cache, pipeline_tasks
from nanonuclei.stages.places import Build
from nanonuclei.tracking.children import run_child
from nanonuclei.tracking.database import ui_command
from nanonuclei.tracking.runs import PARENT, existing_run, stage_run

STAGES_TABLE = "stages.csv"


def repro(targets: Sequence[str] = (), *, say: Callable[[str], None] = print) -> str:
    """Runs the stages that are out of date and reports on all of them.

    The data and `dvc.lock` are to be checked before, see `pinned.check_data` and `pinned.check_lock`.

    Args:
        targets: Such as ``train@nuclei``; all stages where none is given.
        say: Told what the user should read.

    Returns:
        The parent run's id.

    Raises:
        DataError: DVC's cache could not take in what was made.
        NanonucleiError: A stage failed; what it said stands above.
    """
    with stage_run("repro", name="pipeline", tags={}) as run_id:
        code = run_child(["dvc", "repro", *targets], run_id)
        table = _stages(run_id, targets)
        mlflow.log_text(table.to_csv(index=False), STAGES_TABLE)
        mlflow.set_tags({f"stage.{row['stage'].replace('@', '.')}": row["state"] for row in table.to_dict("records")})
        mlflow.set_tag("mlflow.note.content", f"```\n{table.to_string(index=False, justify='left')}\n```")
        mlflow.log_metrics(_final_metrics())
        say("")
        say(table.to_string(index=False))
        if code:
            raise NanonucleiError(
                "`dvc repro` failed; the stage's message stands above. Mend it and run the pipeline again: finished "
                "stages are kept"
            )
        check_cache()
    say(f"\nPipeline run {run_id}. `dvc metrics show` and `{ui_command()}` tell more.")
    return run_id


def _stages(run_id: str, targets: Sequence[str]) -> pd.DataFrame:
    """Returns one row per stage: ran here, failed here, restored from an earlier run, or not run."""
    children = _children(run_id)
    rows = []
    for task in pipeline_tasks():
        asked = _asked(task, targets)
        broken = False
        for stage in Build.STAGES:
            name = f"{stage}@{task}"
            if name in children:
                made_by, status = children[name]
                broken = broken or status != "FINISHED"
                state = f"ran as {made_by}" if status == "FINISHED" else f"{status.lower()} as {made_by}"
            elif stage not in asked:
                state = "not asked for"
            else:
                report = Build(task).report(stage)
                broken = broken or not report.is_file()
                state = "not run" if broken else f"restored from {json.loads(report.read_text('utf-8'))['run_id']}"
            rows.append({"stage": name, "state": state})
    return pd.DataFrame(rows)


def _children(run_id: str) -> dict[str, tuple[str, str]]:
    """Returns id and status of the run of each stage that ran below a parent."""
    experiment = existing_run(run_id).info.experiment_id
    found = mlflow.MlflowClient().search_runs([experiment], filter_string=f"tags.`{PARENT}` = '{run_id}'")
    return {f"{run.data.tags['stage']}@{run.data.tags['task']}": (run.info.run_id, run.info.status) for run in found}


def _asked(task: str, targets: Sequence[str]) -> tuple[str, ...]:
    """Returns the stages that targets name, and those before them."""
    if not targets:
        return Build.STAGES
    named = [number for number, stage in enumerate(Build.STAGES) if {stage, f"{stage}@{task}"} & set(targets)]
    return Build.STAGES[: max(named, default=-1) + 1]


def _final_metrics() -> dict[str, float]:
    metrics: dict[str, float] = {}
    for task in pipeline_tasks():
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
