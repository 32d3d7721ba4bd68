"""Trains on all looks but one and scores on it, for every look: how well a recipe travels to unfamiliar images.

    PYTHONPATH=src python benchmarks/leave_one_look_out.py [--recipes default recipes/x.yaml ...] [--steps 600]
        [--seed 7] [--only LOOK ...] [--prepared FOLDER] [--out scratch/looks]
    PYTHONPATH=src python benchmarks/leave_one_look_out.py --list

The images of the training split are grouped by look (see `looks`); the groups are printed with their counts. Each look
with 15 images or more is left out once: a network is trained on the other looks, its read-out is tuned on validation
images of the other looks (24 at most, if the recipe tunes it), and it is scored on all images of the look that was left
out. Test images are not touched.

A recipe is an arm; `default` is `params.yaml` alone. Every arm trains for `--steps` batches in equal epochs; batch,
patch, network, augmentation, loss and rates are the recipe's own, and the table tells the seconds. Averages of weights
remember a tenth of the steps at most, warm-up is one epoch at most, and nothing stops early. The prepared data are
those of `params.yaml`, or the folder of `--prepared`, for all arms.

Each finished training is a JSON file in the folder of `--out`, and is not repeated while recipe, seed, steps and images
stay the same; one that was cut off goes on from its last epoch. So the command can be stopped at any time. A result
does not know of changes in the code: name another folder after those. The table
(AP at IoU 0.5, pooled; differences to the first arm; means over the looks that all arms have) is printed and written as
`looks.csv`. `KERAS_BACKEND=jax` trains on JAX, which needs no TensorFlow.
"""

from __future__ import annotations

import argparse
import dataclasses
import gc
import hashlib
import json
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from look_tables import LEAST, Result, groups_table, markdown, results_table
from looks import looks

from nanonuclei.config.params import flatten, load_experiment, with_settings
from nanonuclei.config.recipes import load_recipe
from nanonuclei.data.catalog import Catalog, SampleRef, load_catalog
from nanonuclei.drawing.tables import table as text_table
from nanonuclei.errors import ConfigError, DataError, NanonucleiError, nearest_name
from nanonuclei.stages.places import PARAMS
from nanonuclei.stages.prepare import prepared_dataset
from nanonuclei.stages.samples import training_samples, validation_samples
from nanonuclei.stages.settings import Choices, resolve
from nanonuclei.tasks.nuclei.config import NucleiExperiment

DEFAULT = "default"
EPOCHS = 6
"""Of each training; each ends with a validation."""
VAL_IMAGES = 24
"""Validation images at most, drawn by `data.seed`."""
MEMORY = 0.1
"""Of the steps that averages of weights and of normalisation remember at most."""
FILE = "looks.csv"
KEPT = ("ap50_pooled", "map_pooled", "precision", "recall", "count_error")
"""Metrics of the look that was left out, as a result file holds them."""


@dataclasses.dataclass(frozen=True)
class Parts:
    """Images of one training, without the look that is left out, and those of that look."""

    train: tuple[SampleRef, ...]
    val: tuple[SampleRef, ...]
    held_out: tuple[SampleRef, ...]


def arms(recipes: Sequence[str]) -> dict[str, str]:
    """Returns the recipes by the name of their arm: ``default``, or the file's name without its suffix.

    Raises:
        ConfigError: Two share a name.
    """
    named: dict[str, str] = {}
    for recipe in recipes:
        name = Path(recipe).stem
        if name in named:
            raise ConfigError(f"recipes need different file names, got {named[name]} and {recipe}. Rename one")
        named[name] = recipe
    return named


def config_of(recipe: str, *, steps: int, seed: int) -> NucleiExperiment:
    """Returns the experiment of a recipe, shortened to `steps` batches.

    Raises:
        ConfigError: The recipe is not there or not valid, or there are no steps.
    """
    if steps < 1:
        raise ConfigError(f"--steps must be at least 1, got {steps}. Take about 600")
    settings = {} if recipe == DEFAULT else load_recipe(Path(recipe))
    config = load_experiment("nuclei", path=PARAMS, settings={**settings, "seed": seed})
    epochs = min(EPOCHS, steps)
    remembered = max(0.0, 1.0 - 1.0 / max(1.0, MEMORY * steps))
    frozen = max(1, min(epochs - 1, round(config.train.frozen_epochs * epochs / config.train.epochs)))
    return with_settings(
        config,
        {
            "train.epochs": epochs,
            "train.steps_per_epoch": steps // epochs,
            "train.warmup_epochs": min(config.train.warmup_epochs, 1),
            "train.frozen_epochs": frozen if epochs > 1 else config.train.frozen_epochs,
            "train.ema_momentum": min(config.train.ema_momentum, remembered),
            "network.norm_momentum": min(config.network.norm_momentum, remembered),
            "train.early_stopping_patience": 0,
            "train.keep": "last",
            "train.tensorboard": False,
            "evaluate.bootstrap": 0,
        },
    )


def parts_without(look: str, catalog: Catalog, names: Mapping[str, str], config: NucleiExperiment) -> Parts:
    """Returns the images of a training without a look.

    Args:
        look: Which is left out.
        catalog: Prepared data.
        names: Look by sample id, of the train and val split.
        config: Its modality and number of training images count, but not for the look that is left out.

    Raises:
        DataError: No image is left to train or to validate on.
    """
    held_out = tuple(sample for sample in catalog.split("train") if names[sample.sample_id] == look)
    others = tuple(s for s in catalog.samples if s.split in ("train", "val") and names[s.sample_id] != look)
    rest = dataclasses.replace(catalog, samples=others)
    val = validation_samples(rest, config)
    if len(val) > VAL_IMAGES:
        drawn = np.random.default_rng(config.data.seed).choice(len(val), VAL_IMAGES, replace=False)
        val = tuple(val[place] for place in sorted(drawn))
    return Parts(training_samples(rest, config), val, held_out)


