"""The whole loop on small images: predict, correct by a script that knows the truth, fetch, fine-tune, promote."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import keras
import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml
from tests.conftest import tube_ref
from tests.networks import solve_score
from tests.stages.bright_model import bright_model
from tests.stages.loops import LOOPS, NUM_IMAGES, Loop, line_image, marked_lines

from nanonuclei.config.gate import load_gate
from nanonuclei.config.params import load_experiment, with_settings
from nanonuclei.data.catalog import Catalog
from nanonuclei.engine.devices import Hardware
from nanonuclei.engine.evaluate import evaluate_network
from nanonuclei.engine.stored.warm_start import StartedFrom
from nanonuclei.engine.train import FitResult
from nanonuclei.errors import ConfigError, TrackingError
from nanonuclei.serving.named import open_model
from nanonuclei.serving.store import log_model
from nanonuclei.stages.correct.correct import correct
from nanonuclei.stages.fetch import fetch
from nanonuclei.stages.finetune import start as start_stage
from nanonuclei.stages.finetune.finetune import _undone, finetune
from nanonuclei.stages.finetune.gate import Rivals
from nanonuclei.stages.finetune.start import (
    begin_with,
    old_dataset,
    old_test_images,
    start_of_run,
    started,
    with_old_images,
    with_replay,
)
from nanonuclei.stages.finetune.verdict import UNDONE, Verdict, _concluded, is_it_better
from nanonuclei.stages.places import PARAMS
from nanonuclei.stages.predict.predict import predict
from nanonuclei.stages.predict.request import Request
from nanonuclei.stages.promote import promote as promote_stage
from nanonuclei.stages.promote.promote import promote
from nanonuclei.stages.samples import training_samples
from nanonuclei.tasks import create_dataset, create_task
from nanonuclei.tasks.nanotubes.config import NanotubeExperiment
from nanonuclei.tasks.nanotubes.sources.samples import TubeSample, TubeTruth
from nanonuclei.tasks.nuclei.config import NucleiExperiment
from nanonuclei.tracking.origin.lineage import trace
from nanonuclei.tracking.registry import CHAMPION, at_alias
from nanonuclei.tracking.runs import existing_run

SIMULATED = {"data.dataset": "simulated", "data.simulated.num_images": 12, "data.simulated.size": 64}
HEADLINE = {"nuclei": "ap50_pooled", "nanotubes": "object_f1"}
SHORT = ["train.epochs=3", "train.steps_per_epoch=30", "train.batch_size=4", "train.warmup_epochs=0"]


def quiet(_: str) -> None:
    pass


@pytest.fixture
def lab(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose gate small networks can pass, and models that are said to serve; another test starts them."""
    tree = yaml.safe_load((project / "params.yaml").read_text())
    for task, loop in LOOPS.items():
        loose = {"least": {}, "most": {}, "compared": loop.compared, "min_images": 1, "bootstrap": 100}
        tree["gate"][task] |= {**loose, "min_gain": -1.0, "min_gain_low": -1.0, "max_loss": 1.0}
    (project / "params.yaml").unlink()
    (project / "params.yaml").write_text(yaml.safe_dump(tree))
    monkeypatch.setattr(promote_stage, "problem", lambda uri: "")
    return project


