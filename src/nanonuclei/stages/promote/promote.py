"""Promote: registers a run's model, holds it against the gate and the champion, and moves the alias or says why not."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import mlflow
import numpy as np
import pandas as pd
from mlflow.entities.model_registry import ModelVersion
from mlflow.models import get_model_info

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.config.gate import GateConfig, load_gate
from nanonuclei.config.params import flatten
from nanonuclei.config.section import Role, paths_of
from nanonuclei.data.catalog import SPLITS, Catalog
from nanonuclei.engine.evaluate import evaluate_network
from nanonuclei.errors import TrackingError
from nanonuclei.imaging.networks import Network
from nanonuclei.report.card import Card, model_card
from nanonuclei.serving.probe import problem
from nanonuclei.serving.store import load_served, model_uri
from nanonuclei.stages.evaluate import log_metrics
from nanonuclei.stages.finetune.gate import Rivals
from nanonuclei.stages.places import PARAMS
from nanonuclei.stages.prepare import prepared_dataset
from nanonuclei.stages.promote.measured import cpu_seconds_per_megapixel, described, gains, megabytes
from nanonuclei.tasks import create_task, dataset_type, task_package
from nanonuclei.tasks.values import Report
from nanonuclei.tracking.database import ui_link
from nanonuclei.tracking.early.registered import champion_already
from nanonuclei.tracking.facts import REPLAYED
from nanonuclei.tracking.gate import Candidate, Champion, Decision, decide
from nanonuclei.tracking.inputs import log_splits
from nanonuclei.tracking.registry import (
    CHAMPION,
    SOURCE,
    at_alias,
    describe_version,
    move_champion,
    register_once,
    roll_back,
    set_challenger,
)
from nanonuclei.tracking.runs import PARENT, end_as_failed, existing_run, identity_tags, stage_run
from nanonuclei.tracking.views import run_page

SCORES = "promotion/per_image.csv"
"""Artifact of a promotion: statistics per test image, which the next challenger is compared with."""
SCORES_RUN, SCORES_SPLIT = "scores.run", "scores.split"
"""Tags of a version: the promotion that scored it, and the fingerprint of the split that it was scored on."""


@dataclass(frozen=True)
class Promotion:
    """How a promotion ended.

    Attributes:
        run_id: Of the promotion's run.
        version: Of the registered model.
        decision: The verdict with all conditions.
    """

    run_id: str
    version: str
    decision: Decision


def promote(task: str, run: str, *, allow_simulated: bool = False, say: Callable[[str], None] = print) -> Promotion:
    """Registers the model of a run as challenger and makes it champion if it passes the gate.

    Args:
        task: Name of the task, which is the name of the registered model.
        run: Id of the run that logged the model.
        allow_simulated: Let a model pass that was trained on no real images.
        say: Told what the user should read.

    Raises:
        ConfigError: There is no such task, or its gate is not valid.
        DoneAlreadyError: The model is champion already.
        TrackingError: The run is unknown, holds no model, or is of another task; or another promotion was faster.
    """
    gate = load_gate(_known(task), path=PARAMS)
    trained = existing_run(run)
    run, uri = str(trained.info.run_id), model_uri(trained)
    config, network = load_served(uri, missing_from=PARAMS)
    if config.task != task:
        raise TrackingError(f"run {run} holds a model for {config.task}, not for {task}. Promote it as {config.task}")
    recipe = trained.data.tags.get("recipe", "")
    tags = {PARENT: run, "promotes": run, **identity_tags(config, recipe=recipe)}
    check_not_champion(task, run)
    with stage_run("promote", name=f"promote {trained.info.run_name}, {run[:8]}", tags=tags) as run_id:
        champion = at_alias(task, CHAMPION)
        catalog, source = prepared_dataset(config, say=say)
        log_splits(catalog, source, ["test"])
        report = _score(config, network, catalog)
        mlflow.log_text(report.per_image.to_csv(index=False), SCORES)
        log_metrics(create_task(config), report, split="test")
        candidate = Candidate(
            dataset=config.data.dataset,
            real=config.data.dataset in dataset_type(task).locations,
            metrics=report.metrics,
            cpu_seconds_per_megapixel=cpu_seconds_per_megapixel(network, config),
            megabytes=megabytes(uri),
            signature=described(get_model_info(uri).signature),
            problem=problem(uri),
        )
        before = _champion(champion, config, report, catalog, gate) if champion is not None else None
        against = Rivals((config, network), partial(gains, config, gate=gate), say)
        rival = champion.tags.get(SOURCE, f"models:/{task}/{champion.version}") if champion is not None else ""
        if before is not None and (old := trained.data.tags.get(REPLAYED, "")):
            more = against.on_old(old, load_served(rival, missing_from=PARAMS))
            before = dataclasses.replace(before, gains=(*before.gains, *more))
        parent = against.parent(trained.data.tags, catalog.split("test"), report.per_image, champion=(rival, before))
        decision = decide(candidate, before, gate, parent=parent, allow_simulated=allow_simulated)
        version = register_once(task, uri, run_id=run)  # not before: a promotion that fails leaves no version
        set_challenger(version)
        _record(version, decision, candidate, before)
        scored = {SCORES_RUN: run_id, SCORES_SPLIT: catalog.split_fingerprint()}
        card = _card(version, config, catalog, report, decision)
        mlflow.log_text(card, "promotion/card.md")
        verdict = {"gate": "promoted" if decision.promoted else "refused", "gate.reasons": "; ".join(decision.reasons)}
        # Not after: what is killed in between would leave a champion of which nothing is told.
        describe_version(version, description=card, tags={**scored, **verdict, "gate.run": run_id})
        if decision.promoted:
            try:
                move_champion(version, expected="" if champion is None else str(champion.version))
            except TrackingError as error:
                describe_version(version, description=card, tags={"gate": "overtaken", "gate.reasons": str(error)})
                raise
        else:
            end_as_failed(f"refused: {'; '.join(decision.reasons)}")
    say(f"{_told(task, version, decision, before)}\n{told_run(run_id, of=run)}")
    return Promotion(run_id, str(version.version), decision)


def told_run(run_id: str, *, of: str = "") -> str:
    """Returns what is told of the run of a promotion: its id, that of the model's run, and what opens its page."""
    return f"Run {run_id}{f', child of {of}' if of else ''}: {ui_link(run_page(run_id))}"


