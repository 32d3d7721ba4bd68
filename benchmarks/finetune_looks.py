"""Fine-tunes a stored model on few nuclei of a look that it reads badly: what is gained, what is forgotten, how long.

    PYTHONPATH=src python benchmarks/finetune_looks.py PREPARED [--change "zoom 0.25"] [--nuclei 50 100 200 500]
        [--model nuclei] [--test 30] [--old 40] [--set PATH=VALUE ...] [--out scratch/finetune-looks]

The look is a change of `perturbations.py`, made of the fluorescence images of the validation split of PREPARED, which
the model that comes along was not trained on. The last `--test` of them are held out, two say when a training ends, and
of the others as many as hold the asked number of nuclei are trained on, beside 64 unchanged training images that are
shown again. Settings are those of the model and of `recipes/finetune.yaml`, changed by `--set`. The table tells AP at
IoU 0.5 (pooled) on the held-out images and on the first `--old` test images, unchanged, before and after, and the
minutes of the training on this machine. Each row is printed and written when it is done.
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

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from perturbations import PERTURBATIONS

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.config.params import parse_settings, with_settings
from nanonuclei.config.recipes import read_recipe
from nanonuclei.data.catalog import (
    Sample,
    SampleRef,
    image_path,
    labels_path,
    load_catalog,
    sample_digest,
    write_sample,
)
from nanonuclei.engine.evaluate import evaluate
from nanonuclei.engine.networks import for_inference
from nanonuclei.engine.train import fit
from nanonuclei.errors import DataError, nearest_name
from nanonuclei.stages.finetune.start import FEWEST_REPLAYED, Start, begin_with
from nanonuclei.stages.places import PARAMS
from nanonuclei.tasks import create_task

HEAD = ("change", "nuclei", "images", "look before", "look after", "old before", "old after", "minutes")
NUM_VAL = 2


def main() -> None:
    """Runs the benchmark from the command line."""
    options = _options()
    if options.change not in PERTURBATIONS:
        raise DataError(f"unknown change {options.change!r}. {nearest_name(options.change, PERTURBATIONS)}")
    catalog = load_catalog(options.prepared)
    start = begin_with(options.model)
    settings = {**read_recipe("finetune", task=start.config.task, params=PARAMS), **parse_settings(options.settings)}
    config = with_settings(start.config, settings)
    fluorescent = [sample for sample in catalog.split("val") if sample.modality == "fluorescence"]
    drawn = np.random.default_rng(options.seed).permutation(len(fluorescent))
    new = changed([fluorescent[place] for place in drawn], options.change, options.out / "images", seed=options.seed)
    held_out, val, rest = new[-options.test :], new[:NUM_VAL], new[NUM_VAL : -options.test]
    old = catalog.split("test")[: options.old]
    weights = start.begun(create_task(config)).build_model()
    before = [score(config, weights, samples) for samples in (held_out, old)]
    train = catalog.split("train")
    shown = np.random.default_rng(config.seed).choice(len(train), min(FEWEST_REPLAYED, len(train)), replace=False)
    start = dataclasses.replace(start, replayed=tuple(train[place] for place in sorted(shown)))
    options.out.mkdir(parents=True, exist_ok=True)
    with (options.out / "finetune_looks.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEAD)
        print(" | ".join(HEAD), flush=True)
        for number in options.nuclei:
            row = trained_on(config, start, first(rest, number), val, (held_out, old))
            scores = [f"{value:.3f}" for value in (before[0], row[2], before[1], row[3])]
            cells = [options.change, row[0], row[1], *scores, f"{row[4]:.1f}"]
            writer.writerow(cells)
            file.flush()
            print(" | ".join(map(str, cells)), flush=True)


def trained_on(
    config: ExperimentConfig,
    start: Start,
    new: Sequence[SampleRef],
    val: Sequence[SampleRef],
    tests: Sequence[Sequence[SampleRef]],
) -> tuple[int, int, float, float, float]:
    """Fine-tunes on some images; returns nuclei, images, AP on the look and on the old images, minutes."""
    task = create_task(config)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        result = fit(start.begun(task), start.samples(new), val, workdir=Path(name))
    minutes = (time.perf_counter() - began) / 60
    scores = [score(config, result.model, samples) for samples in tests]
    return sum(sample.num_objects for sample in new), len(new), scores[0], scores[1], minutes


def score(config: ExperimentConfig, model: object, samples: Sequence[SampleRef]) -> float:
    """Returns AP at IoU 0.5 over the nuclei of all images."""
    task = create_task(config)
    return float(evaluate(task, for_inference(task, model), samples).metrics["ap50_pooled"])


def first(samples: Sequence[SampleRef], number: int) -> list[SampleRef]:
    """Returns the first images that hold so many nuclei together; all where there are fewer."""
    counts = np.cumsum([sample.num_objects for sample in samples])
    return list(samples[: int(np.searchsorted(counts, number)) + 1])


def changed(samples: Sequence[SampleRef], name: str, folder: Path, *, seed: int) -> list[SampleRef]:
    """Writes changed images and returns where they are; those that lose all their nuclei are left out."""
    found = []
    for place, sample in enumerate(samples):
        image, labels = PERTURBATIONS[name](sample.image(), sample.labels(), np.random.default_rng([seed, place]))
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
    parser.add_argument("--change", default="zoom 0.25")
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
