"""Trains the recipes for one and the same time, on one split, and prints the table of what they reach.

    PYTHONPATH=src KERAS_HOME=... python benchmarks/recipes.py [--minutes 10] [--recipes unet unet-instances ...]
    PYTHONPATH=src KERAS_HOME=... python benchmarks/recipes.py --weights [--minutes 4]

The first form trains recipes: a few batches and a validation tell what they take, then each gets as many batches as
fit into the minutes, spread over the number of epochs of the recipe, but 20 at most, and no more than leave validation
a quarter of the time; its own early stopping counts. Where ImageNet weights cannot be had, nor are in KERAS_HOME, a
recipe trains from random ones, and the table says so. The second form compares ImageNet's weights of MobileNetV2 with
random ones on 10, 50 and all training images, all for as many batches as the first of them takes in the minutes.

Every training is a run of its own (`mlflow ui`); those that are done, in `scratch/recipes`, are not trained again.
Figures depend on the machine and on what else it does; compare within one table.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from nanonuclei.config.params import Scalar
from nanonuclei.errors import ConfigError
from nanonuclei.stages.settings import Choices, resolve
from nanonuclei.tasks.nuclei.config import NucleiExperiment

FOLDER = Path("scratch/recipes")
PROBE = 6
"""Batches that are timed, after one that compiles."""
SHARE = 0.93
"""Of the time for batches and validation; checkpoints and the averaging of weights take the rest."""
MOST_EPOCHS = 20
VALIDATION = 0.25
"""Of the time for validation, at most."""
SHORT_MEMORY = {"train.ema_momentum": 0.97, "network.norm_momentum": 0.97}
"""For trainings of a few hundred batches, whose averages would else still hold the start."""

PUBLISHED = {
    "unet": "val accuracy 0.969, val loss 0.079 (1)",
    "unet-mobilenet-transpose": "aim: above 80 % (1)",
    "unet-resnet-transpose": "aim: above 80 % (1)",
    "unet-mobilenetv2-pix2pix": "no figure",
    "unet-tutorial": "accuracy 97 % train, 96 % val (1)",
    "unet-instances": "ours",
}
NOTE = "(1) Random split of resized images: tiles of one field on both sides. Not the same measurement as ours."


Result = dict[str, float | str]
"""What is known of a training that was done."""


@dataclass(frozen=True)
class Training:
    """One row of a table: a recipe with changes."""

    name: str
    recipe: str
    settings: dict[str, Scalar] = field(default_factory=dict)
    note: str = ""

    def config(self) -> NucleiExperiment:
        """Returns its experiment on the real images."""
        changes = tuple(f"{path}={value}" for path, value in self.settings.items())
        return resolve(Choices("nuclei", "dsb2018", Path(f"recipes/{self.recipe}.yaml"), changes), say=lambda _: None)


def recipes(names: list[str]) -> list[Training]:
    """Returns the recipes to train, with random weights where ImageNet's cannot be had."""
    return [_with_weights_at_hand(Training(name, name)) for name in names]


def weights() -> list[Training]:
    """Returns ImageNet's weights against random ones, at three numbers of images."""
    found = []
    for count in (10, 50, 0):
        for kind, changes in (("imagenet", {}), ("none", {"network.weights": "none", "train.encoder": "unfrozen"})):
            name = f"{count or 'all'} images, {'ImageNet' if kind == 'imagenet' else 'random'} weights"
            changes = {"data.max_train_samples": count, **SHORT_MEMORY, **changes}
            found.append(Training(name, "unet-mobilenet-transpose", changes))
    return found


def _with_weights_at_hand(training: Training) -> Training:
    from nanonuclei.models.encoders import weights_path

    network = training.config().network
    if network.kind == "unet" or network.weights == "none":
        return training
    try:
        weights_path(network)
    except ConfigError:
        changes = {**training.settings, "network.weights": "none", "train.encoder": "unfrozen"}
        return Training(training.name, training.recipe, changes, "random weights: ImageNet's were not at hand")
    return training


def seconds_taken(config: NucleiExperiment) -> tuple[float, float]:
    """Trains a few batches of the slowest phase, validates once, and returns what a batch and a validation take."""
    import keras

    from nanonuclei.engine.devices import detect, seeded_devices
    from nanonuclei.stages.prepare import prepared_dataset as prepared_data
    from nanonuclei.stages.samples import training_samples, validation_samples
    from nanonuclei.tasks import create_task

    keras.backend.clear_session()
    catalog, _ = prepared_data(config, say=lambda _: None)
    task = create_task(config)
    with seeded_devices(detect(config.train), seed=config.seed, deterministic=False):
        model = task.build_model()
        if config.train.encoder == "frozen_then_unfrozen":  # the longer and slower phase
            from nanonuclei.models.phases import phases

            task.compile_for(model, phases(config.train)[-1])
        batches = task.batches(training_samples(catalog, config), training=True)
        model.train_on_batch(*batches[0])
        started = time.perf_counter()
        for number in range(1, PROBE + 1):
            model.train_on_batch(*batches[number])
        taken = (time.perf_counter() - started) / PROBE
        batches.close()
        validation = task.batches(validation_samples(catalog, config), training=False)
        model.evaluate(validation, verbose=0)  # compiles for every shape; the second counts
        started = time.perf_counter()
        model.evaluate(validation, verbose=0)
    return taken, time.perf_counter() - started


