"""The overfitting of the usual classifier of windows, reproduced and cured, remedy by remedy, on real images.

    PYTHONPATH=src KERAS_HOME=... python benchmarks/overfitting.py --data FOLDER
        [--seeds 1 2 3] [--only published ours ...] [--steps 600] [--figure docs/figures/overfitting.png]

FOLDER holds images/*.jpg of neurons and masks/*.png of somas and processes; see `neuron_windows` for what is made of
them. All rows are scored on the same windows of the same images, which no training and no choice ever saw. Each
training is a run of MLflow in scratch/overfitting; finished ones are not repeated. The tables of what is there, means
and standard deviations over seeds, go to the terminal and to scratch/overfitting.

KERAS_HOME must have MobileNetV2's weights at width 0.35, unless they can be downloaded. Rows of VGG16 are trained only
where `--only` names them, and need what `fetch weights --source vgg16` gets. Seconds depend on what else the machine
does.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import mlflow
import numpy as np
from neuron_windows import SCALE, SOMA, image_of, write_images, write_windows
from overfitting_arms import ARMS, ASKED_FOR, COMMON, Arm
from overfitting_tables import curves_figure, markdown, summary
from sklearn.metrics import average_precision_score

from nanonuclei.config.params import flatten, load_experiment, to_yaml
from nanonuclei.config.recipes import load_recipe
from nanonuclei.config.shared import SplitConfig
from nanonuclei.data.catalog import SPLITS, SUMMARY, Catalog, SampleRef, load_catalog
from nanonuclei.data.splits import split_by_field
from nanonuclei.errors import NanonucleiError
from nanonuclei.stages.places import PARAMS
from nanonuclei.stages.prepare import prepare
from nanonuclei.stages.train import CONFIG, run_fit
from nanonuclei.tasks import create_task
from nanonuclei.tasks.nanotubes import binned_scores
from nanonuclei.tasks.nanotubes.config import NanotubeExperiment
from nanonuclei.tracking.runs import DatasetInput, log_datasets, log_settings, stage_run

FOLDER = Path("scratch/overfitting")
FEW = {"train": 9, "val": 3}
"""Images that `few` is, of those that train and of those that choose."""
STEP = 20
"""Distance of the windows that are cut beforehand, px: they overlap, as those of a sliding window usually do."""
PATCH_SPLIT = SplitConfig(train=0.7, val=0.25, test=0.05)


def config_of(arm: Arm, seed: int, steps: int) -> NanotubeExperiment:
    """Returns the experiment of one training: the recipe, scaled to `steps`, with the arm's changes."""
    settings = {**load_recipe(arm.recipe), **COMMON, **arm.settings, "seed": seed}
    settings["train.steps_per_epoch"] = max(1, steps // int(settings["train.epochs"]))
    return load_experiment("nanotubes", path=PARAMS, settings=settings)


def image_catalog(source: Path, config: NanotubeExperiment) -> Catalog:
    """Returns the whole images, dealt to train, val and test by the split's own seed."""
    name = f"images-{_digest([str(source.resolve()), SCALE, SOMA, config.data.model_dump()])}"
    if not (FOLDER / "prepared" / name / SUMMARY).is_file():
        write_images(source, FOLDER / "datasets" / name)
    return _prepared(name, config)


def few(catalog: Catalog, seed: int) -> dict[str, list[SampleRef]]:
    """Draws the few images per split; the seed is the split's, so that all trainings have the same."""
    rng = np.random.default_rng(seed)
    drawn = {}
    for split, count in FEW.items():
        samples = catalog.split(split)
        drawn[split] = [samples[place] for place in sorted(rng.choice(len(samples), count, replace=False))]
    return drawn


def arm_catalog(arm: Arm, images: Catalog, config: NanotubeExperiment) -> Catalog:
    """Returns what an arm trains, chooses and is scored on: splits train, val and test."""
    test = images.split("test")
    chosen = few(images, config.data.seed) if arm.images == "few" else {s: images.split(s) for s in ("train", "val")}
    if arm.data == "images":
        return _joined(images, {**chosen, "test": test})
    windows = _cut([*chosen["train"], *chosen["val"]], config, step=STEP)
    untouched = _cut(test, config, step=config.train.patch_size).samples
    if arm.data == "windows":
        parts = one_by_one(windows.samples, config.data.seed)
    else:
        own = {sample.sample_id: sample.split for sample in images.samples}
        parts = {s: [w for w in windows.samples if own[image_of(w.sample_id)] == s] for s in ("train", "val")}
    return _joined(windows, {**parts, "test": untouched})


def one_by_one(windows: Sequence[SampleRef], seed: int) -> dict[str, list[SampleRef]]:
    """Deals windows to train and val each on its own, whatever they share, as is usually done; `prepare` does not."""
    kinds = ["positive" if window.num_objects else "negative" for window in windows]
    splits = split_by_field(list(range(len(windows))), kinds, shares=PATCH_SPLIT, seed=seed)
    return {s: [w for w, split in zip(windows, splits, strict=True) if split == s] for s in ("train", "val")}


def _cut(samples: Sequence[SampleRef], config: NanotubeExperiment, *, step: int) -> Catalog:
    parts = [[s.digest for s in samples], step, config.data.model_dump(), config.train.patch_size]
    name = f"windows-{_digest(parts)}"
    if not (FOLDER / "prepared" / name / SUMMARY).is_file():
        negative, positive = write_windows(samples, FOLDER / "datasets" / name, config=config, step=step)
        print(f"{name}: {negative} negative and {positive} positive windows of {len(samples)} images", flush=True)
    return _prepared(name, config)


def _prepared(name: str, config: NanotubeExperiment) -> Catalog:
    output = FOLDER / "prepared" / name
    if (output / SUMMARY).is_file():
        return load_catalog(output)
    return prepare(config, source=FOLDER / "datasets" / name, output=output)


def _joined(catalog: Catalog, parts: Mapping[str, Sequence[SampleRef]]) -> Catalog:
    samples = [dataclasses.replace(s, split=split) for split, samples in parts.items() for s in samples]
    return dataclasses.replace(catalog, samples=tuple(samples))


def scores_of(task: Any, model: Any, samples: Sequence[SampleRef]) -> tuple[np.ndarray, np.ndarray]:
    """Returns labels and scores of the windows of images, side by side, without augmentation."""
    batches = task.batches(samples, training=False)
    pairs = [(batches[place][1], model.predict_on_batch(batches[place][0])) for place in range(batches.num_batches)]
    labels, scores = (np.concatenate(column).ravel() for column in zip(*pairs, strict=True))  # single windows
    return labels.astype(int), scores.astype(np.float32)


def threshold_of(labels: np.ndarray, scores: np.ndarray) -> float:
    """Returns the threshold of the highest F1 on these windows."""
    return binned_scores.best_threshold(
        binned_scores.count(scores[labels == 1]), binned_scores.count(scores[labels == 0])
    )


def measures(labels: np.ndarray, scores: np.ndarray, threshold: float) -> dict[str, float]:
    """Returns accuracy, balanced accuracy, area under precision and recall, share of positives, number of windows."""
    right = (scores >= threshold) == (labels == 1)
    return {
        "accuracy": float(right.mean()),
        "balanced_accuracy": float(np.mean([right[labels == label].mean() for label in (0, 1)])),
        "pr_auc": float(average_precision_score(labels, scores)),
        "positive": float(labels.mean()),
        "windows": float(len(labels)),
    }


def trained(name: str, images: Catalog, *, seed: int, steps: int) -> None:
    """Trains and scores one row with one seed as one run, unless that is done."""
    import keras

    arm = ARMS[name]
    config = config_of(arm, seed, steps)
    catalog = arm_catalog(arm, images, config)
    key = _digest([flatten(config), catalog.split_fingerprint(), arm.threshold])
    if mlflow.search_runs(filter_string=f"tags.key = '{key}' and tags.finished = 'true'", output_format="list"):
        return
    keras.backend.clear_session()
    tags = {"arm": name, "seed": str(seed), "steps": str(steps), "key": key, "dataset.name": "neuron_processes"}
    with stage_run("train", name=f"{name}, seed {seed}", tags=tags, system_metrics=False) as run_id:
        folder = FOLDER / "runs" / run_id
        folder.mkdir(parents=True)
        (folder / CONFIG).write_text(to_yaml(config), encoding="utf-8")
        log_settings(run_id, flatten(config))
        log_datasets([DatasetInput(f"{arm.data}-{s}", catalog.digest(s), s, FOLDER / "prepared") for s in SPLITS])
        mlflow.set_tag("split.fingerprint", catalog.split_fingerprint())
        result = run_fit(config, catalog, folder=folder, run_id=run_id)
        task = create_task(config)
        seen = {split: scores_of(task, result.model, catalog.split(split)) for split in ("train", "val", "test")}
        threshold = threshold_of(*seen["val"]) if arm.threshold == "val" else 0.5
        for split, (labels, scores) in seen.items():
            of = "untouched" if split == "test" else split
            found = measures(labels, scores, threshold)
            mlflow.log_metrics({f"end/{of}_{measure}": value for measure, value in found.items()})
            np.savez(folder / f"{of}.npz", labels=labels, scores=scores)
        mlflow.log_metrics(
            {"end/threshold": threshold, "end/untouched_accuracy_at_half": measures(*seen["test"], 0.5)["accuracy"]}
        )
        mlflow.set_tag("finished", "true")


def _digest(parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:12]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of images/*.jpg and masks/*.png")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    usual = [name for name in ARMS if name not in ASKED_FOR]
    parser.add_argument("--only", nargs="*", choices=list(ARMS), default=usual, help="rows to train")
    parser.add_argument("--steps", type=int, default=600, help="batches of each training (%(default)s)")
    parser.add_argument("--figure", type=Path, help="file for the curves of published and ours")
    options = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    mlflow.set_tracking_uri(f"sqlite:///{FOLDER / 'mlflow.db'}")
    if mlflow.get_experiment_by_name("overfitting") is None:
        mlflow.create_experiment("overfitting", artifact_location=(FOLDER / "artifacts").resolve().as_uri())
    mlflow.set_experiment("overfitting")
    try:
        images = image_catalog(options.data, config_of(ARMS["ours"], 1, options.steps))
        for seed in options.seeds:
            for name in options.only:
                trained(name, images, seed=seed, steps=options.steps)
    except NanonucleiError as error:
        sys.exit(f"Error: {error}")
    table = summary(list(ARMS), steps=options.steps, seeds=options.seeds)
    table.to_csv(FOLDER / "overfitting.csv", index=False)
    (FOLDER / "overfitting.md").write_text(text := markdown(table), encoding="utf-8")
    print(text)
    figure = curves_figure({"published": "published", "ours": "ours"}, steps=options.steps, seeds=options.seeds)
    figure.savefig(FOLDER / "overfitting.png")
    if options.figure:
        figure.savefig(options.figure)


if __name__ == "__main__":
    main()
