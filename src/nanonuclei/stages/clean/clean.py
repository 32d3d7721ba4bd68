"""Clean: lists what is left over, and removes it when asked to."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path

from nanonuclei.drawing.tables import table
from nanonuclei.errors import TrackingError
from nanonuclei.invocation import option
from nanonuclei.stages.clean.files import temporary
from nanonuclei.stages.clean.leftover import Leftover, of_path
from nanonuclei.stages.clean.prepared import unreferenced
from nanonuclei.stages.places import SCRATCH, run_folder
from nanonuclei.tracking.database import RUN_ID, check_database
from nanonuclei.writing import ABANDONED_SECONDS

NUM_SHOWN = 12
"""Characters of a run's id in the table, enough to name it."""


def clean(*, apply: bool = False, say: Callable[[str], None] = print) -> list[Leftover]:
    """Lists what killed processes and deleted runs left in this folder and at the tracking server.

    Args:
        apply: Whether to remove it too.
        say: Told what the user should read.

    Returns:
        What was found.

    Raises:
        TrackingError: The tracking server does not answer.
    """
    found = [*temporary(), *_of_runs(say)]
    if not found:
        say("Nothing is left over.")
        return found
    rows = [(one.kind, _shown(one), _bytes(one.size), one.reason) for one in found]
    say(table(rows, header=("kind", "what", "MB", "why")))
    total = _bytes(sum(one.size for one in found)) or "0.0"
    if not apply:
        say(f"\n{len(found)} found, {total} MB. Nothing was removed: add {option('apply', 'true')} to do so.")
        return found
    for one in found:
        one.remove()
    kept = [one.name for one in found if one.kind != "run" and Path(one.name).exists()]
    say(f"\nRemoved or closed {len(found) - len(kept)} of {len(found)}, {total} MB.")
    for name in kept:
        say(f"Could not remove {name}: check who may write there.")
    return found


def _of_runs(say: Callable[[str], None]) -> list[Leftover]:
    """Returns runs that are not worked on, scratch of deleted runs, and prepared images that nobody needs."""
    try:
        check_database()
    except TrackingError:
        say("There are no runs here: scratch and prepared images are left alone.")
        return []
    import mlflow
    from mlflow.exceptions import MlflowException

    from nanonuclei.tracking.database import not_answering
    from nanonuclei.tracking.processes import close, dead_runs, unborn_runs, working_runs

    own = _own_run()
    try:
        gone = [(run, "RUNNING, its process is gone") for run in dead_runs()]
        gone += [(run, "RUNNING for a day, its program never began") for run in unborn_runs(seconds=ABANDONED_SECONDS)]
        runs = [
            Leftover("run", run.info.run_id, f"{reason}; it ends as KILLED", functools.partial(close, run))
            for run, reason in gone
        ]
        ids = {run.info.run_id for run, _ in gone}
        working = [run for run in working_runs() if run.info.run_id not in {*ids, own}]
        deleted = _deleted(mlflow.MlflowClient())
    except MlflowException as error:
        raise not_answering(error) from error
    tags = [(run.data.tags.get("task", ""), run.data.tags.get("dataset.name", "")) for run in working]
    known = None if any(not all(one) for one in tags) else tags
    if known is None:
        say("A run is at work that does not tell its dataset: prepared images are left alone.")
    return [*runs, *deleted, *unreferenced(known)]


def _own_run() -> str:
    """Returns the id of the run that `mlflow run` made for this command; empty without one."""
    return os.environ.get("MLFLOW_RUN_ID", "")


def _deleted(client: object) -> list[Leftover]:
    """Returns the scratch folders of runs that were deleted at this tracking server; unknown runs keep theirs."""
    from mlflow.entities import LifecycleStage
    from mlflow.exceptions import MlflowException

    from nanonuclei.tracking.runs import UNKNOWN

    found = []
    for folder in sorted(run_folder("").glob("*")):
        if not folder.is_dir() or not RUN_ID.fullmatch(folder.name):
            continue
        try:
            stage = client.get_run(folder.name).info.lifecycle_stage  # type: ignore[attr-defined]
        except MlflowException as error:
            if error.error_code not in UNKNOWN:
                raise
            continue
        if stage == LifecycleStage.DELETED:
            found.append(of_path("scratch", SCRATCH / "runs" / folder.name, "checkpoints of a deleted run"))
    return found


def _shown(one: Leftover) -> str:
    return one.name[:NUM_SHOWN] if one.kind == "run" else one.name


def _bytes(size: int) -> str:
    return f"{size / 1e6:.1f}" if size else ""
