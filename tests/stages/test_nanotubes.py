"""Commands that once knew nuclei alone, with nanotubes: compare, explore, and predict on images of several channels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import mlflow
import numpy as np
import pandas as pd
import pytest
import tifffile
from mlflow.entities import Metric
from mlflow.tracking import MlflowClient
from tests.conftest import TINY_TUBES, tube_sample

from nanonuclei.cli import _parser
from nanonuclei.commands.options import choices_of
from nanonuclei.config.params import flatten, to_yaml
from nanonuclei.data.catalog import SampleRef
from nanonuclei.serving.named import NamedModel, OpenedModel
from nanonuclei.stages.compare import compare as stage
from nanonuclei.stages.compare.compare import CompareOptions, compare
from nanonuclei.stages.explore import explore
from nanonuclei.stages.predict import predict as predict_stage
from nanonuclei.stages.predict.predict import predict
from nanonuclei.stages.predict.request import Request
from nanonuclei.stages.prepare import prepared_dataset
from nanonuclei.stages.settings import Choices, resolve
from nanonuclei.tasks import create_task
from nanonuclei.tasks.nanotubes.config import NanotubeExperiment
from nanonuclei.tasks.nanotubes.reader import NanotubeReader
from nanonuclei.tasks.values import IDENTITY
from nanonuclei.tracking.runs import PARENT, log_settings, run_name

SIMULATED = {"num_images": 12, "size": 128, "cell_radius": 12.0, "coverage": 0.4, "tubes_per_cell": 1.0, "tile": 0}
SETTINGS = {**TINY_TUBES, **{f"data.simulated.{name}": value for name, value in SIMULATED.items()}}
SETTINGS |= {"train.patch_size": 32, "evaluate.bootstrap": 50}
CHOICES = Choices("nanotubes", "simulated", None, tuple(f"{path}={value}" for path, value in SETTINGS.items()))


def quiet(_: str) -> None:
    pass


def scored(config: NanotubeExperiment, samples: Sequence[SampleRef], *, right: float) -> pd.DataFrame:
    """The statistics of a classifier that gives windows about a nanotube the score `right`, others 0.4."""
    task, rows = create_task(config), []
    for sample in samples:
        near = cv2.dilate((sample.labels() > 0).astype(np.uint8), np.ones((15, 15), np.uint8)) > 0
        scores = np.where(near, right, 0.4).astype(np.float32)
        score_map = np.stack([scores, task.network_input(sample.image())[..., 0]], axis=-1)
        identity = {name: getattr(sample, name) for name in IDENTITY}
        rows.append({**identity, **task.assess(sample, score_map).statistics})
    return pd.DataFrame(rows)


def finished(config: NanotubeExperiment, *, parent: str) -> None:
    client, (catalog, _) = MlflowClient(), prepared_dataset(config, say=quiet)
    tags = {"stage": "train", "task": "nanotubes", "finished": "true", PARENT: parent}
    tags["split.fingerprint"] = catalog.split_fingerprint()
    run_id = client.create_run("0", tags=tags, run_name=run_name(config)).info.run_id
    log_settings(run_id, flatten(config))
    curve = [Metric(name, 0.1 * step, 0, step) for name in ("train/loss", "val/accuracy") for step in (1, 2)]
    client.log_batch(run_id, metrics=[*curve, Metric("train_seconds", 60.0, 0, 0)])
    client.log_text(run_id, to_yaml(config), "config.yaml")
    right = 0.9 if config.loss.label_smoothing == 0.0 else 0.1
    table = scored(config, catalog.split("test"), right=right)
    client.log_text(run_id, table.to_csv(index=False), "evaluation/test_per_image.csv")
    client.set_terminated(run_id, "FINISHED")


@pytest.mark.usefixtures("project")
def test_recipes_of_nanotubes_are_compared_on_their_own_images_and_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("smooth.yaml").write_text("loss.label_smoothing: 0.1\n")
    Path("sharp.yaml").write_text("loss.label_smoothing: 0.0\n")
    trained: list[NanotubeExperiment] = []

    def train(words: Sequence[str], parent: str) -> int:
        config = resolve(choices_of(_parser().parse_args(words[1:])), say=quiet)
        assert isinstance(config, NanotubeExperiment)
        trained.append(config)
        finished(config, parent=parent)
        return 0

    monkeypatch.setattr(stage, "run_child", train)
    said: list[str] = []
    parent = compare(CHOICES, CompareOptions("./smooth.yaml ./sharp.yaml", seeds=1), say=said.append)
    assert [(config.task, config.loss.label_smoothing) for config in trained] == [
        ("nanotubes", 0.1),
        ("nanotubes", 0.0),
    ]
    assert any("nanotubes" in line for line in said if line.startswith("Prepar"))
    run = mlflow.get_run(parent)
    assert run.data.metrics["sharp/window_pr_auc"] > run.data.metrics["smooth/window_pr_auc"]
    assert "ap50_pooled" not in " ".join(run.data.metrics)
    report = run.data.tags["mlflow.note.content"]
    assert "F1 of nanotubes" in report
    assert "foreground IoU" not in report


@pytest.mark.usefixtures("project")
def test_dataset_of_nanotubes_is_shown_in_its_own_words() -> None:
    said: list[str] = []
    config = resolve(CHOICES, say=said.append)
    run = mlflow.get_run(explore(config, say=said.append))
    catalog, _ = prepared_dataset(config, say=quiet)
    assert run.data.metrics["objects"] == sum(sample.num_objects for sample in catalog.samples) > 0
    figures = {Path(entry.path).name for entry in MlflowClient().list_artifacts(run.info.run_id, "figures")}
    assert figures >= {"histograms.png", "splits.png"}


def test_a_nanotube_model_reads_the_channel_that_it_was_trained_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tube_experiment: Callable[..., NanotubeExperiment]
) -> None:
    config = tube_experiment({"tubes.joins": "two", "data.dataset": "tnt", "data.channels.tubes": 1})
    (tmp_path / "model").mkdir()
    model = OpenedModel(NamedModel("run", tmp_path / "model"), config, lambda batch: batch)
    monkeypatch.setattr(predict_stage, "open_model", lambda name, **_: model)
    sure = lambda image: np.stack([np.full(image.shape[:2], 0.9, np.float32), image[..., 0]], axis=-1)  # noqa: E731
    monkeypatch.setattr(NanotubeReader, "score_maps", lambda reader, network, inputs: map(sure, inputs))
    tube, noise = tube_sample("a", seed=0).image, np.full_like(tube_sample("a", seed=1).image, 7)
    noise[:2] = 9
    (tmp_path / "images").mkdir()
    for name, planes in (("second", (noise, tube)), ("first", (tube, noise))):
        path = tmp_path / "images" / f"{name}.ome.tif"
        tifffile.imwrite(path, np.stack(planes), metadata={"axes": "CYX"}, photometric="minisblack")
    predict(Request(str(tmp_path / "images"), "run", output=tmp_path / "found"), say=quiet)
    rows = pd.read_csv(tmp_path / "found" / "images.csv").set_index("image")
    assert rows.loc["second", "num_objects"] == 1
    assert rows.loc["first", "num_objects"] == 0