def check_not_champion(task: str, run: str) -> None:
    """Makes sure that the model of a run is not champion yet.

    Raises:
        DoneAlreadyError: It is.
    """
    champion = at_alias(task, CHAMPION)
    if champion is not None and champion.run_id == run:
        raise champion_already(task, str(champion.version), run)


def rollback(task: str, *, say: Callable[[str], None] = print) -> str:
    """Gives the champion's alias back to the version before; returns that version's number.

    Raises:
        ConfigError: There is no such task.
        TrackingError: There is nothing to go back to.
    """
    with stage_run("promote", name=f"roll back {_known(task)}", tags={"task": task, "rollback": "true"}) as run_id:
        was, now = roll_back(task)
        mlflow.set_tags({"rollback.from": was, "rollback.to": now})
    say(
        f"Champion of {task} is version {now} again, was version {was}. `serve` takes it up by itself, "
        f"`mlflow models serve` when it is started again.\n{told_run(run_id)}"
    )
    return now


def _known(task: str) -> str:
    task_package(task)
    return task


def _score(config: ExperimentConfig, network: Network, catalog: Catalog) -> Report:
    """Scores a network as it is served on the test split."""
    return evaluate_network(create_task(config), network, catalog.split("test"))


def _champion(
    version: ModelVersion, config: ExperimentConfig, report: Report, catalog: Catalog, gate: GateConfig
) -> Champion:
    """Compares with the champion on the challenger's test images, scored anew unless it was scored on these."""
    uri = version.tags.get(SOURCE, f"models:/{version.name}/{version.version}")
    if version.tags.get(SCORES_SPLIT) == catalog.split_fingerprint():
        text = mlflow.artifacts.load_text(f"runs:/{version.tags[SCORES_RUN]}/{SCORES}")
        scores = pd.read_csv(io.StringIO(text), dtype={"sample_id": str})
        mlflow.set_tag("champion.scored", "before")
    else:
        its_config, network = load_served(uri, missing_from=PARAMS)
        scores = _score(its_config, network, catalog).per_image
        mlflow.log_text(scores.to_csv(index=False), "promotion/champion_per_image.csv")
        mlflow.set_tag("champion.scored", "anew")
    return Champion(
        str(version.version), described(get_model_info(uri).signature), gains(config, scores, report.per_image, gate)
    )


def _record(version: ModelVersion, decision: Decision, candidate: Candidate, champion: Champion | None) -> None:
    """Logs the decision, before the alias moves: what a promotion that was too slow would have been is known too."""
    numbers = {
        "promote/cpu_seconds_per_megapixel": candidate.cpu_seconds_per_megapixel,
        "promote/megabytes": candidate.megabytes,
    }
    for gain in champion.gains if champion else ():
        for name, value in (("gain", gain.value), ("gain_low", gain.low), ("gain_high", gain.high)):
            if np.isfinite(value):
                numbers[f"promote/{gain.group}/{name}"] = value
    mlflow.log_metrics(numbers)
    mlflow.set_tags(
        {
            "decision": "promoted" if decision.promoted else "refused",
            "decision.reasons": "; ".join(decision.reasons)[:5000],
            "decision.version": str(version.version),
            "decision.champion": champion.version if champion else "",
        }
    )
    content = {
        "version": str(version.version),
        "promoted": decision.promoted,
        "criteria": [dataclasses.asdict(criterion) for criterion in decision.criteria],
        "champion": champion.version if champion else None,
        "gains": [dataclasses.asdict(gain) for gain in champion.gains] if champion else [],  # type: ignore[call-overload]
    }
    mlflow.log_dict(content, "promotion/decision.json")


def _card(version: ModelVersion, config: ExperimentConfig, catalog: Catalog, report: Report, decision: Decision) -> str:
    task, settings = create_task(config), flatten(config)
    return model_card(
        Card(
            task=config.task,
            version=str(version.version),
            run_id=version.run_id,
            dataset=config.data.dataset,
            split_fingerprint=catalog.split_fingerprint(),
            images={split: len(catalog.split(split)) for split in SPLITS},
            settings={path: settings[path] for path in paths_of(config, (Role.NETWORK, Role.READING))},
            metrics=report.metrics,
            groups=report.groups(),
            criteria=[(criterion.name, criterion.held, criterion.detail) for criterion in decision.criteria],
            promoted=decision.promoted,
            names=task.metric_names,
            cautions=task.cautions,
            licence=dataset_type(config.task).licences.get(config.data.dataset, "Licence not known"),
        )
    )


def _told(task: str, version: ModelVersion, decision: Decision, champion: Champion | None) -> str:
    before = f" after version {champion.version}" if champion else ", the first one"
    lines = [f"  {'met    ' if c.held else 'NOT MET'}  {c.detail}" for c in decision.criteria]
    if decision.promoted:
        serve = f"mlflow models serve -m models:/{task}@{CHAMPION} --env-manager local -p 5001"
        return "\n".join([*lines, f"Version {version.version} of {task} is champion{before}.", f"Serve it: {serve}"])
    return "\n".join([*lines, f"Refused: version {version.version} of {task} stays challenger."])
