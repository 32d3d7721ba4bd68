"""The whole path in one process, on images and a network so small that it takes seconds."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml
from filelock import FileLock
from mlflow.tracking import MlflowClient
from tests.run_lengths import from_run_lengths

from nanonuclei.commands.training import run_train
from nanonuclei.config.params import Scalar, to_yaml, with_settings
from nanonuclei.data.catalog import Catalog
from nanonuclei.engine.checkpoint import load_state
from nanonuclei.engine.devices import Hardware
from nanonuclei.engine.train import FitResult
from nanonuclei.errors import ConfigError, DataError, TrackingError
from nanonuclei.invocation import PARENT_VARIABLE
from nanonuclei.serving.store import example_png, load_trained
from nanonuclei.stages import evaluate as evaluate_stage
from nanonuclei.stages import train as train_stage
from nanonuclei.stages.evaluate import evaluate_run
from nanonuclei.stages.explore import explore
from nanonuclei.stages.places import run_folder
from nanonuclei.stages.samples import training_samples, validation_samples
from nanonuclei.stages.train import _closing, _config_of, train
from nanonuclei.tasks import create_reader, create_task
from nanonuclei.tasks.nanotubes.config import NanotubeExperiment
from nanonuclei.tasks.nuclei.config import NucleiExperiment
from nanonuclei.tracking.early.at_work import LOCKED, check_alone
from nanonuclei.tracking.runs import existing_run

pytestmark = pytest.mark.usefixtures("project")

NOT_GIVEN = {"dataset": None, "recipe": None, "settings": None}
"""Options of a command line."""


@pytest.fixture
def config(experiment: Callable[..., NucleiExperiment]) -> NucleiExperiment:
    return experiment({"data.dataset": "simulated", "data.simulated.num_images": 12, "data.simulated.size": 64})


def artifacts(run_id: str, folder: str | None = None) -> set[str]:
    client = MlflowClient()
    found = set()
    for entry in client.list_artifacts(run_id, folder):
        found |= artifacts(run_id, entry.path) if entry.is_dir else {entry.path}
    return found


def quiet(_: str) -> None:
    pass


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train.patch_size": 31}, "train.patch_size must be a multiple of"),
        ({"train.patch_size": 64, "windows.tile": 64}, "windows.tile must hold a window of 64 px"),
    ],
)
def test_windows_of_nanotubes_that_fit_nothing_are_refused_before_images_are_made(
    tube_experiment: Callable[..., NanotubeExperiment], settings: dict[str, Scalar], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        train(tube_experiment({"data.dataset": "simulated", **settings}), say=quiet)
    assert not Path("scratch").exists()
    assert mlflow.search_runs(search_all_experiments=True).empty


def test_one_run_holds_all_that_is_needed_to_repeat_it_and_its_model_can_be_used(config: NucleiExperiment) -> None:
    said: list[str] = []
    run_id = train(config, say=said.append)
    run = existing_run(run_id)

    assert run.info.status == "FINISHED"
    assert run.data.params["train.learning_rate"] == str(config.train.learning_rate)
    assert run.data.params["data.dataset"] == "simulated"
    tags = run.data.tags
    for name in ("dataset.name", "dataset.fingerprint", "split.fingerprint", "hardware.precision", "hardware.name"):
        assert tags[name]
    assert tags["inference.precision"] == "float32"
    assert "AP at IoU 0.5, pooled" in tags["mlflow.note.content"]
    contexts = {entry.tags[0].value for entry in run.inputs.dataset_inputs}
    assert contexts == {"train", "val", "test"}
    for name in ("train/loss", "val/loss", "val/iou", "test/accuracy", "test/ap50_pooled", "test/ap50_pooled_low"):
        assert np.isfinite(run.data.metrics[name]), name
    assert len(MlflowClient().get_metric_history(run_id, "val/loss")) == config.train.epochs
    assert artifacts(run_id) >= {
        "config.yaml",
        "data/catalog.csv",
        "data/splits.csv",
        "environment/requirements.txt",
        "evaluation/test_metrics.csv",
        "evaluation/test_objects.csv",
        "evaluation/test_per_image.csv",
        "figures/learning_curves.png",
        "figures/test_random.png",
        "figures/test_worst.png",
        "model_summary.txt",
    }
    assert said[said.index(f"Run {run_id}") + 1] == f"1 training of {config.train.budget}."
    budget = f"{config.train.epochs} epochs of {config.train.steps_per_epoch} steps with batches of "
    assert config.train.budget == f"{budget}{config.train.batch_size}"
    assert any("pixel accuracy" in line for line in said)

    stored, _ = load_trained(run)
    assert stored == config
    description = (Path(mlflow.artifacts.download_artifacts(tags["model.uri"])) / "MLmodel").read_text()
    assert not re.search(r"(: |file:)/", description), description
    model = mlflow.pyfunc.load_model(tags["model.uri"])
    found = model.predict(pd.DataFrame({"image": [example_png(create_reader(config))] * 2}))
    assert list(found.columns) == model.metadata.get_output_schema().input_names()
    for _, objects in found.groupby("image"):
        labels = from_run_lengths(objects["run_lengths"].tolist(), (64, 64)).labels
        assert np.bincount(labels.ravel())[1:].tolist() == objects["area"].tolist()

    said.clear()
    assert train(None, resume=run_id[:10], say=said.append) == run_id
    assert f"Run {run_id} is finished: nothing was changed" in said[0]
    again = existing_run(run_id)
    assert again.info.end_time == run.info.end_time
    assert again.data.to_dictionary() == run.data.to_dictionary()

    child = existing_run(evaluate_run(run_id, split="test", settings=["windows.num_views=1"], say=quiet))
    assert child.data.tags["mlflow.parentRunId"] == run_id
    assert [entry.tags[0].value for entry in child.inputs.dataset_inputs] == ["test"]
    assert child.data.tags["split.fingerprint"] == tags["split.fingerprint"]
    for name, value in child.data.metrics.items():
        if name.startswith("test/") and "seconds" not in name:
            assert value == pytest.approx(run.data.metrics[name], rel=1e-4, abs=1e-6), name


def test_training_of_a_comparison_leaves_out_what_is_told_of_all(
    config: NucleiExperiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    hardware = Hardware("tensorflow", "cpu", "a CPU", 1, "float32")
    result = FitResult(None, {"train/loss": [1.0]}, 1, 60.0, hardware)
    run_id = MlflowClient().create_run("0").info.run_id
    assert "Score again" in _closing(create_task(config), run_id, result)
    monkeypatch.setenv(PARENT_VARIABLE, run_id)
    assert _closing(create_task(config), run_id, result).endswith("(a CPU, float32).")


def test_epochs_that_are_trained_again_after_a_kill_are_logged_once(
    config: NucleiExperiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = train_stage.fit

    def killed(*arguments: Any, on_epoch: Callable[[int, Any], None], **named: Any) -> Any:
        def tell(epoch: int, metrics: Any) -> None:
            on_epoch(epoch, metrics)
            if epoch == 3:
                raise KeyboardInterrupt

        return real(*arguments, on_epoch=tell, **named)

    monkeypatch.setattr(train_stage, "fit", killed)
    with pytest.raises(KeyboardInterrupt):
        train(with_settings(config, {"train.epochs": 5}), say=quiet)
    (run,) = MlflowClient().search_runs(["0", "1"], "tags.stage = 'train'")
    run_id = run.info.run_id
    assert load_state(run_folder(run_id))["epochs"] == 1
    monkeypatch.setattr(train_stage, "fit", real)
    assert train(None, resume=run_id, say=quiet) == run_id
    for name in ("train/loss", "val/loss"):
        steps = [entry.step for entry in MlflowClient().get_metric_history(run_id, name)]
        assert sorted(steps) == [1, 2, 3, 4, 5]


def test_evaluation_changes_how_a_model_is_used_and_not_how_it_was_made(
    config: NucleiExperiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate_stage, "existing_run", lambda run: run)
    monkeypatch.setattr(evaluate_stage, "load_trained", lambda *_, **__: (config, None))
    with pytest.raises(ConfigError, match=r"keeps its train\.epochs; evaluate can change windows"):
        evaluate_run("any", settings=["train.epochs=3"])


def test_resuming_what_has_no_checkpoint_here_is_refused() -> None:
    run_id = MlflowClient().create_run("0").info.run_id
    with pytest.raises(TrackingError, match="has no checkpoint in"):
        train(None, resume=run_id)


def test_run_from_before_searches_were_there_can_be_resumed(config: NucleiExperiment) -> None:
    run_id = MlflowClient().create_run("0", tags={"task": "nuclei"}).info.run_id
    folder = run_folder(run_id)
    folder.mkdir(parents=True)
    tree = yaml.safe_load(to_yaml(config))
    del tree["nuclei"]["tune"], tree["nuclei"]["data"]["seed"]
    (folder / "config.yaml").write_text(yaml.safe_dump(tree))
    assert _config_of(run_id) == config
    del tree["nuclei"]["network"]["alpha"]
    (folder / "config.yaml").write_text(yaml.safe_dump(tree))
    with pytest.raises(ConfigError, match=r"setting 'network\.alpha' is missing"):
        _config_of(run_id)


def test_run_that_another_process_trains_is_left_alone(config: NucleiExperiment) -> None:
    run_id = MlflowClient().create_run("0").info.run_id
    folder = run_folder(run_id)
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(to_yaml(config))
    code = (
        "import sys\nfrom filelock import FileLock\nlock = FileLock(sys.argv[1])\nlock.acquire()\n"
        "print('held', flush=True)\nsys.stdin.read()"
    )
    words = [sys.executable, "-c", code, str(folder / LOCKED)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(TrackingError, match="still being trained by another process"):
            train(None, resume=run_id)
        with pytest.raises(TrackingError, match="still being trained by another process"):
            check_alone(folder)
        other.communicate("")
    check_alone(folder)
    check_alone(folder.with_name("never-trained"))
    assert not folder.with_name("never-trained").exists()


def test_run_in_training_is_told_before_the_slow_imports(
    config: NucleiExperiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = MlflowClient().create_run("0").info.run_id
    run_folder(run_id).mkdir(parents=True)
    with FileLock(run_folder(run_id) / LOCKED):
        monkeypatch.setitem(sys.modules, "nanonuclei.stages.train", None)
        with pytest.raises(TrackingError, match="still being trained by another process"):
            run_train(argparse.Namespace(build=False, resume=run_id, task="nuclei", **NOT_GIVEN))


def test_evaluating_a_run_without_model_is_refused() -> None:
    run_id = MlflowClient().create_run("0").info.run_id
    with pytest.raises(TrackingError, match="holds no model"):
        evaluate_run(run_id)


def test_training_samples_are_drawn_by_the_seed(config: NucleiExperiment, disc_catalog: object) -> None:
    few = with_settings(config, {"data.max_train_samples": 3})
    assert len(training_samples(disc_catalog, few)) == 3
    assert training_samples(disc_catalog, few) == training_samples(disc_catalog, few)
    assert len(training_samples(disc_catalog, config)) == 6


def test_training_on_one_modality_sees_no_other(
    disc_catalog: Catalog, experiment: Callable[..., NucleiExperiment]
) -> None:
    config = experiment({"data.modality": "stained"})
    for chosen, split in ((training_samples, "train"), (validation_samples, "val")):
        kept = chosen(disc_catalog, config)
        assert {sample.modality for sample in kept} == {"stained"}
        assert set(kept) < set(disc_catalog.split(split))
    with pytest.raises(DataError, match="got brightfield"):
        training_samples(disc_catalog, experiment({"data.modality": "brightfield"}))


def test_explore_logs_pictures_and_tables(config: NucleiExperiment) -> None:
    said: list[str] = []
    run_id = explore(config, say=said.append)
    assert artifacts(run_id) >= {
        "data/catalog.csv",
        "data/splits.csv",
        "figures/histograms.png",
        "figures/images_fluorescence.png",
        "figures/splits.png",
    }
    assert Path("scratch/prepared").is_dir()
    assert any("modality" in line for line in said)
