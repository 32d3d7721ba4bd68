"""Commands that look for better settings: `tune`, `compare`."""

from __future__ import annotations

import argparse

from nanonuclei.commands.fitting import check_downloadable, check_trainable
from nanonuclei.commands.options import (
    DEFAULT_TASK,
    Stages,
    choices_of,
    dataset_option,
    experiment_options,
    given,
    settings_option,
)
from nanonuclei.commands.preparing import TRAINING, can_be_early, prepare_early, tell_after_imports
from nanonuclei.errors import NanonucleiError
from nanonuclei.heavy import heavy_imports
from nanonuclei.tasks import task_names
from nanonuclei.tracking.early.own_run import name_own_run

DEFAULT_TUNER = "optuna"
KIND, WEIGHTS = "network.kind", "network.weights"
"""Settings that a search may choose, and that say which weights a trial needs."""


def add_to(stages: Stages) -> None:
    """Tells the parser their options."""
    tune = stages.add_parser("tune", help="search for better settings, on one machine or many")
    experiment_options(tune)
    tune.add_argument("--tuner", default=DEFAULT_TUNER, help="optuna | keras-tuner (%(default)s)")
    tune.add_argument("--trials", default="30", metavar="N", help="trials of the whole search (%(default)s)")
    tune.add_argument("--storage", type=given, metavar="URL", help="postgresql://..., shared by workers (a file)")
    tune.add_argument("--study", type=given, metavar="NAME", help="same name: same search (TASK-DATASET-TUNER)")
    tune.set_defaults(run=run_tune)

    compare = stages.add_parser("compare", help="which recipe is better: same split, epochs and seeds, with intervals")
    compare.add_argument("task", nargs="?", default=DEFAULT_TASK, help=f"{' | '.join(task_names())} (%(default)s)")
    compare.add_argument(
        "--recipes", default="", metavar="NAMES", help='such as "unet recipes/unet-tuned.yaml", default'
    )
    compare.add_argument("--seeds", default="3", metavar="N", help="trainings of each recipe (%(default)s)")
    compare.add_argument("--runs", default="", metavar="NAME=RUN,RUN", help="finished trainings to take for a recipe")
    dataset_option(compare)
    settings_option(compare)
    compare.add_argument(
        "--allow-different-splits",
        nargs="?",
        const="true",
        default="",
        metavar="true",
        help="compare runs of different splits on the test images that they share",
    )
    compare.set_defaults(run=run_compare)


def run_tune(options: argparse.Namespace) -> None:
    """Searches for better settings."""
    from nanonuclei.stages.settings import recipe_of, resolve
    from nanonuclei.stages.tune.finished import finished_search
    from nanonuclei.stages.tune.plan import TuneOptions, check_study, plan
    from nanonuclei.tune.base import check_tuner
    from nanonuclei.tune.pretrained import check_weights
    from nanonuclei.tune.reaching import check_reachable

    if not options.trials.isdecimal():
        raise NanonucleiError(f"trials must be a whole number from 1, got {options.trials!r}")
    check_tuner(options.tuner)
    choices = choices_of(options)
    said: list[str] = []
    config = resolve(choices, say=said.append)
    space = config.tune.space
    kinds, words = (space[path].ends() if path in space else () for path in (KIND, WEIGHTS))
    check_trainable(config, kinds=kinds, words_tried=words, models=False)
    wanted = TuneOptions(
        options.tuner,
        int(options.trials),
        storage=options.storage,
        study=options.study,
        recipe=str(choices.recipe or recipe_of(choices, config)),
    )
    search = plan(config, wanted)
    check_weights(config, look=check_downloadable)
    check_study(search, options.tuner)
    if options.tuner == DEFAULT_TUNER:  # the others keep nothing in a database
        check_reachable(options.storage)
    if told := finished_search(config, wanted, search):
        print(told)
        name_own_run(f"tune {search.study}, which is finished")
        return
    prepared = prepare_early(config, needs=(*TRAINING, options.tuner.replace("-", "_")), said=said)
    with heavy_imports():
        from nanonuclei.stages.tune.tune import tune
    tell_after_imports(said, told=prepared)
    tune(config, options=wanted, prepared=prepared)


def run_compare(options: argparse.Namespace) -> None:
    """Compares recipes."""
    if not options.seeds.isdecimal():
        raise NanonucleiError(f"seeds must be a whole number from 1, got {options.seeds!r}")
    if options.allow_different_splits not in ("", "true", "false"):
        raise NanonucleiError(f"allow-different-splits must be true or false, got {options.allow_different_splits!r}")
    from nanonuclei.stages.compare.plan import CompareOptions, check_splits, early_splits, once, plan
    from nanonuclei.stages.settings import Choices

    choices = Choices(options.task, options.dataset, None, tuple(text for text in options.settings if text))
    wanted = CompareOptions(options.recipes, int(options.seeds), options.runs, options.allow_different_splits == "true")
    said: list[str] = []
    planned = plan(choices, wanted, say=said.append)  # before the slow imports: a wrong name is told at once
    for config in planned.configs.values():
        check_trainable(config)
    beside = bool(planned.runs)  # whose split is known: that of the recipes must be the same
    early = [can_be_early(config, simulated=beside) for config in planned.configs.values()]
    prepared, tell = all(early), once(print)
    for config in planned.configs.values() if prepared else ():
        prepare_early(config, needs=TRAINING, said=said, say=tell, simulated=beside)
    for line in () if early else said:  # only runs are named: nothing is to be prepared
        tell(line)
    if prepared and beside:
        from nanonuclei.stages.prepare import prepared_dataset

        splits = {
            name: prepared_dataset(config, say=lambda _: None)[0].split_fingerprint()
            for name, config in planned.configs.items()
        }
        check_splits({**splits, **early_splits(planned.runs)}, allowed=wanted.allow_different_splits)
    with heavy_imports():
        from nanonuclei.stages.compare.compare import compare
    compare(choices, wanted, prepared=prepared)
