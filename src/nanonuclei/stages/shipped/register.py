"""Promotes a model by its name; one that comes along becomes champion where there is none yet."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import mlflow
from mlflow.entities import Run

from nanonuclei.config.params import flatten, to_yaml
from nanonuclei.errors import ConfigError, TrackingError
from nanonuclei.invocation import option
from nanonuclei.serving.folder import CONFIG
from nanonuclei.serving.named import NamedModel, find_model, is_run, is_uri, open_model
from nanonuclei.serving.probe import problem
from nanonuclei.serving.shipped.provenance import CARD, PROVENANCE, Provenance, file_sha256
from nanonuclei.serving.store import log_files, model_uri
from nanonuclei.stages.evaluate import HEADLINES
from nanonuclei.stages.places import PARAMS
from nanonuclei.stages.promote.promote import promote, told_run
from nanonuclei.tasks import create_task
from nanonuclei.tracking.facts import Facts, log_facts
from nanonuclei.tracking.origin.lineage import run_of
from nanonuclei.tracking.registry import CHAMPION, at_alias, describe_version, move_champion, register_once
from nanonuclei.tracking.runs import PARENT, existing_run, identity_of, log_settings, stage_run

DIGEST = "shipped.digest"
"""Tag of a run that holds a model that came along: sha256 of its provenance, which holds the hashes of all files."""


def promote_named(
    task: str, reference: str, *, allow_simulated: bool = False, say: Callable[[str], None] = print
) -> bool:
    """Promotes a model: one that comes along, a run's, or a registered one.

    Where there is no champion, a model that comes along becomes it: its scores on the test images stand in its
    provenance, and a fresh clone has no images to score it on. Otherwise it must pass the gate as any other.

    Args:
        task: Name of the task, which is the name of the registered model.
        reference: See `serving.named.find_model`.
        allow_simulated: Let a model pass that was trained on no real images.
        say: Told what the user should read.

    Returns:
        Whether the model is champion now.

    Raises:
        ConfigError: It was trained on simulated images, and that is not allowed.
        DataError: The model that comes along was changed, or images to compare it with the champion are missing.
        DoneAlreadyError: The model is champion already.
        TrackingError: There is no such model, it is of another task, or it does not serve.
    """
    if is_uri(reference) or is_run(reference):
        run = run_of(reference)
        if (made_for := existing_run(run).data.tags.get("task", task)) != task:  # before seconds of loading
            raise TrackingError(f"{reference} is a model for {made_for}, not for {task}. Promote it as {made_for}")
        return promote(task, run, allow_simulated=allow_simulated, say=say).decision.promoted
    named = find_model(reference)
    made = named.provenance
    if made is None:
        raise TrackingError(f"{reference} was not shipped: it has no {PROVENANCE}. Name the run that logged it")
    if made.task != task:
        raise TrackingError(f"{reference} is a model for {made.task}, not for {task}. Promote it as {made.task}")
    champion = at_alias(task, CHAMPION)
    if champion is None and not (made.data.real or allow_simulated):
        raise ConfigError(
            f"{reference} was trained on simulated images. Promote another, or give {option('allow_simulated', 'true')}"
        )
    run_id = _run_holding(named, made)
    if champion is not None:
        return promote(task, run_id, allow_simulated=allow_simulated, say=say).decision.promoted
    run = existing_run(run_id)
    if trouble := problem(model_uri(run)):
        raise TrackingError(f"{reference} must serve to become champion, but {trouble}. Install the locked versions")
    text = (named.folder / CARD).read_text(encoding="utf-8")
    promotion, version = _first_champion(task, run, card=text)
    counted = "" if version == "1" else " Version numbers count refused challengers too."
    say(
        f"Version {version} of {task}, the model {reference} that comes along, is champion, the first one."
        f"{counted}\nServe it: mlflow models serve -m models:/{task}@{CHAMPION} --env-manager local -p 5001\n"
        f"{told_run(promotion, of=run_id)}"
    )
    return True


def _first_champion(task: str, run: Run, *, card: str) -> tuple[str, str]:
    """Makes the model of a run champion where there is none, in a run as other promotions have it.

    Returns:
        The id of the promotion's run, and the number of the version.
    """
    held, scores = run.info.run_id, (f"{HEADLINES}/", "test/")
    tags = {PARENT: held, "promotes": held, **identity_of(run), "split.fingerprint": run.data.tags["split.fingerprint"]}
    with stage_run("promote", name=f"promote {run.info.run_name}, {held[:8]}", tags=tags) as run_id:
        mlflow.log_metrics({name: value for name, value in run.data.metrics.items() if name.startswith(scores)})
        version = register_once(task, model_uri(run), run_id=held)  # not before: what fails leaves no version
        number = str(version.version)
        mlflow.set_tags({"decision": "promoted", "decision.version": number, "decision.champion": ""})
        # Not after: what is killed in between would leave a champion of which nothing is told.
        describe_version(version, description=card, tags={"gate": "came along", "gate.run": run_id})
        move_champion(version, expected="")
    return run_id, number


def _run_holding(named: NamedModel, made: Provenance) -> str:
    """Returns the id of the run that holds a model that comes along; made where there is none."""
    digest = file_sha256(named.folder / PROVENANCE)
    query = f"tags.`{DIGEST}` = '{digest}' and attributes.status = 'FINISHED'"
    found = mlflow.search_runs(search_all_experiments=True, filter_string=query, output_format="list", max_results=1)
    if found:
        return str(found[0].info.run_id)
    opened = open_model(named.name, missing_from=PARAMS)
    tags = {
        "task": made.task,
        "dataset.name": made.data.name,
        "seed": str(made.training.seed),
        "recipe": named.name,
        "split.fingerprint": made.data.split,
        "shipped.run": made.training.run,
    }
    with stage_run("ship", name=f"{named.name} as it comes along", tags=tags) as run_id:
        log_settings(run_id, flatten(opened.config))
        scores = {s.metric if s.group == "all" else f"{s.group}/{s.metric}": s.value for s in made.scores}
        headlines = [name for name in create_task(opened.config).headlines if name in scores]
        mlflow.log_metrics({f"{HEADLINES}/{name}": scores[name] for name in headlines})
        mlflow.log_metrics({f"test/{name}": value for name, value in scores.items()})
        with tempfile.TemporaryDirectory(prefix="nanonuclei-shipped-") as name:
            files = Path(name) / "model"
            shutil.copytree(named.folder, files)
            (files / CONFIG).write_text(to_yaml(opened.config), encoding="utf-8")  # with settings younger than it
            log_files(files, opened.config)
        log_facts(
            Facts(
                stage="ship",
                task=made.task,
                dataset=made.data.name,
                dataset_md5=made.data.md5,
                split_fingerprint=made.data.split,
            )
        )
        mlflow.set_tag(DIGEST, digest)
    return run_id
