"""One MLflow run per stage: opened, filled with what makes it repeatable, and never left in the state RUNNING."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import mlflow
from mlflow.data.filesystem_dataset_source import FileSystemDatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.data.sources import LocalArtifactDatasetSource
from mlflow.entities import Param, RunStatus
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.config.params import Scalar
from nanonuclei.errors import TrackingError, without_password
from nanonuclei.interrupts import interrupted
from nanonuclei.invocation import PARENT_VARIABLE
from nanonuclei.tracking.database import SHORT_RUN_ID, full_run_id, no_run, not_answering, one_run, shown_uri
from nanonuclei.tracking.new_database import answering, make_database
from nanonuclei.tracking.processes import close_dead_runs, first_process_tag, process_tag

PARENT = "mlflow.parentRunId"
CHANGED = "changed"
"""Tag of the settings that were given beside a run's recipe."""
RESUME = "resume"
"""Stage of an entry point's run that goes on with another run."""
IDENTITY = ("task", "dataset.name", "dataset", "seed", "recipe", CHANGED)
"""Tags of `identity_tags`."""
EXPERIMENT_VARIABLES = {"MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"}
"""Environment variables that ask for an experiment; `mlflow.set_experiment` sets the first, too."""
NAMED_SETTINGS = 3
"""Changed settings that the name of a run tells at most."""
NOT_CODE = (":(exclude)dvc.lock", ":(exclude)pipelines/*/dvc.lock", ":(exclude)build", ":(exclude)data.dvc")
"""What a pipeline writes itself while it runs is no change of code; nor are data, whose md5 is recorded."""
CODE = (
    "src",
    "pipelines",
    "recipes",
    "params.yaml",
    "dvc.yaml",
    "MLproject",
    "conda.yaml",
    "pyproject.toml",
    "setup.py",
    "requirements.txt",
)
"""Where a file that git does not know is part of the code: what is run, and settings. Elsewhere it is data."""
UNKNOWN = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "NOT_FOUND")
"""MLflow's codes for things that are not there; any other code says that the server or database does not answer."""
BATCH = 100
"""Parameters that MLflow takes in one request."""


@dataclass(frozen=True)
class DatasetInput:
    """What a run read, for MLflow's dataset inputs.

    Attributes:
        name: Such as ``dsb2018-train``.
        digest: At most 36 characters that change with the content.
        context: ``train``, ``val`` or ``test``.
        source: The archive or folder it came from.
    """

    name: str
    digest: str
    context: str
    source: Path


@contextlib.contextmanager
def stage_run(
    stage: str, *, name: str, tags: Mapping[str, str], resume: str | None = None, system_metrics: bool = True
) -> Iterator[str]:
    """Opens the run of a stage and ends it as FINISHED, FAILED or, when interrupted, KILLED.

    Under `mlflow run` it is the run that MLflow made for the entry point. A resumed run is opened again instead, and
    the entry point's run becomes its child. A new run lies in the experiment of its parent, where MLflow shows it below
    that, unless another experiment is asked for.

    Args:
        stage: Logged as the tag ``stage``.
        name: Name of a new run.
        tags: More tags.
        resume: Id of a run to go on with.
        system_metrics: Whether to log the use of processors and memory; not by several processes in one run.

    Yields:
        The run's id.

    Raises:
        TrackingError: The run to go on with does not exist, or the tracking server refuses.
    """
    make_database()
    with answering():
        client = MlflowClient()
        close_dead_runs()
    given = os.environ.pop("MLFLOW_RUN_ID", None)
    if resume:
        begun = existing_run(resume)
        if given and given != resume:
            for key, value in _tags_of_resuming(begun).items():
                client.set_tag(given, key, value)
    try:
        with answering():
            known = resume or given
            place = {} if known else _place(tags.get(PARENT))
            new = {} if known else {"run_name": name, "tags": first_process_tag(), **place}
            run = mlflow.start_run(run_id=known, log_system_metrics=system_metrics, **new)
    except MlflowException as error:
        raise TrackingError(f"cannot open a run at {shown_uri()}: {first_line(error)}") from error
    run_id: str = run.info.run_id
    try:
        if given and not resume:
            mlflow.set_tag("mlflow.runName", name)
        parent = os.environ.get(PARENT_VARIABLE)
        own = {"stage": stage, **git_tags(), **({PARENT: parent} if parent else {}), **tags}
        mlflow.set_tags({**_redacted(run.data.tags), **own, **_where_it_belongs(own), **process_tag(run)})
        yield run_id
    except BaseException as error:
        if isinstance(error, SystemExit) or interrupted(error):
            _end(RunStatus.KILLED)
            raise
        with contextlib.suppress(Exception):
            mlflow.set_tag("error", first_line(error))
        _end(RunStatus.FAILED)
        raise
    else:
        mlflow.end_run()


def end_as_failed(reason: str) -> None:
    """Ends the active run as FAILED where its stage did all its work, but its command ends with a code other than 0.

    `mlflow run` calls the run of such a command FAILED, and one command must not leave two kinds of runs.

    Args:
        reason: Logged as the tag ``error``, as that of a stage that raised.
    """
    mlflow.set_tag("error", without_password(reason)[:500])
    _end(RunStatus.FAILED)


