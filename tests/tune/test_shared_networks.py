"""Trials that share a network: each as if it were alone, and the step traced once."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import keras
import numpy as np
import pytest

from nanonuclei.data.catalog import Catalog
from nanonuclei.tasks import create_task
from nanonuclei.tasks.base import Task
from nanonuclei.tasks.nuclei.config import NucleiExperiment
from nanonuclei.tune import objective
from nanonuclei.tune.base import COMPLETE, OUT_OF_MEMORY, PRUNED, Proposal, PrunedError
from nanonuclei.tune.shared_networks import SharedNetworks, _AdamW, _Dropout, _Numbers, num_networks

Curve = list[Mapping[str, float]]
Run = Callable[..., tuple[str, Curve]]
SLOW = {"train.learning_rate": 0.001, "train.weight_decay": 0.1, "network.dropout": 0.1, "train.schedule": "constant"}
FAST = {"train.learning_rate": 0.01, "train.weight_decay": 0.001, "network.dropout": 0.4, "train.schedule": "cosine"}
SETTINGS = {
    "tune.epochs": 2,
    "train.warmup_epochs": 1,
    "train.steps_per_epoch": 3,
    "tune.space": {
        "train.learning_rate": {"type": "float", "low": 0.001, "high": 0.1, "log": True},
        "network.depth": {"type": "int", "low": 2, "high": 3, "step": 1, "log": False},
    },
}


def span(low: float, high: float) -> dict[str, object]:
    return {"type": "float", "low": low, "high": high, "log": False}


@pytest.fixture
def config(experiment: Callable[..., NucleiExperiment]) -> NucleiExperiment:
    return experiment(SETTINGS)


@pytest.fixture
def run(config: NucleiExperiment, disc_catalog: Catalog, tmp_path: Path) -> Run:
    """Runs a trial: `run(settings, networks)` returns how it ended and its metrics by epoch."""

    def trial(
        settings: Mapping[str, object], networks: SharedNetworks | None, *, report: Callable[..., None] | None = None
    ) -> tuple[str, Curve]:
        curve: Curve = []
        outcome = objective.run_trial(
            config,
            Proposal(0, dict(settings)),
            objective.TrialData(disc_catalog.split("train"), disc_catalog.split("val")),
            folder=tmp_path / "trial",
            report=report or (lambda epoch, value: None),
            on_epoch=lambda epoch, metrics: curve.append(dict(metrics)),
            networks=networks,
        )
        assert not outcome.error
        return outcome.state, curve

    return trial


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> list[keras.optimizers.Optimizer]:
    """One entry for each time that a training step was traced."""
    applied, apply = [], keras.optimizers.Optimizer.apply

    def counted(self: keras.optimizers.Optimizer, *arguments: object, **named: object) -> object:
        applied.append(self)
        return apply(self, *arguments, **named)

    monkeypatch.setattr(keras.optimizers.Optimizer, "apply", counted)
    return applied


def test_trials_that_differ_in_numbers_share_one_traced_step_and_leave_nothing_to_each_other(
    run: Run, config: NucleiExperiment, traced: list[object]
) -> None:
    def prune(epoch: int, value: float) -> None:
        raise PrunedError

    networks = SharedNetworks(config.tune.space)
    first = run(FAST, networks)
    assert run(SLOW, networks)[1] != first[1]
    assert run({**FAST, "augment.flip": False, "train.balance": 0.3}, networks)[1] != first[1]
    assert run(FAST, networks, report=prune) == (PRUNED, first[1][:1])
    assert run(FAST, networks) == first
    assert len(traced) == 1


@pytest.mark.parametrize("settings", [SLOW, FAST], ids=["slow", "fast"])
def test_trial_learns_what_it_learns_alone(settings: dict[str, object], run: Run, config: NucleiExperiment) -> None:
    networks = SharedNetworks(config.tune.space)
    run({**SLOW, **FAST}, networks)
    (state, shared), (_, alone) = run(settings, networks), run(settings, None)
    assert state == COMPLETE
    for ours, theirs in zip(shared, alone, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-3)
        assert ours["learning_rate"] == pytest.approx(theirs["learning_rate"], rel=1e-6)


def test_each_architecture_has_a_network_of_its_own(run: Run, config: NucleiExperiment, traced: list[object]) -> None:
    networks = SharedNetworks(config.tune.space)
    for depth, dropout in ((2, 0.1), (3, 0.1), (2, 0.0), (2, 0.2), (3, 0.3)):
        assert run({"network.depth": depth, "network.dropout": dropout}, networks)[0] == COMPLETE
    assert len(traced) == 3  # no dropout at all is another step


@pytest.mark.parametrize(
    ("space", "count"),
    [
        ({"train.learning_rate": span(0.001, 0.1), "augment.scale": span(0.0, 0.5), "train.balance": span(0, 1)}, 1),
        (
            {
                "network.depth": {"type": "int", "low": 2, "high": 4, "step": 2, "log": False},
                "network.kind": {"type": "choice", "values": ["unet", "mobilenetv2", "resnet"]},
                "train.schedule": {"type": "choice", "values": ["cosine", "constant"]},
            },
            6,
        ),
        ({"loss.dice_weight": span(0.1, 2.0)}, math.inf),
    ],
)
def test_networks_of_a_space_are_counted(
    space: dict[str, object], count: float, experiment: Callable[..., NucleiExperiment]
) -> None:
    assert num_networks(experiment({"tune.space": space}).tune.space) == count


@pytest.mark.parametrize(
    "settings",
    [
        {"tune.space": {"loss.dice_weight": span(0.1, 2.0)}},
        {"train.precision": "float16"},
        {
            "network.kind": "mobilenetv2",
            "network.weights": "imagenet",
            "network.alpha": 0.35,
            "train.encoder": "frozen_then_unfrozen",
            "train.frozen_epochs": 1,
        },
    ],
    ids=["many networks", "scaled loss", "two optimizers"],
)
def test_what_cannot_be_shared_is_built_anew(
    settings: dict[str, object], experiment: Callable[..., NucleiExperiment], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = experiment({"train.epochs": 4, **settings})
    task = create_task(config)
    built = keras.Sequential()
    monkeypatch.setattr(task, "build_model", lambda: built)
    networks = SharedNetworks(config.tune.space)
    with networks.lend(task) as (lent, callbacks):
        assert lent.build_model() is built
        assert callbacks == []
    assert not networks.any_kept


@pytest.mark.parametrize("most", [0, 8])
def test_batches_of_a_trial_keep_no_images(
    most: int, config: NucleiExperiment, disc_catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SharedNetworks(config.tune.space, most=most).lend(create_task(config)) as (lent, _):
        batches = [lent.batches(disc_catalog.split("train"), training=training) for training in (True, False)]
        assert all(vars(each) for each in batches)
        batches[0].close()
    assert not any(vars(each) for each in batches)


def test_exhausted_memory_lets_the_networks_go(
    run: Run, config: NucleiExperiment, disc_catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    networks = SharedNetworks(config.tune.space)
    run(FAST, networks)
    assert networks.any_kept

    def exhausted(task: Task, *_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(objective, "fit", exhausted)
    data = objective.TrialData(disc_catalog.split("train"), disc_catalog.split("val"))
    outcome = objective.run_trial(
        config,
        Proposal(1, {}),
        data,
        folder=tmp_path / "trial",
        report=lambda epoch, value: None,
        on_epoch=lambda epoch, metrics: None,
        networks=networks,
    )
    assert outcome.state == OUT_OF_MEMORY
    assert not networks.any_kept


def test_dropout_drops_what_keras_drops() -> None:
    images = np.random.default_rng(7).random((2, 8, 8, 3), np.float32)
    numbers = _Numbers()
    numbers.dropout.assign(0.3)
    ours, theirs = _Dropout(0.9, seed=7), keras.layers.Dropout(0.3, seed=7)
    ours.numbers = numbers
    np.testing.assert_allclose(ours(images, training=True), theirs(images, training=True), rtol=1e-6)
    np.testing.assert_array_equal(ours(images), images)


def test_weights_decay_as_in_keras() -> None:
    numbers = _Numbers()
    numbers.weight_decay.assign(0.3)
    ours, theirs = _AdamW(numbers, learning_rate=0.1), keras.optimizers.AdamW(0.1, weight_decay=0.3)
    weights = [keras.Variable([1.0, -2.0, 3.0]) for _ in range(2)]
    for step in range(3):
        for optimizer, weight in zip((ours, theirs), weights, strict=True):
            optimizer.apply([keras.ops.convert_to_tensor([1.0, 0.5, float(step)])], [weight])
    np.testing.assert_allclose(weights[0], weights[1], rtol=1e-6)
    assert abs(float(weights[0][2]) - 3.0) > 0.1
    assert ours.get_config()["weight_decay"] == pytest.approx(0.3)
