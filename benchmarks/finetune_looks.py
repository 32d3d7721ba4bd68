"""Fine-tunes a stored model on few nuclei of a look that it reads badly: what is gained, what is forgotten, how long.

    PYTHONPATH=src python benchmarks/finetune_looks.py PREPARED [--look envelope ...] [--nuclei 50 100 200 500]
        [--model nuclei] [--test 30] [--old 40] [--set PATH=VALUE ...] [--out scratch/finetune-looks]

Only images of the test and validation split of PREPARED are used, which the model that comes along was not trained on.
A look is one of three:

* a group of these images by modality, size and brightness (`looks.py`), such as ``fluorescence-tiny-bright``;
* a stain that is drawn over the nuclei of the fluorescence images that are not tiny (`other_stains.py`);
* a change of the same images (`perturbations.py`).

Images are dealt by field of view: as many as hold the asked number of nuclei are trained on, two decide whether the
training is kept, and up to `--test` of the fields of view that are left are held out. 64 training images that the model
knows are shown again beside the new ones, as `finetune` does. Settings are those of the model and of
`recipes/finetune.yaml`, changed by `--set`. Where the training is no better on the two images, the model stays as it
was (`kept` 0), as in `finetune`.

The table tells AP at IoU 0.5 (pooled) on the held-out images and on the first `--old` test images of other looks,
before and after, and the minutes of the training on this machine. Each row is printed and written when it is done.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from looks import looks
from other_stains import OTHER_STAINS
from perturbations import PERTURBATIONS, Perturbation

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.config.params import parse_settings, with_settings
from nanonuclei.config.recipes import read_recipe
from nanonuclei.data.catalog import (
    Catalog,
    Sample,
    SampleRef,
    image_path,
    labels_path,
    load_catalog,
    sample_digest,
    write_sample,
)
from nanonuclei.engine.evaluate import evaluate_network
from nanonuclei.engine.networks import for_inference
from nanonuclei.engine.train import fit
from nanonuclei.errors import DataError, nearest_name
from nanonuclei.stages.finetune.start import FEWEST_REPLAYED, Start, begin_with
from nanonuclei.stages.places import PARAMS
from nanonuclei.tasks import create_task

HEAD = (
    *("look", "nuclei", "images", "held out", "look before", "look after", "old before", "old after"),
    *("mean AP before", "mean AP after", "kept", "minutes"),
)
NUM_VAL = 2
CHANGES = {**PERTURBATIONS, **OTHER_STAINS}


class Scores(NamedTuple):
    """Of one model on one set of images, pooled: AP at IoU 0.5, and the mean AP from 0.5 to 0.9."""

    ap50: float
    mean_ap: float


class Dealt(NamedTuple):
    """Images of a look."""

    train: list[SampleRef]
    val: list[SampleRef]
    test: list[SampleRef]


def main() -> None:
    """Runs the benchmark from the command line."""
    options = _options()
    catalog = load_catalog(options.prepared)
    start = begin_with(options.model)
    settings = {**read_recipe("finetune", task=start.config.task, params=PARAMS), **parse_settings(options.settings)}
    config = with_settings(start.config, settings)
    start = dataclasses.replace(start, replayed=replayed(catalog.split("train"), seed=config.seed))
    scored = Scored(config)
    options.out.mkdir(parents=True, exist_ok=True)
    with (options.out / "finetune_looks.csv").open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEAD)
        print(" | ".join(HEAD), flush=True)
        for look in options.look:
            samples, others = of_look(catalog, look, options.out / "images", seed=options.seed)
            for number in options.nuclei:
                dealt = deal(samples, number, most=options.test)
                cells = [look, *trained_on(config, start, dealt, others[: options.old], scored=scored)]
                writer.writerow(cells)
                file.flush()
                print(" | ".join(map(str, cells)), flush=True)


def trained_on(
    config: ExperimentConfig, start: Start, dealt: Dealt, old: Sequence[SampleRef], *, scored: Scored
) -> list[object]:
    """Fine-tunes on some images; returns the cells of a row behind the name of the look."""
    task = start.begun(create_task(config))
    before = [scored(task.unchanged(), samples) for samples in (dealt.test, old)]
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        result = fit(task, start.samples(dealt.train), dealt.val, workdir=Path(name))
    result = task.better_of(result, task.loss_at_start(dealt.val))
    minutes = (time.perf_counter() - began) / 60
    after = [scored(result.model, samples) for samples in (dealt.test, old)]
    counts = [sum(sample.num_objects for sample in dealt.train), len(dealt.train), len(dealt.test)]
    values = [before[0].ap50, after[0].ap50, before[1].ap50, after[1].ap50, before[0].mean_ap, after[0].mean_ap]
    return [*counts, *(f"{value:.3f}" for value in values), result.best_epoch, f"{minutes:.1f}"]


class Scored:
    """Scores networks of one kind, each of which takes over what was compiled for the one before.

    Args:
        config: Of the networks.
    """

    def __init__(self, config: ExperimentConfig) -> None:
        self._task = create_task(with_settings(config, {"evaluate.bootstrap": 0}))
        self._model = for_inference(self._task, self._task.build_network())
        self._network = self._task.as_network(self._model)

    def __call__(self, model: keras.Model, samples: Sequence[SampleRef]) -> Scores:
        """Scores a network over the nuclei of all images."""
        self._model.set_weights(model.get_weights())
        metrics = evaluate_network(self._task, self._network, samples).metrics
        return Scores(metrics["ap50_pooled"], metrics["map_pooled"])


def of_look(catalog: Catalog, look: str, folder: Path, *, seed: int) -> tuple[list[SampleRef], list[SampleRef]]:
    """Returns the images of a look in an order that keeps fields of view together, and test images of other looks.

    Raises:
        DataError: There is no such look.
    """
    unseen = [*catalog.split("test"), *catalog.split("val")]
    names = looks(unseen)
    if look not in CHANGES and look not in names.values():
        raise DataError(f"unknown look {look!r}. {nearest_name(look, {*CHANGES, *names.values()})}")
    if look in CHANGES:
        drawn = [s for s in unseen if s.modality == "fluorescence" and "tiny" not in names[s.sample_id]]
    else:
        drawn = [sample for sample in unseen if names[sample.sample_id] == look]
    drawn, _ = in_fields(drawn, seed=seed)
    others = [sample for sample in catalog.split("test") if look in CHANGES or names[sample.sample_id] != look]
    return changed(drawn, CHANGES[look], folder / look, seed=seed) if look in CHANGES else drawn, others


def deal(samples: Sequence[SampleRef], number: int, *, most: int) -> Dealt:
    """Deals images of a look: training images that hold so many nuclei, two that decide, held-out fields of view.

    Raises:
        DataError: No field of view is left to be held out.
    """
    end = images_with(samples, number)
    train, val = list(samples[:end]), list(samples[end : end + NUM_VAL])
    known = {sample.field for sample in (*train, *val)}
    test = [sample for sample in samples[end + NUM_VAL :] if sample.field not in known][:most]
    if not test:
        raise DataError(f"{number} nuclei leave no field of view of the look to be held out. Ask for fewer")
    return Dealt(train, val, test)


def images_with(samples: Sequence[SampleRef], number: int) -> int:
    """Returns how many of the first images hold so many nuclei together; all of them where they hold fewer."""
    counts = np.cumsum([sample.num_objects for sample in samples])
    return min(len(samples), int(np.searchsorted(counts, number)) + 1)


def prefix(dealt: Dealt, number: int) -> Dealt:
    """Returns dealt images with only as many training images as hold so many nuclei."""
    return dealt._replace(train=dealt.train[: images_with(dealt.train, number)])


def in_fields(samples: Sequence[SampleRef], *, seed: int) -> tuple[list[SampleRef], list[int]]:
    """Returns images with each field of view in one piece, and the fields, in an order drawn by the seed."""
    drawn = np.random.default_rng(seed).permutation(sorted({sample.field for sample in samples}))
    fields = [int(field) for field in drawn]
    return sorted(samples, key=lambda sample: (fields.index(sample.field), sample.sample_id)), fields


def replayed(train: Sequence[SampleRef], *, seed: int) -> tuple[SampleRef, ...]:
    """Returns the old training images that are shown again, as many as `finetune` shows at least."""
    drawn = np.random.default_rng(seed).choice(len(train), min(FEWEST_REPLAYED, len(train)), replace=False)
    return tuple(train[place] for place in sorted(drawn))


def changed(samples: Sequence[SampleRef], change: Perturbation, folder: Path, *, seed: int) -> list[SampleRef]:
    """Writes changed images and returns where they are; those that lose all their nuclei are left out."""
    found = []
    for place, sample in enumerate(samples):
        image, labels = change(sample.image(), sample.labels(), np.random.default_rng([seed, place]))
        numbers = np.unique(labels[labels > 0])
        if not len(numbers):
            continue
        labels = np.searchsorted(numbers, labels).astype(np.uint16) + (labels > 0).astype(np.uint16)
        write_sample(folder, Sample(sample.sample_id, image, labels))
        found.append(
            dataclasses.replace(
                sample,
                image_path=image_path(folder, sample.sample_id),
                labels_path=labels_path(folder, sample.sample_id),
                height=image.shape[0],
                width=image.shape[1],
                num_objects=len(numbers),
                digest=sample_digest(image, labels),
            )
        )
    return found


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("prepared", type=Path)
    parser.add_argument("--look", nargs="+", default=["envelope"])
    parser.add_argument("--nuclei", type=int, nargs="+", default=[50, 100, 200, 500])
    parser.add_argument("--model", default="nuclei")
    parser.add_argument("--test", type=int, default=30)
    parser.add_argument("--old", type=int, default=40)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--set", dest="settings", nargs="*", default=[])
    parser.add_argument("--out", type=Path, default=Path("scratch/finetune-looks"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
