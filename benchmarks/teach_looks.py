"""What a few corrected nuclei buy: leaves looks out of a training, then fine-tunes on some nuclei of each.

    PYTHONPATH=src python benchmarks/teach_looks.py PREPARED [--looks stained-medium-bright ...] [--nuclei 50 100 ...]
        [--also LOOK ...] [--with-looks NETWORK] [--recipe recipes/nuclei.yaml] [--steps 1200] [--test 20] [--old 40]
        [--out scratch/teach-looks]

Two networks are trained alike, `--steps` batches of eight patches each: one *without* the looks of `--looks`, one
*with* them. Of each look some fields of view are held out, and neither network is trained on these. The network without
the looks is then fine-tuned as `finetune` does (`recipes/finetune.yaml`, old images shown again) on as many images of
one look as hold the asked number of nuclei; two more decide whether the training is kept. So a row tells AP at IoU
0.5 (pooled) on the held-out images of a look: without it, after the fine-tuning, with it; and the share of the gap
between the two networks that the fine-tuning closed. *old*: the first `--old` test images of the other looks, before
and after.

How nuclei are read is the recipe's, alike in all. Looks are those of `looks.py`, all left out at once; `--also` names
some that are left out too and not taught. `--with-looks` names a network *with* of an earlier call with the same
held-out images. Networks that are in the folder of `--out` are not trained again, and trainings that were cut off go
on; each row is written when it is done.
"""

from __future__ import annotations

import argparse
import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
from finetune_looks import NUM_VAL, Dealt, Scored, Scores, in_fields, prefix, replayed, trained_on
from leave_one_look_out import VAL_IMAGES
from looks import looks

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.config.params import load_experiment, parse_settings, with_settings
from nanonuclei.config.recipes import load_recipe, read_recipe
from nanonuclei.data.catalog import Catalog, SampleRef, load_catalog
from nanonuclei.engine.train import fit
from nanonuclei.errors import DataError, nearest_name
from nanonuclei.stages.finetune.start import Start
from nanonuclei.stages.places import PARAMS
from nanonuclei.tasks import create_task

LOOKS = ("stained-medium-bright", "fluorescence-large-bright", "fluorescence-tiny-bright")
EPOCHS = 6
MOST_SHARE = 0.7
"""Of the fields of view of a look that may be trained on; the rest is held out."""
HEAD = (
    *("look", "nuclei", "images", "held out", "AP50 without", "fine-tuned", "with", "share of gap"),
    *("mean AP without", "fine-tuned", "with", "old before", "old after", "kept", "minutes"),
)


def main() -> None:
    """Runs the benchmark from the command line."""
    options = _options()
    catalog = load_catalog(options.prepared)
    names = looks(catalog.samples)
    held = {look: held_out(catalog, names, look, seed=options.seed, most=options.test) for look in options.looks}
    config = base_config(options)
    unknown = {*options.looks, *options.also}
    old = [s for s in catalog.split("test") if names[s.sample_id] not in unknown][: options.old]
    scored = Scored(config)
    without = [s for s in catalog.split("train") if names[s.sample_id] not in unknown]
    kept_out = {sample.field for dealt in held.values() for sample in dealt.test}
    all_looks = [s for s in catalog.split("train") if s.field not in kept_out]
    val = [s for s in catalog.split("val") if names[s.sample_id] not in unknown][:VAL_IMAGES]
    paths = {"without": network(options.out / "without", config, without, val)}
    paths["with"] = options.with_looks or network(options.out / "with", config, all_looks, val)
    start = Start(str(paths["without"]), config, paths["without"], replayed(without, seed=config.seed))
    tuned = with_settings(config, read_recipe("finetune", task=config.task, params=PARAMS))
    upper = keras.saving.load_model(paths["with"])
    with (options.out / "teach_looks.csv").open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEAD)
        print(" | ".join(HEAD), flush=True)
        for number in options.nuclei:
            for look, dealt in held.items():
                best = scored(upper, dealt.test)
                row = trained_on(tuned, start, prefix(dealt, number), old, scored=scored)
                cells = _cells(look, row, best)
                writer.writerow(cells)
                file.flush()
                print(" | ".join(map(str, cells)), flush=True)


def base_config(options: argparse.Namespace) -> ExperimentConfig:
    """Returns the experiment of both networks: the recipe's, with small batches."""
    config = load_experiment("nuclei", path=PARAMS, settings=load_recipe(options.recipe))
    shortened = {
        "train.epochs": EPOCHS,
        "train.steps_per_epoch": options.steps // EPOCHS,
        "train.batch_size": 8,
        "train.patch_size": 128,
        "train.ema_momentum": 0.98,
        "train.keep": "last",
        "train.tensorboard": False,
        "evaluate.bootstrap": 0,
    }
    return with_settings(config, {**shortened, **parse_settings(options.settings)})


def held_out(catalog: Catalog, names: Mapping[str, str], look: str, *, seed: int, most: int) -> Dealt:
    """Deals the training images of a look by field of view; those to train on stand in the order they are taken in.

    Raises:
        DataError: There is no such look, or it has too few fields of view.
    """
    samples = [sample for sample in catalog.split("train") if names[sample.sample_id] == look]
    if not samples:
        raise DataError(f"no training image has the look {look!r}. {nearest_name(look, set(names.values()))}")
    ordered, fields = in_fields(samples, seed=seed)
    ends = max(1, min(len(fields) - 1, round(MOST_SHARE * len(fields))))
    taught = set(fields[:ends])
    known = [sample for sample in ordered if sample.field in taught]
    test = [sample for sample in ordered if sample.field not in taught][:most]
    if len(known) <= NUM_VAL or not test:
        raise DataError(f"{look} must have images of two fields of view or more. Name another look")
    return Dealt(known[:-NUM_VAL], known[-NUM_VAL:], test)


def network(path: Path, config: ExperimentConfig, train: Sequence[SampleRef], val: Sequence[SampleRef]) -> Path:
    """Trains a network unless its file is there, and returns the file."""
    file = path.with_suffix(".keras")
    if not file.is_file():
        print(f"{path.name}: {len(train)} training images, {config.train.epochs} epochs", flush=True)
        result = fit(create_task(config), train, val, workdir=path)
        partial = path.with_suffix(".partial.keras")
        result.model.save(partial)
        partial.replace(file)
        print(f"{path.name}: {result.seconds / 60:.1f} minutes", flush=True)
    return file


def _cells(look: str, row: Sequence[object], best: Scores) -> list[object]:
    nuclei, images, held, before, after, old_before, old_after, mean_before, mean_after, kept, minutes = row
    gap = best.ap50 - float(str(before))
    share = f"{(float(str(after)) - float(str(before))) / gap:.2f}" if gap > 0 else ""
    scores = [before, after, f"{best.ap50:.3f}", share, mean_before, mean_after, f"{best.mean_ap:.3f}"]
    return [look, nuclei, images, held, *scores, old_before, old_after, kept, minutes]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("prepared", type=Path)
    parser.add_argument("--looks", nargs="+", default=list(LOOKS))
    parser.add_argument("--also", nargs="+", default=[])
    parser.add_argument("--with-looks", type=Path)
    parser.add_argument("--nuclei", type=int, nargs="+", default=[200, 50, 500, 100])
    parser.add_argument("--recipe", type=Path, default=Path("recipes/nuclei.yaml"))
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--test", type=int, default=20)
    parser.add_argument("--old", type=int, default=40)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--set", dest="settings", nargs="*", default=[])
    parser.add_argument("--out", type=Path, default=Path("scratch/teach-looks"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    return options


if __name__ == "__main__":
    main()
