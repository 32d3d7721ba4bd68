from __future__ import annotations

import gc
import json
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from nanonuclei.data.catalog import Catalog
from nanonuclei.engine.checkpoint import BEST, STATE, load_model, load_state
from nanonuclei.engine.train import FitResult, fit
from nanonuclei.errors import ConfigError, DataError, NanonucleiError
from nanonuclei.models.encoders import ENCODER
from nanonuclei.tasks import create_task
from nanonuclei.tasks.nuclei.config import NucleiExperiment

Experiment = Callable[..., NucleiExperiment]


def run(config: NucleiExperiment, catalog: Catalog, workdir: Path, **options: object) -> FitResult:
    return fit(create_task(config), catalog.split("train"), catalog.split("val"), workdir=workdir, **options)


@pytest.fixture
def every_epoch_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nanonuclei.engine.checkpoint.SECONDS_BETWEEN", 0.0)


class CutOff(Exception):  # noqa: N818
    """Stands for a kill."""


def cut_off_after(epoch: int) -> Callable[[int, object], None]:
    def on_epoch(number: int, metrics: object) -> None:
        if number == epoch:
            raise CutOff

    return on_epoch


def test_training_on_discs_learns(experiment: Experiment, disc_catalog: Catalog, tmp_path: Path) -> None:
    config = experiment({"train.epochs": 6, "train.steps_per_epoch": 10, "train.learning_rate": 0.01})
    result = run(config, disc_catalog, tmp_path / "work")
    losses = result.history["train/loss"]
    assert losses[-1] < 0.6 * losses[0]
    assert len(losses) == 6
    assert set(result.history) == {
        *(f"{split}/{name}" for split in ("train", "val") for name in ("loss", "accuracy", "iou")),
        "learning_rate",
    }


def test_same_seed_gives_the_same_losses(experiment: Experiment, disc_catalog: Catalog, tmp_path: Path) -> None:
    config = experiment({"train.deterministic": True, "network.dropout": 0.2})
    first, second = (run(config, disc_catalog, tmp_path / name).history for name in ("a", "b"))
    np.testing.assert_allclose(first["train/loss"], second["train/loss"], rtol=1e-6)
    np.testing.assert_allclose(first["val/loss"], second["val/loss"], rtol=1e-6)


def test_a_training_leaves_no_compiled_step_behind(
    experiment: Experiment, disc_catalog: Catalog, tmp_path: Path
) -> None:
    def steps() -> list[object]:
        gc.collect()
        return [graph for graph in gc.get_objects() if type(graph).__name__ == "FuncGraph" and "one_step" in graph.name]

    before = steps()  # of what other tests trained without `fit`
    run(experiment({"train.epochs": 1}), disc_catalog, tmp_path)
    assert [step for step in steps() if not any(step is other for other in before)] == []


def test_other_seed_gives_other_losses(experiment: Experiment, disc_catalog: Catalog, tmp_path: Path) -> None:
    first = run(experiment(), disc_catalog, tmp_path / "a").history["train/loss"]
    second = run(experiment({"seed": 8}), disc_catalog, tmp_path / "b").history["train/loss"]
    assert not np.allclose(first, second)


@pytest.mark.parametrize(
    "settings",
    [
        {"train.schedule": "cosine", "train.ema_momentum": 0.9},
        {"train.schedule": "plateau", "train.ema_momentum": 0.0, "train.plateau_patience": 1},
        {"train.schedule": "constant", "train.early_stopping_patience": 3, "train.optimizer": "sgd"},
    ],
    ids=["cosine", "plateau", "constant"],
)
@pytest.mark.usefixtures("every_epoch_stored")
def test_training_cut_off_and_resumed_equals_one_that_was_not(
    experiment: Experiment, disc_catalog: Catalog, tmp_path: Path, settings: dict[str, object]
) -> None:
    config = experiment({"train.epochs": 4, "train.deterministic": True, "network.dropout": 0.2, **settings})
    whole = run(config, disc_catalog, tmp_path / "whole")
    with pytest.raises(CutOff):
        run(config, disc_catalog, tmp_path / "parts", on_epoch=cut_off_after(2))
    before = load_state(tmp_path / "parts")["seconds"]
    parts = run(config, disc_catalog, tmp_path / "parts")
    again = run(config, disc_catalog, tmp_path / "parts")  # whose training has ended
    assert 0 < before < parts.seconds < again.seconds
    for name, values in whole.history.items():
        np.testing.assert_allclose(parts.history[name], values, rtol=1e-5, err_msg=name)
    assert parts.best_epoch == whole.best_epoch
    for mine, other in zip(parts.model.get_weights(), whole.model.get_weights(), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-6)


def phased(small_encoder: Path, **settings: object) -> dict[str, object]:
    return {
        "network.kind": "mobilenetv2",
        "network.weights": str(small_encoder),
        "train.encoder": "frozen_then_unfrozen",
        "train.frozen_epochs": 2,
        "train.epochs": 4,
        "train.learning_rate": 0.01,
        "train.unfrozen_learning_rate": 0.002,
        "train.schedule": "constant",
        "train.deterministic": True,
        **settings,
    }