@pytest.fixture(params=LOOPS)
def task(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def parent(lab: Path, task: str, bright_network: object, served_config: NucleiExperiment) -> str:
    """A run with a model that takes bright pixels for nuclei, or one whose scores are too low for any nanotube."""
    if task == "nuclei":
        config, model = with_settings(served_config, LOOPS[task].settings), bright_network
    else:
        config = load_experiment(task, path=PARAMS, settings=LOOPS[task].settings)
        keras.utils.set_random_seed(3)
        model = create_task(config).build_network()
        images = np.stack([create_task(config).network_input(line_image(number)) for number in range(8, 14)])
        solve_score(model, images, np.stack([marked_lines(number) for number in range(8, 14)]), less=3.0)
    with mlflow.start_run(tags={"task": task, "stage": "train"}) as run:
        log_model(model, with_settings(config, {"data.dataset": "simulated"}), folder=lab / "work")
    return str(run.info.run_id)


def corrected_images(lab: Path, loop: Loop, model: str) -> list[str]:
    """Predicts, corrects and fetches images; returns what was said."""
    loop.write_images(lab / "in")
    predict(Request("in", model, output=lab / "results"), say=quiet)
    correct(lab / "results", lab / "to_correct", to="qupath", say=quiet)
    loop.mend(lab / "to_correct")
    said: list[str] = []
    fetch(loop.dataset, source="to_correct", say=said.append)
    return said


@pytest.mark.slow
def test_a_model_learns_from_corrections_and_becomes_champion(lab: Path, task: str, parent: str) -> None:
    loop, champion = LOOPS[task], f"models:/{task}@champion"
    before = promote(task, parent, allow_simulated=True, say=quiet)
    assert before.decision.promoted, before.decision.reasons
    told = "\n".join(corrected_images(lab, loop, champion))
    assert f"Corrected: {NUM_IMAGES} images" in told
    assert loop.counted in told

    said: list[str] = []
    run_id, verdict = finetune(loop.dataset, model=champion, settings=[*SHORT, *loop.short], say=said.append)
    text = "\n".join(said)
    assert f"Fine-tuning {champion}. Images to learn from: 5; to decide whether the result is kept: 1;" in text
    assert "images of simulated are shown again beside them" in text
    assert verdict.sentence in text
    assert f"On the held-out images of {loop.dataset} (2): " in verdict.sentence
    assert "On the test images of simulated (" in verdict.sentence
    assert set(verdict.rows["images"]) == {f"the held-out images of {loop.dataset}", "the test images of simulated"}
    run = existing_run(run_id)
    assert run.data.tags["parent.model"].startswith("models:/m-")
    assert run.data.tags["replayed.dataset"] == "simulated"
    assert run.data.tags["finetune.verdict"] == verdict.sentence
    assert run.data.metrics["start/val_loss"] > 0
    assert verdict.better, verdict.table
    assert run.data.tags["finetune.better"] == "true"
    assert {f"finetune/{place}/{HEADLINE[task]}_difference" for place in ("new", "old")} <= set(run.data.metrics)
    depth = str(loop.settings.get("network.depth", 1))
    assert run.data.params["network.depth"] == depth  # that of the model, not of params.yaml

    checks = {check.subject: check for check in trace(run_id).checks}
    assert checks["parent"].verdict == "holds"
    assert (checks["replayed"].verdict, checks["replayed"].detail) == (
        "holds",
        "simulated: made by the code from its seed",
    )
    assert "the training began with models:/m-" in checks["parent"].detail

    after = promote(task, run_id, say=quiet)
    assert after.decision.promoted, after.decision.reasons
    assert {"parent.gain", "loss.old images of simulated"} <= {criterion.name for criterion in after.decision.criteria}
    assert at_alias(task, CHAMPION).run_id == run_id

    again = begin_with(run_id)  # a second round knows whose images the model must not forget
    assert old_dataset(again, loop.dataset) == "simulated"
    with pytest.raises(ConfigError, match=r"a trained model keeps its network\.depth; finetune can change"):
        finetune(loop.dataset, model=run_id, settings=["network.depth=3"], say=quiet)


def test_a_training_takes_the_network_of_the_model_that_its_weights_name(
    project: Path, served_config: NucleiExperiment
) -> None:
    folder = bright_model(project / "model")
    config = with_settings(served_config, {"network.weights": str(folder), "network.base_filters": 8})
    taken, start = started(config)
    assert start is not None
    assert taken.network == start.config.network
    assert taken.normalize == start.config.normalize
    assert taken.train == config.train
    tags = start.tags()
    assert tags == {"parent.model": folder.as_posix(), "parent.md5": start.md5}
    assert start_of_run(tags, new=3) == start
    with pytest.raises(TrackingError, match="Put that model back, or start a new run"):
        start_of_run({**tags, "parent.md5": "0" * 32}, new=3)
    assert start_of_run({}, new=3) is None


def test_new_images_are_repeated_until_they_are_as_many_as_the_old_ones(
    project: Path, served_config: NucleiExperiment, disc_catalog: object, tmp_path: Path
) -> None:
    start = begin_with(f"{bright_model(tmp_path / 'model')}/")
    assert with_replay(start, "dsb2018", new=2, say=quiet) is start  # not at hand
    new = training_samples(disc_catalog, served_config)[:2]
    assert start.samples(new) == new
    simulated = with_settings(start.config, SIMULATED)
    mixed = with_replay(type(start)(start.reference, simulated, start.file), "simulated", new=2, say=quiet)
    assert mixed.replayed_name == "simulated"
    shown = mixed.samples(new)
    assert sum(sample in new for sample in shown) == pytest.approx(len(mixed.replayed), abs=1)


def test_the_model_stays_as_it_was_where_no_epoch_is_better(
    bright_network: object, served_config: NucleiExperiment
) -> None:
    begun = StartedFrom(create_task(served_config), bright_network.get_weights())
    hardware = Hardware("tensorflow", "cpu", "a processor", 1, "float32")
    result = FitResult("trained", {"val/loss": [0.5, 0.3]}, 2, 1.0, hardware)
    assert begun.better_of(result, 0.4) is result
    kept = begun.better_of(result, 0.2)
    assert kept.best_epoch == 0
    for weight, wanted in zip(kept.model.get_weights(), bright_network.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, wanted)


def test_a_model_gains_nothing_over_itself(project: Path, disc_catalog: Catalog, tmp_path: Path) -> None:
    name, gate = str(bright_model(tmp_path / "model")), load_gate("nuclei", path=PARAMS)
    found = is_it_better(name, name, {"the held-out images of mine": disc_catalog.samples}, gate=gate)
    assert not found.better
    assert "It is not better: " in found.sentence
    assert "changed by +0.000 on the held-out images of mine. Keep the model that you had" in found.sentence

    opened = open_model(name)
    served = (opened.config, opened.network)
    scores = evaluate_network(create_task(opened.config), opened.network, disc_catalog.samples).per_image
    rivals = Rivals(served, partial(promote_stage.gains, opened.config, gate=gate), quiet)
    parent = rivals.parent({"parent.model": name}, disc_catalog.samples, scores, champion=("", None))
    assert parent is not None
    assert [(gain.group, gain.value) for gain in parent.gains] == [("all", 0.0)]
    assert rivals.parent({}, disc_catalog.samples, scores, champion=("", None)) is None


def test_a_training_that_was_undone_is_told_so_in_the_end(project: Path) -> None:
    found = Verdict(pd.DataFrame(), "a table", "It is not better.", better=False)
    for epoch, sentence in ((0, UNDONE), (2, "It is not better.")):
        with mlflow.start_run() as run:
            mlflow.log_metric("best_epoch", epoch)
        assert _undone(found, run.info.run_id).sentence == sentence


@pytest.mark.parametrize("weights", ["none", "imagenet", "edges", "recipes"])
def test_other_weights_are_no_model(project: Path, served_config: NucleiExperiment, weights: str) -> None:
    config = with_settings(served_config, {"network.weights": weights})
    assert started(config) == (config, None)


def test_what_images_cannot_tell_is_no_gain(lab: Path) -> None:
    gate = load_gate("nanotubes", path=PARAMS)
    row = {"images": "the held-out images of mine-tnt", "metric": gate.compared}
    row |= {"difference": 0.1, "low": 0.05, "high": 0.15}
    unknown = {**row, "images": "the test images of tnt", "difference": float("nan")}
    better, text = _concluded(pd.DataFrame([unknown]), gate, "F1 of nanotubes")
    assert not better
    assert "Whether it is better is not known: F1 of nanotubes has no value on the test images of tnt" in text
    better, text = _concluded(pd.DataFrame([row, unknown]), gate, "F1 of nanotubes")
    assert better
    assert (
        text == "It is better: F1 of nanotubes changed by +0.100 (+0.050 to +0.150) on the held-out images of mine-tnt."
    )
    better, text = _concluded(pd.DataFrame([{**row, "low": -0.02}, unknown]), gate, "F1 of nanotubes")
    assert better
    assert text.startswith("It may be better: F1 of nanotubes changed by +0.100 (-0.020 to +0.150)")


def test_a_model_of_lines_is_shown_simulated_images_where_its_own_are_not_here_and_none_marked_by_boxes(
    lab: Path, tmp_path: Path
) -> None:
    folder = bright_model(tmp_path / "model", "nanotubes")
    start = begin_with(f"{folder}/")
    assert old_dataset(start, "mine-tnt") == "auto"
    small = {path: value for path, value in LOOPS["nanotubes"].settings.items() if path.startswith("data.")}
    start = replace(start, config=with_settings(start.config, {**small, "data.dataset": "tnt"}))
    shown = with_old_images(start, "mine-tnt", new=3, say=quiet)
    assert shown.replayed_name == "simulated"
    assert len(shown.replayed) > 0
    own = create_dataset(start.config)
    boxes = TubeTruth("boxes", np.zeros((8, 8), np.uint16), (), (), None, None)
    ref = tube_ref(tmp_path / "boxes", TubeSample("box00", np.zeros((8, 8), np.uint8), boxes, "box00"), "train")
    assert own.can_teach(shown.replayed[0])
    assert not own.can_teach(ref)
    assert own.on_other_images() == {}
    simulated = create_dataset(with_settings(start.config, {"data.dataset": "simulated"}))
    assert simulated.on_other_images() == {"data.channels.tubes": "brightest"}


@pytest.mark.slow
def test_a_classifier_of_windows_learns_from_lines_too(
    lab: Path, spread_classifier: keras.Model, served_tubes_config: NanotubeExperiment
) -> None:
    small = {path: value for path, value in LOOPS["nanotubes"].settings.items() if path.startswith("data.")}
    config = with_settings(served_tubes_config, {**small, "data.dataset": "simulated"})
    with mlflow.start_run(tags={"task": "nanotubes", "stage": "train"}) as run:
        log_model(spread_classifier, config, folder=lab / "work")
    LOOPS["nanotubes"].write_images(lab / "in" / "images")
    (lab / "in" / "masks").mkdir()
    for number in range(NUM_IMAGES):
        cv2.imwrite(str(lab / "in" / "masks" / f"field{number}.png"), 255 * marked_lines(number))
    fetch("mine-tnt", source="in", say=quiet)
    short = ["train.epochs=1", "train.steps_per_epoch=2", "train.batch_size=2", "train.warmup_epochs=0"]
    run_id, verdict = finetune("mine-tnt", model=run.info.run_id, settings=short, say=quiet)
    assert existing_run(run_id).data.tags["replayed.dataset"] == "simulated"
    assert set(verdict.rows["images"]) == {"the held-out images of mine-tnt", "the test images of simulated"}


def test_old_test_images_of_one_field_of_view_are_not_compared_on(
    project: Path, served_config: NucleiExperiment, monkeypatch: pytest.MonkeyPatch, disc_catalog: Catalog
) -> None:
    alone = Catalog("one", "", tuple(replace(sample, field=3) for sample in disc_catalog.samples))
    for catalog, told in ((alone, "are of one field of view"), (None, "are not here")):
        monkeypatch.setattr(start_stage, "old_catalog", lambda *_, catalog=catalog, **__: catalog)
        said: list[str] = []
        assert old_test_images(served_config, "one", say=said.append) == ()
        assert told in said[0]
    monkeypatch.setattr(start_stage, "old_catalog", lambda *_, **__: disc_catalog)
    assert old_test_images(served_config, "discs", say=quiet) == disc_catalog.split("test")