def length(config: NucleiExperiment, *, minutes: float) -> tuple[int, int]:
    """Returns the epochs, and the batches of each, that fit into the minutes."""
    batch, validation = seconds_taken(config)
    affordable = max(1, int(VALIDATION * minutes * 60 / validation))
    epochs = min(config.train.epochs, MOST_EPOCHS, affordable)
    return epochs, max(1, int((SHARE * minutes * 60 / epochs - validation) / batch))


def trained(training: Training, *, minutes: float, like: Result | None = None) -> Result:
    """Trains in a process of its own, as long as another if one is given, unless that was done before."""
    path = FOLDER / f"{re.sub(r'[^a-z0-9]+', '-', training.name.lower())}-{minutes:g}min.json"
    if path.exists():
        return json.loads(path.read_text())
    config = training.config()
    epochs, steps = (int(like["epochs"]), int(like["steps"])) if like else length(config, minutes=minutes)
    settings = {**training.settings, "train.epochs": epochs, "train.steps_per_epoch": steps}
    if config.train.encoder == "frozen_then_unfrozen":
        settings["train.frozen_epochs"] = max(1, round(config.train.frozen_epochs * epochs / config.train.epochs))
    words = ["train", "nuclei", "--dataset", "dsb2018", "--recipe", f"recipes/{training.recipe}.yaml"]
    changes = [word for item in settings.items() for word in ("--set", "{}={}".format(*item))]
    print(f"\n{training.name}: {epochs} epochs of {steps} batches", flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "nanonuclei", *words, *changes], check=True, stdout=subprocess.PIPE, text=True
    )
    run_id = re.search(r"^Run (\w{32})", done.stdout, re.MULTILINE).group(1)
    result = {**facts(run_id, config), "epochs": epochs, "steps": steps}
    FOLDER.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2))
    return result


def facts(run_id: str, config: NucleiExperiment) -> Result:
    """Reads a run's figures: validation at the kept epoch, test scores, time, size."""
    from mlflow.tracking import MlflowClient

    from nanonuclei.stages.prepare import prepared_dataset
    from nanonuclei.tasks import create_task

    client = MlflowClient()
    run = client.get_run(run_id)
    kept = int(run.data.metrics["best_epoch"])
    at_kept = {
        f"kept/{name}": next(m.value for m in client.get_metric_history(run_id, name) if m.step == kept)
        for name in ("train/accuracy", "train/loss", "val/accuracy", "val/loss", "val/iou")
    }
    catalog, _ = prepared_dataset(config, say=lambda _: None)
    megapixels = sum(sample.height * sample.width for sample in catalog.split("test")) / 1e6
    return {
        "run": run_id,
        **at_kept,
        **{name: value for name, value in run.data.metrics.items() if name.startswith("test/")},
        "minutes": run.data.metrics["train_seconds"] / 60,
        "parameters": create_task(config).build_network().count_params(),
        "seconds_per_megapixel": run.data.metrics["test/network_seconds"] / megapixels,
    }


COLUMNS = {
    "val accuracy": "kept/val/accuracy",
    "val loss": "kept/val/loss",
    "test accuracy": "test/accuracy",
    "test cross-entropy": "test/binary_crossentropy",
    "test IoU": "test/iou",
    "test AP50": "test/ap50_pooled",
    "test mean AP": "test/map_pooled",
}


def table(trainings: list[Training], results: list[Result]) -> str:
    """Returns the table in Markdown."""
    head = ["training", "published", *COLUMNS, "parameters", "minutes", "s per megapixel"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for training, result in zip(trainings, results, strict=True):
        cells = [training.name + (f" ({training.note})" if training.note else ""), PUBLISHED.get(training.name, "")]
        cells += [f"{result[name]:.3f}" for name in COLUMNS.values()]
        cells += [f"{result['parameters'] / 1e6:.1f} M", f"{result['minutes']:.1f}"]
        lines.append("| " + " | ".join([*cells, f"{result['seconds_per_megapixel']:.2f}"]) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="of each training (%(default)s)")
    parser.add_argument("--recipes", nargs="*", default=list(PUBLISHED), help="names of files in recipes/")
    parser.add_argument("--weights", action="store_true", help="compare ImageNet's weights with random ones instead")
    options = parser.parse_args()
    trainings = weights() if options.weights else recipes(options.recipes)
    results: list[Result] = []
    for training in trainings:
        like = results[0] if options.weights and results else None
        results.append(trained(training, minutes=options.minutes, like=like))
    print(f"\n{table(trainings, results)}")
    if not options.weights:
        print(f"\n{NOTE}")


if __name__ == "__main__":
    main()