def test_unfrozen_phase_has_a_new_optimizer_and_its_own_rate(
    experiment: Experiment, disc_catalog: Catalog, tmp_path: Path, small_encoder: Path
) -> None:
    encoders: list[list[np.ndarray]] = []

    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: object = None) -> None:
            encoders.append(self.model.get_layer(ENCODER).get_layer("conv1").get_weights())

    config = experiment(phased(small_encoder))
    result = run(config, disc_catalog, tmp_path / "work", callbacks=[Watch()])
    np.testing.assert_allclose(result.history["learning_rate"], [0.01, 0.01, 0.002, 0.002], rtol=1e-6)
    assert [np.array_equal(encoders[0][0], other[0]) for other in encoders] == [True, True, False, False]
    model = load_model(tmp_path / "work", load_state(tmp_path / "work"))
    assert int(model.optimizer.iterations) == 2 * config.train.steps_per_epoch


@pytest.mark.usefixtures("every_epoch_stored")
def test_phased_training_cut_off_and_resumed_equals_one_that_was_not(
    experiment: Experiment, disc_catalog: Catalog, tmp_path: Path, small_encoder: Path
) -> None:
    settings = {"train.ema_momentum": 0.9, "train.schedule": "plateau", "network.dropout": 0.2}
    config = experiment(phased(small_encoder, **settings))
    whole = run(config, disc_catalog, tmp_path / "whole")
    for epoch, place in ((1, "frozen"), (2, "between"), (3, "unfrozen")):
        with pytest.raises(CutOff):
            run(config, disc_catalog, tmp_path / place, on_epoch=cut_off_after(epoch))
        parts = run(config, disc_catalog, tmp_path / place)
        for name, values in whole.history.items():
            np.testing.assert_allclose(parts.history[name], values, rtol=1e-5, err_msg=f"{name}, cut off {place}")
        assert parts.best_epoch == whole.best_epoch
        for mine, other in zip(parts.model.get_weights(), whole.model.get_weights(), strict=True):
            np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-6, err_msg=place)


def test_resumed_training_needs_no_file_of_weights(
    experiment: Experiment, disc_catalog: Catalog, tmp_path: Path, small_encoder: Path
) -> None:
    config = experiment(phased(small_encoder))
    with pytest.raises(CutOff):
        run(config, disc_catalog, tmp_path / "work", on_epoch=cut_off_after(1))
    small_encoder.unlink()
    assert len(run(config, disc_catalog, tmp_path / "work").history["train/loss"]) == 4


def test_patience_begins_when_the_encoder_is_unfrozen(
    experiment: Experiment, disc_catalog: Catalog, tmp_path: Path, small_encoder: Path
) -> None:
    settings = {"train.epochs": 30, "train.frozen_epochs": 3, "train.early_stopping_patience": 1}
    still = {"train.learning_rate": 1e-9, "train.unfrozen_learning_rate": 1e-9, "train.monitor": "val/accuracy"}
    config = experiment(phased(small_encoder, **settings, **still))
    for _ in range(2):
        assert len(run(config, disc_catalog, tmp_path / "work").history["train/loss"]) == 3 + 1 + 1


def test_finished_training_is_not_trained_again(experiment: Experiment, disc_catalog: Catalog, tmp_path: Path) -> None:
    run(experiment(), disc_catalog, tmp_path / "work")
    told: list[int] = []
    again = run(experiment(), disc_catalog, tmp_path / "work", on_epoch=lambda number, _: told.append(number))
    assert told == []
    assert len(again.history["train/loss"]) == 2


def test_early_stopping_stays_stopped_when_resumed(
    experiment: Experiment, disc_catalog: Catalog, tmp_path: Path
) -> None:
    settings = {"train.epochs": 30, "train.early_stopping_patience": 1, "train.learning_rate": 1e-9}
    config = experiment({**settings, "train.schedule": "constant", "network.normalisation": "none"})
    stopped = len(run(config, disc_catalog, tmp_path / "work").history["train/loss"])
    assert stopped < 30
    assert len(run(config, disc_catalog, tmp_path / "work").history["train/loss"]) == stopped


def test_best_epoch_is_the_one_with_the_best_monitor(
    experiment: Experiment, disc_catalog: Catalog, tmp_path: Path
) -> None:
    settings = {"train.epochs": 4, "train.keep": "best", "train.monitor": "val/iou", "train.learning_rate": 0.02}
    config = experiment(settings)
    result = run(config, disc_catalog, tmp_path / "work")
    assert result.best_epoch == 1 + int(np.argmax(result.history["val/iou"]))


