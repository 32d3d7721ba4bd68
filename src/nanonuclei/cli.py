"""The command line: parse, load the config, call one stage. What a stage needs is imported when it is called."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from nanonuclei import __version__
from nanonuclei.errors import NanonucleiError

if TYPE_CHECKING:
    from nanonuclei.stages.settings import Choices

TASKS = ("nuclei", "nanotubes")
"""Offered on the command line; written out so that `--help` imports nothing heavy."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one stage.

    Args:
        arguments: Words of the command line; the process's own where None.

    Returns:
        0, 1 where `lineage` does not hold or `promote` refuses, or 2 where the user can mend what went wrong: the
        message is on standard error.
    """
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _stop)
    _quieten()
    try:
        answer: int | None = options.run(options)
    except NanonucleiError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return 130
    return answer or 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m nanonuclei",
        description="Tracked experiments that find nuclei and nanotubes in microscope images.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    stages = parser.add_subparsers(title="stages", required=True, metavar="STAGE")

    fetch = stages.add_parser("fetch", help="put a real dataset below data/")
    fetch.add_argument("dataset", help="dsb2018 | tnt")
    fetch.add_argument(
        "--source",
        default="public",
        help="dsb2018: public | kaggle, tnt: simulated | annotations.json, both: path of a zip or folder (%(default)s)",
    )
    fetch.set_defaults(run=_fetch)

    label = stages.add_parser("label", help="pictures and tasks for Label Studio, to mark nanotubes in")
    label.add_argument("--images", required=True, metavar="PATH", help="folder or zip of images")
    label.add_argument("--output", required=True, metavar="FOLDER", help="folder to make")
    label.add_argument("--channel", default="0", help="name or index of the nanotubes' channel (%(default)s)")
    label.add_argument("--model", type=_given, metavar="RUN_ID | models:/NAME@ALIAS", help="least sure pictures first")
    label.add_argument("--size", default="512", metavar="PX", help="side of a picture, px (%(default)s)")
    label.set_defaults(run=_label)

    explore = stages.add_parser("explore", help="figures and tables of a dataset")
    _experiment_options(explore)
    explore.set_defaults(run=_explore)

    prepare = stages.add_parser("prepare", help="pipeline: images, label maps, fields and splits from data/")
    prepare.add_argument("task", help=" | ".join(TASKS))
    prepare.set_defaults(run=_prepare)

    train = stages.add_parser("train", help="train a network, score it on the test images, log the model")
    _experiment_options(train)
    train.add_argument("--resume", type=_given, metavar="RUN_ID", help="go on with a training that was cut off")
    train.add_argument("--build", action="store_true", help="pipeline: train on the prepared images below build/")
    train.set_defaults(run=_train)

    evaluate = stages.add_parser("evaluate", help="score the model of a run")
    which = evaluate.add_mutually_exclusive_group(required=True)
    which.add_argument("--run", dest="run_id", metavar="RUN_ID")
    which.add_argument("--build", metavar="TASK", help="pipeline: score the network below build/")
    _settings_option(evaluate)
    evaluate.add_argument("--split", default="test", help="train | val | test (%(default)s)")
    evaluate.set_defaults(run=_evaluate)

    predict = stages.add_parser("predict", help="find the objects of every image in a folder")
    predict.add_argument("--model", required=True, metavar="RUN_ID | models:/NAME@ALIAS")
    predict.add_argument("--input", required=True, metavar="FOLDER", help="images, in subfolders too")
    predict.add_argument("--output", required=True, metavar="FOLDER", help="a new one")
    predict.add_argument("--submission", type=_switch, nargs="?", const=True, default=False, help="also Kaggle's file")
    _settings_option(predict)
    predict.set_defaults(run=_predict)

    tune = stages.add_parser("tune", help="search for better settings, on one machine or many")
    _experiment_options(tune)
    tune.add_argument("--tuner", default="optuna", help="optuna | keras-tuner (%(default)s)")
    tune.add_argument("--trials", default="30", metavar="N", help="trials of the whole search (%(default)s)")
    tune.add_argument("--storage", type=_given, metavar="URL", help="postgresql://..., shared by workers (a file)")
    tune.add_argument("--study", type=_given, metavar="NAME", help="same name: same search (TASK-DATASET-TUNER)")
    tune.set_defaults(run=_tune)

    compare = stages.add_parser("compare", help="which recipe is better: same split, epochs and seeds, with intervals")
    compare.add_argument("task", nargs="?", default="nuclei", help=f"{' | '.join(TASKS)} (%(default)s)")
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
    compare.set_defaults(run=_compare)

    promote = stages.add_parser("promote", help="make the model of a run champion, if it passes the gate")
    promote.add_argument("task", help=" | ".join(TASKS))
    promote.add_argument("--run", dest="run_id", type=_given, metavar="RUN_ID", help="run that logged the model")
    for switch, meaning in (
        ("--allow-simulated", "let a model pass that was trained on no real images"),
        ("--rollback", "give the alias back to the champion before"),
    ):
        promote.add_argument(switch, type=_switch, nargs="?", const=True, default=False, metavar="BOOL", help=meaning)
    promote.set_defaults(run=_promote)

    repro = stages.add_parser("repro", help="dvc repro below one parent run")
    repro.add_argument("targets", nargs="*", metavar="STAGE", help="such as train@nuclei (all)")
    repro.set_defaults(run=_repro)

    lineage = stages.add_parser("lineage", help="print and verify which data, code and settings made a model")
    lineage.add_argument("reference", metavar="RUN_ID | models:/NAME@ALIAS")
    lineage.set_defaults(run=_lineage)
    return parser


def _experiment_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("task", nargs="?", default="nuclei", help=f"{' | '.join(TASKS)} (%(default)s)")
    parser.add_argument("--dataset", type=_given, help="auto | dsb2018 | tnt | simulated")
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


def _switch(text: str) -> bool:
    """A yes or no of MLproject, which knows no options without a value."""
    if text.lower() not in ("", "true", "false"):
        raise argparse.ArgumentTypeError(f"true or false expected, got {text!r}")
    return text.lower() == "true"


def _fetch(options: argparse.Namespace) -> None:
    from nanonuclei.stages.fetch import fetch

    fetch(options.dataset, source=options.source)


def _label(options: argparse.Namespace) -> None:
    with _native_messages_hidden():
        from nanonuclei.stages.label import label

        if options.model:
            import nanonuclei.engine.predict  # noqa: F401
    if not options.size.isdecimal():
        raise NanonucleiError(f"size must be a whole number of px, got {options.size!r}")
    channel = int(options.channel) if options.channel.isdecimal() else options.channel
    label(Path(options.images), Path(options.output), channel=channel, size=int(options.size), model=options.model)


def _explore(options: argparse.Namespace) -> None:
    from nanonuclei.stages.settings import resolve

    config = resolve(_choices(options))
    from nanonuclei.stages.explore import explore

    explore(config)


def _prepare(options: argparse.Namespace) -> None:
    with _native_messages_hidden():
        from nanonuclei.stages.pipeline import prepare_stage
    prepare_stage(options.task)


def _repro(options: argparse.Namespace) -> None:
    with _native_messages_hidden():
        from nanonuclei.stages.repro import repro
    repro([target for target in options.targets if target])


def _lineage(options: argparse.Namespace) -> int:
    from nanonuclei.tracking.lineage import describe, trace

    lineage = trace(options.reference)
    print(describe(lineage))
    print("\nThe lineage holds." if lineage.holds else "\nThe lineage does not hold.")
    return 0 if lineage.holds else 1


def _train(options: argparse.Namespace) -> None:
    if options.build:
        with _native_messages_hidden():
            from nanonuclei.stages.pipeline import train_stage
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
        with _native_messages_hidden():
            from nanonuclei.stages.train import train
        train(None, resume=options.resume)
        return
    from nanonuclei.stages.settings import resolve

    config = resolve(_choices(options))  # before the slow imports: a wrong setting is told at once
    with _native_messages_hidden():
        from nanonuclei.stages.train import train
    train(config)


def _evaluate(options: argparse.Namespace) -> None:
    with _native_messages_hidden():
        from nanonuclei.stages.evaluate import evaluate_run
        from nanonuclei.stages.pipeline import evaluate_stage
    if options.build:
        evaluate_stage(options.build)
        return
    evaluate_run(options.run_id, split=options.split, settings=[text for text in options.settings if text])


def _predict(options: argparse.Namespace) -> None:
    with _native_messages_hidden():
        from nanonuclei.stages.predict import predict
    predict(
        options.model,
        Path(options.input),
        output=Path(options.output),
        settings=[text for text in options.settings if text],
        submission=options.submission,
    )


def _tune(options: argparse.Namespace) -> None:
    from nanonuclei.stages.settings import resolve

    if not options.trials.isdecimal():
        raise NanonucleiError(f"trials must be a whole number from 1, got {options.trials!r}")
    config = resolve(_choices(options))
    with _native_messages_hidden():
        from nanonuclei.stages.tune import TuneOptions, tune
    tune(
        config,
        options=TuneOptions(options.tuner, int(options.trials), storage=options.storage, study=options.study),
    )


def _compare(options: argparse.Namespace) -> None:
    if not options.seeds.isdecimal():
        raise NanonucleiError(f"seeds must be a whole number from 1, got {options.seeds!r}")
    if options.allow_different_splits not in ("", "true", "false"):
        raise NanonucleiError(f"allow-different-splits must be true or false, got {options.allow_different_splits!r}")
    from nanonuclei.stages.settings import Choices

    with _native_messages_hidden():
        from nanonuclei.stages.compare import CompareOptions, compare
    compare(
        Choices(options.task, options.dataset, None, tuple(text for text in options.settings if text)),
        CompareOptions(options.recipes, int(options.seeds), options.runs, options.allow_different_splits == "true"),
    )


def _promote(options: argparse.Namespace) -> int:
    if options.rollback == bool(options.run_id):
        raise NanonucleiError(
            "promote needs --run RUN_ID for the model that shall be champion, or --rollback for the champion before, "
            f"got {'both' if options.rollback else 'neither'}. Leave one out, or name a run"
        )
    with _native_messages_hidden():
        from nanonuclei.stages.promote import promote, rollback
    if options.rollback:
        rollback(options.task)
        return 0
    return 0 if promote(options.task, options.run_id, allow_simulated=options.allow_simulated).decision.promoted else 1


def _choices(options: argparse.Namespace) -> Choices:
    from nanonuclei.stages.settings import Choices

    recipe = Path(options.recipe) if options.recipe else None
    return Choices(options.task, options.dataset, recipe, tuple(text for text in options.settings if text))


def _quieten() -> None:
    """Leaves on the terminal what the user needs: no start-up chatter of TensorFlow, Alembic and MLflow."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    for name in ("alembic", "mlflow.store.db.utils", "mlflow.system_metrics", "mlflow.utils.environment"):
        logging.getLogger(name).setLevel(logging.ERROR)


@contextlib.contextmanager
def _native_messages_hidden() -> Iterator[None]:
    """Hides what TensorFlow's libraries write to standard error when loaded, before any log level counts.

    Exceptions pass; Python's own messages of the same moment are hidden too.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)


def _stop(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
