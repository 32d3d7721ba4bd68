"""Commands that train a network or score one: `train`, `adopt`, `evaluate`, `finetune`."""

from __future__ import annotations

import argparse
from pathlib import Path

from nanonuclei.commands.checks import (
    SIMULATED,
    check_dataset,
    check_fetched,
    check_images_of,
    check_model,
    check_prepared_task,
    check_settings,
    check_trained_elsewhere,
    known_task,
)
from nanonuclei.commands.fitting import check_begins_as_model, check_fits, check_trainable, own_config
from nanonuclei.commands.options import (
    DEFAULT_TASK,
    MODEL,
    Stages,
    choices_of,
    experiment_options,
    given,
    settings_of,
    settings_option,
)
from nanonuclei.commands.preparing import TRAINING, prepare_early, tell_after_imports
from nanonuclei.errors import NanonucleiError, nearest_name
from nanonuclei.heavy import heavy_imports
from nanonuclei.serving.shipped.places import shipped_folder
from nanonuclei.stages.places import run_folder
from nanonuclei.tasks import dataset_type, task_names
from nanonuclei.tracking.database import full_run_id
from nanonuclei.tracking.early.at_work import check_alone
from nanonuclei.tracking.early.own_run import name_own_run
from nanonuclei.tracking.early.runs import check_holds_model, finished_training

SPLITS = ("train", "val", "test")
"""As `data.catalog.SPLITS`, whose import takes long."""


def add_to(stages: Stages) -> None:
    """Tells the parser their options."""
    train = stages.add_parser("train", help="train a network, score it on the test images, log the model")
    experiment_options(train)
    train.add_argument("--resume", type=given, metavar="RUN_ID", help="go on with a training that was cut off")
    train.add_argument("--build", action="store_true", help="pipeline: train on the prepared images below build/")
    train.set_defaults(run=run_train)

    adopt = stages.add_parser("adopt", help="make a run of a training that took place elsewhere")
    adopt.add_argument("folder", metavar="FOLDER", help="weights, config and history, of benchmarks/train_here.py")
    settings_option(adopt)
    adopt.set_defaults(run=run_adopt)

    evaluate = stages.add_parser("evaluate", help="score the model of a run")
    which = evaluate.add_mutually_exclusive_group(required=True)
    which.add_argument("--run", dest="run_id", metavar="RUN_ID")
    which.add_argument("--build", metavar="TASK", help="pipeline: score the network below build/")
    settings_option(evaluate)
    evaluate.add_argument("--split", default="test", help="train | val | test (%(default)s)")
    evaluate.set_defaults(run=run_evaluate)

    finetune = stages.add_parser("finetune", help="train a stored model on your corrected images, and compare")
    finetune.add_argument("--dataset", default="mine", help="the new images (%(default)s)")
    finetune.add_argument(
        "--model", default="", metavar=MODEL, help="to begin with (the one that comes along for images of this kind)"
    )
    settings_option(finetune)
    finetune.set_defaults(run=run_finetune)


def run_train(options: argparse.Namespace) -> None:
    """Trains, or goes on with a training."""
    if options.build:
        check_prepared_task(options.task)
        with heavy_imports():
            from nanonuclei.stages.pipeline.stages import train_stage
        train_stage(options.task)
        return
    if options.resume:
        changed = [name for name in ("recipe", "dataset", "settings") if any(getattr(options, name) or ())]
        changed = [name for name in changed if not (name == "dataset" and options.dataset == "auto")]
        if changed:
            raise NanonucleiError(
                f"a resumed run keeps its own settings: leave out {', '.join(changed)}, "
                "or start a new run without resume"
            )
        run = full_run_id(options.resume)
        if told := finished_training(run, task=options.task if options.task != DEFAULT_TASK else ""):
            print(told)
            name_own_run(f"resume of {run[:8]}")
            return
        check_images_of(run)
        check_alone(run_folder(run))
        if config := own_config(run):
            check_trainable(config)
        with heavy_imports():
            from nanonuclei.stages.train import train
        train(None, resume=run)
        return
    from nanonuclei.stages.settings import changed_by, recipe_of, resolve

    choices = choices_of(options)
    said: list[str] = []
    config = resolve(choices, say=said.append)  # before the slow imports: a wrong setting is told at once
    check_trainable(config)
    check_begins_as_model(config, choices.settings)
    prepared = prepare_early(config, needs=TRAINING, said=said)
    with heavy_imports():
        from nanonuclei.stages.train import train
    tell_after_imports(said, told=prepared)
    train(config, recipe=recipe_of(choices, config), changed=changed_by(choices.settings), prepared=prepared)


def run_adopt(options: argparse.Namespace) -> None:
    """Makes a run of a training that took place elsewhere."""
    check_settings(options.settings)
    check_trained_elsewhere("adopt takes", options.folder)
    from nanonuclei.stages.settings import USED

    check_fits(options.folder, options.settings, roles=USED, stage="adopt")
    with heavy_imports():
        from nanonuclei.stages.shipped.adopt import adopt
    adopt(Path(options.folder), settings=settings_of(options))


def run_evaluate(options: argparse.Namespace) -> None:
    """Scores the model of a run, or of the pipeline."""
    if options.build:
        check_prepared_task(options.build)
        with heavy_imports():
            from nanonuclei.stages.pipeline.stages import evaluate_stage
        evaluate_stage(options.build)
        return
    if options.split not in SPLITS:
        raise NanonucleiError(f"unknown split {options.split!r}. {nearest_name(options.split, SPLITS)}")
    check_settings(options.settings)
    if folder := shipped_folder(options.run_id):
        raise NanonucleiError(
            f"evaluate takes the run of a training, but {options.run_id} is a model that comes along. Its scores stand "
            f"in {folder / 'README.md'}"
        )
    run = full_run_id(options.run_id)
    check_holds_model(run)
    check_images_of(run)
    from nanonuclei.stages.settings import USED

    check_fits(run, options.settings, roles=USED, stage="evaluate")
    with heavy_imports():
        from nanonuclei.stages.evaluate import evaluate_run
    evaluate_run(run, split=options.split, settings=settings_of(options))


def run_finetune(options: argparse.Namespace) -> None:
    """Trains a stored model on new images."""
    check_settings(options.settings)
    if options.model:
        check_model(options.model)
    check_dataset(options.dataset, (SIMULATED,))
    own = [task for task in task_names() if options.dataset in dataset_type(task).locations]
    made = known_task(options.model) if options.model else ""
    if own and made and made not in own:
        raise NanonucleiError(
            f"{options.dataset} holds images of {' or '.join(own)}, but {options.model} is a model of {made}. Name a "
            f"model of {own[0]}, or another dataset"
        )
    model = options.model or next(iter(own), DEFAULT_TASK)
    check_fetched(options.dataset)
    if config := own_config(model):
        from nanonuclei.config.params import parse_settings
        from nanonuclei.stages.finetune.settings import finetuning

        finetuning(config, options.dataset, parse_settings(settings_of(options)), model=model)
    with heavy_imports():
        from nanonuclei.stages.finetune.finetune import finetune
    finetune(options.dataset, model=model, settings=settings_of(options))