def test_last_epoch_is_kept_when_asked(experiment: Experiment, disc_catalog: Catalog, tmp_path: Path) -> None:
    config = experiment({"train.keep": "last", "train.ema_momentum": 0.9})
    task = create_task(config)
    result = run(config, disc_catalog, tmp_path / "work")
    result.model.compile(loss=task.build_model().loss)
    loss = result.model.evaluate(task.batches(disc_catalog.split("val"), training=False), verbose=0)
    assert result.best_epoch == 2
    assert loss == pytest.approx(result.history["val/loss"][-1], rel=1e-4)


def test_kept_network_gives_the_validation_loss_of_its_epoch(
    experiment: Experiment, disc_catalog: Catalog, tmp_path: Path
) -> None:
    config = experiment({"train.epochs": 3, "train.ema_momentum": 0.9})
    task = create_task(config)
    result = run(config, disc_catalog, tmp_path / "work")
    result.model.compile(loss=task.build_model().loss)
    val = result.model.evaluate(task.batches(disc_catalog.split("val"), training=False), verbose=0)
    loss = val[0] if isinstance(val, list) else val
    assert loss == pytest.approx(min(result.history["val/loss"]), rel=1e-4)


def test_only_whole_files_stand_under_final_names(
    experiment: Experiment, disc_catalog: Catalog, tmp_path: Path
) -> None:
    run(experiment(), disc_catalog, tmp_path / "work")
    names = {path.name for path in (tmp_path / "work").iterdir()}
    assert names == {BEST, STATE, "epoch2-state.keras"}
    assert json.loads((tmp_path / "work" / STATE).read_text())["epochs"] == 2


def test_short_epochs_are_not_stored_one_by_one(experiment: Experiment, disc_catalog: Catalog, tmp_path: Path) -> None:
    config = experiment({"train.epochs": 4, "train.keep": "last", "train.deterministic": True})
    stored: list[int] = []
    run(
        config,
        disc_catalog,
        tmp_path / "whole",
        on_epoch=lambda *_: stored.append(load_state(tmp_path / "whole")["epochs"]),
    )
    assert stored == [1, 1, 1, 4]
    with pytest.raises(CutOff):
        run(config, disc_catalog, tmp_path / "parts", on_epoch=cut_off_after(3))
    assert load_state(tmp_path / "parts")["epochs"] == 1
    assert run(config, disc_catalog, tmp_path / "parts").best_epoch == 4


def test_training_that_a_callback_ends_keeps_its_last_weights(
    experiment: Experiment, disc_catalog: Catalog, tmp_path: Path
) -> None:
    config = experiment({"train.epochs": 5, "train.keep": "last", "train.deterministic": True})

    class Enough(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: object = None) -> None:
            self.model.stop_training = epoch == 2

    ended = run(config, disc_catalog, tmp_path / "ended", callbacks=[Enough()])
    assert ended.best_epoch == len(ended.history["train/loss"]) == 3
    task = create_task(config)
    ended.model.compile(loss=task.build_model().loss)
    val = ended.model.evaluate(task.batches(disc_catalog.split("val"), training=False), verbose=0)
    loss = val[0] if isinstance(val, list) else val
    assert loss == pytest.approx(ended.history["val/loss"][-1], rel=1e-4)


def test_no_state_where_no_epoch_was_finished(tmp_path: Path) -> None:
    assert load_state(tmp_path) is None


class Spoil(keras.callbacks.Callback):
    """Makes the second batch's loss NaN."""

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        self.model.set_weights([np.full_like(weight, np.nan) for weight in self.model.get_weights()])


@pytest.mark.parametrize(
    ("every", "where"),
    [(2, "in epoch 1, up to batch 2"), (20, "in epoch 1")],
    ids=["between batches", "after the epoch"],
)
def test_loss_that_is_no_number_ends_with_a_remedy(
    experiment: Experiment,
    disc_catalog: Catalog,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    every: int,
    where: str,
) -> None:
    monkeypatch.setattr("nanonuclei.engine.train.LOOK_EVERY", every)
    with pytest.raises(NanonucleiError, match=rf"must be a finite number, got nan {where}\. Lower"):
        run(experiment(), disc_catalog, tmp_path / "work", callbacks=[Spoil()])
    assert load_state(tmp_path / "work") is None  # no spoilt weights are kept


def test_empty_split_is_refused(experiment: Experiment, disc_catalog: Catalog, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the val split must hold at least one image"):
        fit(create_task(experiment()), disc_catalog.split("train"), (), workdir=tmp_path)


def test_more_devices_than_there_are_is_refused(experiment: Experiment, disc_catalog: Catalog, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="asked for 99"):
        run(experiment({"train.devices": 99}), disc_catalog, tmp_path)


def test_precision_policy_is_put_back(experiment: Experiment, disc_catalog: Catalog, tmp_path: Path) -> None:
    result = run(experiment({"train.precision": "bfloat16"}), disc_catalog, tmp_path / "work")
    assert result.hardware.precision == "bfloat16"
    assert keras.config.dtype_policy().name == "float32"
    assert {layer.dtype_policy.name for layer in result.model.layers} == {"float32"}
