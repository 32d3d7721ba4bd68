"""What each stage of the command line does with its options: check them, import the stage, call it.

Settings are resolved before the slow imports, so that a wrong one is told at once.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from nanonuclei.errors import NanonucleiError
from nanonuclei.quiet import native_messages_hidden

if TYPE_CHECKING:
    from nanonuclei.stages.settings import Choices


def run_fetch(options: argparse.Namespace) -> None:
    """Puts a real dataset below data/, or pretrained weights in place."""
    from nanonuclei.stages.fetch import WEIGHTS, fetch

    if options.dataset == WEIGHTS:
        with native_messages_hidden():
            import nanonuclei.models.weights  # noqa: F401

    fetch(options.dataset, source=options.source)


def run_label(options: argparse.Namespace) -> None:
    """Cuts images into pictures and tasks for Label Studio."""
    with native_messages_hidden():
        from nanonuclei.stages.label import label
    if not options.size.isdecimal():
        raise NanonucleiError(f"size must be a whole number of px, got {options.size!r}")
    channel = int(options.channel) if options.channel.isdecimal() else options.channel
    label(Path(options.images), Path(options.output), channel=channel, size=int(options.size), model=options.model)


def run_explore(options: argparse.Namespace) -> None:
    """Draws figures and tables of a dataset."""
    from nanonuclei.stages.settings import resolve

    config = resolve(choices_of(options))
    from nanonuclei.stages.explore import explore

    explore(config)


def run_prepare(options: argparse.Namespace) -> None:
    """Prepares the images of the pipeline."""
    with native_messages_hidden():
        from nanonuclei.stages.pipeline.stages import prepare_stage
    prepare_stage(options.task)


def run_repro(options: argparse.Namespace) -> None:
    """Runs the pipeline."""
    with native_messages_hidden():
        from nanonuclei.stages.pipeline.repro import repro
    repro([target for target in options.targets if target])


def run_lineage(options: argparse.Namespace) -> int:
    """Prints and verifies what made a model; 1 where it does not hold."""
    from nanonuclei.stages.shipped.lineage import lineage

    return 0 if lineage(options.reference) else 1


def run_train(options: argparse.Namespace) -> None:
    """Trains, or goes on with a training."""
    if options.build:
        with native_messages_hidden():
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
        with native_messages_hidden():
            from nanonuclei.stages.train import train
        train(None, resume=options.resume)
        return
    from nanonuclei.stages.settings import resolve

    config = resolve(choices_of(options))  # before the slow imports: a wrong setting is told at once
    with native_messages_hidden():
        from nanonuclei.stages.train import train
    train(config)


def run_adopt(options: argparse.Namespace) -> None:
    """Makes a run of a training that took place elsewhere."""
    with native_messages_hidden():
        from nanonuclei.stages.shipped.adopt import adopt
    adopt(Path(options.folder), settings=[text for text in options.settings if text])


def run_evaluate(options: argparse.Namespace) -> None:
    """Scores the model of a run, or of the pipeline."""
    with native_messages_hidden():
        from nanonuclei.stages.evaluate import evaluate_run
        from nanonuclei.stages.pipeline.stages import evaluate_stage
    if options.build:
        evaluate_stage(options.build)
        return
    evaluate_run(options.run_id, split=options.split, settings=[text for text in options.settings if text])


def run_predict(options: argparse.Namespace) -> int:
    """Finds the objects of images; 3 where some gave no result."""
    from nanonuclei.stages.predict.predict import predict
    from nanonuclei.stages.predict.request import Request, parse_channel, parse_formats, parse_z

    images = options.images or options.input
    if not images:
        raise NanonucleiError("predict needs images: name a folder, a file, or a pattern in quotes")
    request = Request(
        images,
        options.model,
        output=Path(options.output) if options.output else None,
        channel=parse_channel(options.channel),
        z=parse_z(options.z),
        formats=parse_formats(options.formats),
        settings=[text for text in options.settings if text],
        submission=options.submission,
        resume=options.resume,
    )
    return 3 if predict(request).failed else 0


def run_ship(options: argparse.Namespace) -> None:
    """Writes the model of a run as one that comes along."""
    settings = [text for text in options.settings if text]
    given = [text for text in (options.run_id, options.model, options.weights) if text]
    if len(given) != 1:
        raise NanonucleiError(f"ship needs one of --run, --model and --weights, got {len(given) or 'none'}. Give one")
    if settings and not options.weights:
        raise NanonucleiError(
            "the model of a run keeps the settings that it was scored with, got --set. Leave it out, or ship --weights "
            "FOLDER, which scores anew"
        )
    with native_messages_hidden():
        from nanonuclei.stages.shipped.adopt import adopt
        from nanonuclei.stages.shipped.ship import ship
    reference = adopt(Path(options.weights), settings=settings) if options.weights else given[0]
    ship(reference, name=options.name)


def run_tune(options: argparse.Namespace) -> None:
    """Searches for better settings."""
    from nanonuclei.stages.settings import resolve

    if not options.trials.isdecimal():
        raise NanonucleiError(f"trials must be a whole number from 1, got {options.trials!r}")
    config = resolve(choices_of(options))
    with native_messages_hidden():
        from nanonuclei.stages.tune.tune import TuneOptions, tune
    tune(
        config,
        options=TuneOptions(options.tuner, int(options.trials), storage=options.storage, study=options.study),
    )


def run_compare(options: argparse.Namespace) -> None:
    """Compares recipes."""
    if not options.seeds.isdecimal():
        raise NanonucleiError(f"seeds must be a whole number from 1, got {options.seeds!r}")
    if options.allow_different_splits not in ("", "true", "false"):
        raise NanonucleiError(f"allow-different-splits must be true or false, got {options.allow_different_splits!r}")
    from nanonuclei.stages.settings import Choices

    with native_messages_hidden():
        from nanonuclei.stages.compare.compare import CompareOptions, compare
    compare(
        Choices(options.task, options.dataset, None, tuple(text for text in options.settings if text)),
        CompareOptions(options.recipes, int(options.seeds), options.runs, options.allow_different_splits == "true"),
    )


def run_promote(options: argparse.Namespace) -> int:
    """Promotes a model, or rolls back; 1 where the gate refuses."""
    given = [bool(options.rollback), bool(options.run_id), bool(options.model)]
    if sum(given) != 1:
        raise NanonucleiError(
            "promote needs --run RUN_ID or --model MODEL for the model that shall be champion, or --rollback for the "
            f"champion before, got {sum(given) or 'none'} of them. Give one"
        )
    with native_messages_hidden():
        from nanonuclei.stages.promote import promote, rollback
        from nanonuclei.stages.shipped.register import promote_named
    if options.rollback:
        rollback(options.task)
        return 0
    if options.model:
        return 0 if promote_named(options.task, options.model, allow_simulated=options.allow_simulated) else 1
    return 0 if promote(options.task, options.run_id, allow_simulated=options.allow_simulated).decision.promoted else 1


def choices_of(options: argparse.Namespace) -> Choices:
    """Returns task, dataset, recipe and settings of the command line."""
    from nanonuclei.stages.settings import Choices

    recipe = Path(options.recipe) if options.recipe else None
    return Choices(options.task, options.dataset, recipe, tuple(text for text in options.settings if text))
