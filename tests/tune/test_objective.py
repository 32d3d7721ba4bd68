"""One trial: what it may see, what it measures, and how each kind of end is recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace

import keras
import pytest

from nanonuclei.data.catalog import Catalog
from nanonuclei.tasks.base import Task
from nanonuclei.tasks.nuclei.config import NucleiExperiment
from nanonuclei.tune import objective
from nanonuclei.tune.base import (
    COMPLETE,
    FAILED,
    OUT_OF_MEMORY,
    PRUNED,
    Outcome,
    Proposal,
    PrunedError,
    TakenOverError,
)

Experiment = Callable[..., NucleiExperiment]


def run(
    config: NucleiExperiment,
    catalog: Catalog,
    folder: Path,
    *,
    report: Callable[[int, float], None] = lambda epoch, value: None,
    settings: dict[str, float] | None = None,
) -> tuple[Outcome, list[Mapping[str, float]]]:
    epochs: list[Mapping[str, float]] = []
    outcome = objective.run_trial(
        config,
        Proposal(0, dict(settings or {})),
        objective.TrialData(catalog.split("train"), catalog.split("val")),
        folder=folder / "trial",
        report=report,
        on_epoch=lambda epoch, metrics: epochs.append(metrics),
    )
    return outcome, epochs


def test_trial_trains_on_train_and_val_alone_and_measures_the_best_epoch(
    experiment: Experiment, disc_catalog: Catalog, tmp_path: Path
) -> None:
    for sample in disc_catalog.split("test"):
        sample.image_path.unlink()
        sample.labels_path.unlink()
    reported: list[tuple[int, float]] = []
    config = experiment({"tune.epochs": 3, "train.epochs": 99})
    outcome, epochs = run(config, disc_catalog, tmp_path, report=lambda epoch, value: reported.append((epoch, value)))
    curve = [metrics["val/iou"] for metrics in epochs]
    assert outcome.error == ""
    assert outcome.state == COMPLETE
    assert reported == list(enumerate(curve, start=1))
    assert len(curve) == 3
    assert outcome.value == max(curve)
    assert outcome.figures["best_epoch"] == 1 + curve.index(max(curve))
    assert outcome.figures["num_params"] > 100
    assert outcome.figures["inference_ms"] > 0
    assert 0 < outcome.figures["fit_seconds"] < outcome.figures["seconds"]
    assert not (tmp_path / "trial").exists()


def test_pruned_trial_keeps_its_best_value_so_far(
    experiment: Experiment, disc_catalog: Catalog, tmp_path: Path
) -> None:
    def prune(epoch: int, value: float) -> None:
        raise PrunedError

    outcome, epochs = run(experiment(), disc_catalog, tmp_path, report=prune)
    assert (outcome.state, outcome.value, len(epochs)) == (PRUNED, epochs[0]["val/iou"], 1)


def test_training_step_is_traced_once(
    experiment: Experiment, disc_catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    applied, apply = [], keras.optimizers.Optimizer.apply

    def counted(*arguments: object, **named: object) -> object:
        applied.append(1)
        return apply(*arguments, **named)

    monkeypatch.setattr(keras.optimizers.Optimizer, "apply", counted)
    outcome, epochs = run(experiment({"tune.epochs": 2}), disc_catalog, tmp_path)
    assert (outcome.state, len(epochs)) == (COMPLETE, 2)
    assert len(applied) == 1


def test_networks_of_one_architecture_are_timed_once(
    experiment: Experiment, disc_catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def untrained(task: Task, *_: object, **__: object) -> SimpleNamespace:
        return SimpleNamespace(model=task.build_network())

    timed: list[int] = []

    def count(model: keras.Model, *, size: int) -> float:
        timed.append(model.count_params())
        return float(len(timed))

    monkeypatch.setattr(objective, "fit", untrained)
    monkeypatch.setattr(objective, "inference_ms", count)
    monkeypatch.setattr(objective, "_timings", {})
    changes = ({}, {"network.dropout": 0.3, "train.learning_rate": 0.01}, {"network.base_filters": 8}, {})
    outcomes = [run(experiment(), disc_catalog, tmp_path, settings=settings)[0] for settings in changes]
    assert [outcome.figures["inference_ms"] for outcome in outcomes] == [1.0, 1.0, 2.0, 1.0]
    assert timed[0] < timed[1]


class ResourceExhaustedError(Exception):
    """Stands for TensorFlow's."""


@pytest.mark.parametrize(
    ("error", "state", "told"),
    [
        (ResourceExhaustedError("OOM when allocating tensor"), OUT_OF_MEMORY, "ResourceExhaustedError: OOM"),
        (MemoryError(), OUT_OF_MEMORY, "MemoryError"),
        (RuntimeError("CUDA out of memory. Tried to allocate"), OUT_OF_MEMORY, "RuntimeError: CUDA"),
        (ValueError("something else"), FAILED, "ValueError: something else"),
    ],
)
def test_errors_of_a_training_become_the_outcome(
    experiment: Experiment,
    disc_catalog: Catalog,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    state: str,
    told: str,
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(objective, "fit", broken)
    outcome, _ = run(experiment(), disc_catalog, tmp_path)
    assert (outcome.state, outcome.value) == (state, None)
    assert outcome.error.startswith(told)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_metric_that_is_no_number_is_a_failed_trial(
    experiment: Experiment, disc_catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    def diverged(*_: object, on_epoch: Callable[[int, Mapping[str, float]], None], **__: object) -> None:
        on_epoch(1, {"val/iou": 0.8})
        on_epoch(2, {"val/iou": value})

    monkeypatch.setattr(objective, "fit", diverged)
    outcome, _ = run(experiment(), disc_catalog, tmp_path)
    assert (outcome.state, outcome.value) == (FAILED, None)
    assert "val/iou must be a finite number" in outcome.error


def test_settings_that_do_not_fit_together_are_a_failed_trial(
    experiment: Experiment, disc_catalog: Catalog, tmp_path: Path
) -> None:
    outcome, _ = run(experiment(), disc_catalog, tmp_path, settings={"train.patch_size": 33})
    assert outcome.state == FAILED
    assert "must be a multiple of 2**network.depth" in outcome.error


def test_trial_that_was_taken_over_ends_without_an_outcome(
    experiment: Experiment, disc_catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def one_epoch(*_: object, on_epoch: Callable[[int, Mapping[str, float]], None], **__: object) -> None:
        on_epoch(1, {"val/iou": 0.8})

    def taken(epoch: int, value: float) -> None:
        raise TakenOverError

    monkeypatch.setattr(objective, "fit", one_epoch)
    with pytest.raises(TakenOverError):
        run(experiment(), disc_catalog, tmp_path, report=taken)