def existing_run(run_id: str) -> mlflow.entities.Run:
    """Returns a run that is named by its id, or by the unique beginning of it.

    Raises:
        TrackingError: There is none with that id, several begin so, or the tracking server does not answer.
    """
    run_id = full_run_id(run_id)
    try:
        with answering():
            client = MlflowClient()
            if SHORT_RUN_ID.fullmatch(run_id):
                experiments = [experiment.experiment_id for experiment in client.search_experiments()]
                begun = client.search_runs(experiments, f"attributes.run_id LIKE '{run_id}%'")
                run_id = one_run(run_id, [run.info.run_id for run in begun])
            return client.get_run(run_id)
    except MlflowException as error:
        raise no_run(run_id) if error.error_code in UNKNOWN else not_answering(error) from error


def identity_tags(config: ExperimentConfig, *, recipe: str = "", changed: str = "") -> dict[str, str]:
    """Returns the tags by which runs are found and told apart: task, dataset, seed, recipe, changed settings.

    Args:
        config: With `data.dataset` decided.
        recipe: Name of the recipe; empty where it is not known.
        changed: Settings that were given beside it, as `config.params.told` writes them.
    """
    named = {name: value for name, value in (("recipe", recipe), (CHANGED, changed)) if value}
    dataset = config.data.dataset
    return {"task": config.task, "dataset.name": dataset, "dataset": dataset, "seed": str(config.seed), **named}


def identity_of(run: mlflow.entities.Run) -> dict[str, str]:
    """Returns the tags of `identity_tags` that a run has, for a run about it."""
    return {name: run.data.tags[name] for name in IDENTITY if name in run.data.tags}


def run_name(config: ExperimentConfig, recipe: str = "", changed: str = "") -> str:
    """Returns what the run of a training is called; recipe and seed come first, as interfaces cut long names off.

    Args:
        config: With `data.dataset` decided.
        recipe: See `identity_tags`.
        changed: See `identity_tags`; of many settings the first are named.
    """
    settings = changed.split()
    if len(settings) > NAMED_SETTINGS:
        settings = [*settings[:NAMED_SETTINGS], f"and {len(settings) - NAMED_SETTINGS} more"]
    return " ".join(filter(None, ("train", recipe, f"seed {config.seed}", *settings, config.task, config.data.dataset)))


def _place(parent: str | None) -> dict[str, str]:
    """Returns the experiment of a parent, unless one is asked for: MLflow shows children beside their parent alone."""
    if not parent or EXPERIMENT_VARIABLES & set(os.environ):
        return {}
    with contextlib.suppress(TrackingError):  # a parent that is not there any more has no place
        return {"experiment_id": existing_run(parent).info.experiment_id}
    return {}


def _tags_of_resuming(begun: mlflow.entities.Run) -> dict[str, str]:
    """Returns the tags of an entry point's run that goes on with a run: what that is, and of what."""
    run_id = begun.info.run_id
    own = {PARENT: run_id, "resumes": run_id, "mlflow.runName": f"resume of {run_id[:8]}"}
    return {"stage": RESUME, **git_tags(), **identity_of(begun), **own, "parent": run_id}


def _redacted(tags: Mapping[str, str]) -> dict[str, str]:
    """Returns the tags that hold a password or token, without it: MLflow stores the address of git's remote."""
    clean = {name: without_password(value) for name, value in tags.items()}
    return {name: value for name, value in clean.items() if value != tags[name]}


def _where_it_belongs(tags: Mapping[str, str]) -> dict[str, str]:
    """Returns dataset and parent under plain names too, as columns of the UI."""
    plain = {"dataset": tags.get("dataset.name"), "parent": tags.get(PARENT)}
    return {name: value for name, value in plain.items() if value}


def log_settings(run_id: str, settings: Mapping[str, Scalar]) -> None:
    """Logs a flattened config as parameters under dotted paths; `task` is a tag, as an entry point has it too."""
    client = MlflowClient()
    params = iter([Param(path, str(value)) for path, value in settings.items() if path != "task"])
    while batch := list(islice(params, BATCH)):
        client.log_batch(run_id, params=batch)


def log_datasets(inputs: Sequence[DatasetInput]) -> None:
    """Logs what the active run read."""
    for entry in inputs:
        source: FileSystemDatasetSource = LocalArtifactDatasetSource(entry.source.resolve().as_uri())
        mlflow.log_input(MetaDataset(source, name=entry.name, digest=entry.digest), context=entry.context)


def git_tags() -> dict[str, str]:
    """Returns commit and dirty flag of the working tree, or nothing outside of one."""
    try:
        commit = _git("rev-parse", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", *NOT_CODE)
        unknown = _git("status", "--porcelain", "--untracked-files=all", "--", *CODE, *NOT_CODE)
        dirty = bool(changed or unknown)
    except (OSError, subprocess.CalledProcessError):
        return {}
    return {"git.commit": commit, "git.dirty": str(dirty).lower()}


def first_line(error: BaseException) -> str:
    """Returns an error's message on one line, cut to what fits into a tag."""
    return without_password(" ".join(str(error).partition("[SQL")[0].split()))[:500] or type(error).__name__


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], check=True, capture_output=True, text=True, timeout=20)
    return done.stdout.strip()


def _end(status: int) -> None:
    """Ends the active run; a server that is away must not hide the error that is on its way up."""
    with contextlib.suppress(Exception):
        mlflow.end_run(RunStatus.to_string(status))