def result_path(folder: Path, arm: str, look: str, *, config: NucleiExperiment, parts: Parts) -> Path:
    """Returns the file of a training's result; its name changes with the settings and the images."""
    images = [[sample.digest for sample in part] for part in (parts.train, parts.val, parts.held_out)]
    text = json.dumps([flatten(config), images], sort_keys=True, default=str)
    return folder / f"{arm}--{look}--seed{config.seed}-{hashlib.sha256(text.encode()).hexdigest()[:12]}.json"


def trained(path: Path, arm: str, look: str, *, config: NucleiExperiment, parts: Parts) -> Result:
    """Trains, reads out and scores, unless the result's file is there; writes that file."""
    if path.is_file():
        return dict(json.loads(path.read_text(encoding="utf-8")))
    import keras

    from nanonuclei.engine.evaluate import evaluate
    from nanonuclei.engine.networks import network_of
    from nanonuclei.engine.train import fit
    from nanonuclei.tasks import create_task

    print(f"\n{arm} without {look}: {len(parts.train)} images, {len(parts.held_out)} left out", flush=True)
    keras.backend.clear_session()
    gc.collect()
    workdir = path.with_suffix("")
    task = create_task(config)
    fitted = fit(task, parts.train, parts.val, workdir=workdir)
    used = config
    if task.is_open:
        samples = task.samples_to_decide_on(parts.val)
        inputs = (task.network_input(sample.image()) for sample in samples)
        used = with_settings(
            config, task.decide(samples, task.score_maps(network_of(task, fitted.model), inputs)).settings
        )
    report = evaluate(create_task(used), fitted.model, parts.held_out)
    result: Result = {
        "arm": arm,
        "look": look,
        "seed": config.seed,
        "steps": config.train.epochs * config.train.steps_per_epoch,
        "patches": config.train.epochs * config.train.steps_per_epoch * config.train.batch_size,
        "patch_size": config.train.patch_size,
        "train_images": len(parts.train),
        "images": len(parts.held_out),
        "nuclei": sum(sample.num_objects for sample in parts.held_out),
        **{name: report.metrics[name] for name in KEPT},
        "train_seconds": fitted.seconds,
        "hardware": dataclasses.asdict(fitted.hardware),
        "instances": used.instances.model_dump(),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S"),
    }
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    partial.replace(path)
    shutil.rmtree(workdir, ignore_errors=True)
    return result


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", nargs="+", default=[DEFAULT], help="arms: default, or files of settings")
    parser.add_argument("--steps", type=int, default=600, help="batches of each training (%(default)s)")
    parser.add_argument("--seed", type=int, default=7, help="of weights and patches (%(default)s)")
    parser.add_argument("--only", nargs="*", metavar="LOOK", help="looks to leave out; default: all with 15 images")
    parser.add_argument("--prepared", type=Path, help="folder of a prepared data set (default: of params.yaml)")
    parser.add_argument("--out", type=Path, default=Path("scratch/looks"), help="folder of the results (%(default)s)")
    parser.add_argument("--list", action="store_true", help="print the looks and end")
    return parser.parse_args()


def run(options: argparse.Namespace) -> None:
    """Prints the looks, trains what is not trained yet, prints and writes the table after each look.

    Raises:
        NanonucleiError: A recipe, a look or the data are not there or not valid.
    """
    configs = {
        arm: config_of(recipe, steps=options.steps, seed=options.seed) for arm, recipe in arms(options.recipes).items()
    }
    catalog = load_catalog(options.prepared) if options.prepared else prepared_dataset(resolve(Choices("nuclei")))[0]
    names = looks([sample for sample in catalog.samples if sample.split in ("train", "val")])
    groups = groups_table(names, catalog.split("train"))
    cells = [[str(value) for value in row] for row in groups.drop(columns="left_out").itertuples(index=False)]
    print(text_table(cells, header=["look", "images", "fields", "nuclei"]))
    left_out = list(groups.loc[groups["left_out"], "look"])
    print(f"{len(left_out)} looks have {LEAST} training images or more.", flush=True)
    if options.only:
        unknown = [look for look in options.only if look not in left_out]
        if unknown:
            hint = nearest_name(unknown[0], left_out)
            raise ConfigError(f"--only must name looks of {LEAST} images or more, got {unknown[0]!r}. {hint}")
        left_out = [look for look in left_out if look in options.only]
    if options.list:
        return
    if not left_out:
        most = max(Counter(names[s.sample_id] for s in catalog.split("train")).values(), default=0)
        raise DataError(f"one look must have {LEAST} training images or more, the largest has {most}. Add images")
    options.out.mkdir(parents=True, exist_ok=True)
    results: list[Result] = []
    for look in left_out:
        for arm, config in configs.items():
            parts = parts_without(look, catalog, names, config)
            path = result_path(options.out, arm, look, config=config, parts=parts)
            results.append(trained(path, arm, look, config=config, parts=parts))
            print(f"{arm} on {look}: AP50 {results[-1]['ap50_pooled']:.3f}", flush=True)
        table = results_table(results, list(configs), left_out)
        partial = options.out / f".{FILE}.partial"
        table.to_csv(partial, index=False)
        partial.replace(options.out / FILE)
    print(f"\nAP50 on the look that was left out, {options.steps} steps, seed {options.seed}\n\n{markdown(table)}")


def main() -> None:
    try:
        run(_options())
    except NanonucleiError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
