"""What each stage of the command line does with its options: check them, import the stage, call it.

Settings are resolved before the slow imports, so that a wrong one is told at once.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from nanonuclei.early_checks import (
    SIMULATED,
    check_dataset,
    check_model,
    check_prepared_task,
    check_settings,
    check_trained_elsewhere,
)
from nanonuclei.errors import NanonucleiError, nearest_name
from nanonuclei.invocation import option
from nanonuclei.quiet import native_messages_hidden
from nanonuclei.tasks import task_package
from nanonuclei.tracking.database import check_database, full_run_id
from nanonuclei.writing import check_new_folder

if TYPE_CHECKING:
    from nanonuclei.stages.settings import Choices

SPLITS = ("train", "val", "test")
"""As `data.catalog.SPLITS`, whose import takes long."""
ENGINES = ("plain", "ray")
"""What runs `predict`: one process, or the workers of a Ray cluster."""
WEIGHTS = "weights"
"""What `fetch` gets beside datasets, as `stages.fetch.WEIGHTS`."""


def run_fetch(options: argparse.Namespace) -> None:
    """Puts a real dataset below data/, or pretrained weights in place."""
    check_dataset(options.dataset, (WEIGHTS,), source=options.source)
    from nanonuclei.stages.fetch import fetch

    if options.dataset == WEIGHTS:
        with native_messages_hidden():
            import nanonuclei.models.weights  # noqa: F401

    fetch(options.dataset, source=options.source)


def run_label(options: argparse.Namespace) -> None:
    """Cuts images into pictures and tasks for Label Studio."""
    if not options.size.isdecimal():
        raise NanonucleiError(f"size must be a whole number of px, got {options.size!r}")
    check_new_folder(Path(options.output))
    if not Path(options.images).exists():
        raise NanonucleiError(f"images must be a folder or zip, but {options.images} is not there. Check the path")
    with native_messages_hidden():
        from nanonuclei.stages.label import label
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
    task_package(options.task)
    from nanonuclei.stages.pipeline.pinned import check_sources

    check_sources([options.task])
    with native_messages_hidden():
        from nanonuclei.stages.pipeline.stages import prepare_stage
    prepare_stage(options.task)


def run_repro(options: argparse.Namespace) -> None:
    """Runs the pipeline."""
    from nanonuclei.stages.pipeline.pinned import check_sources, check_targets, pipeline_tasks

    targets = [target for target in options.targets if target]
    check_targets(targets)
    check_sources(pipeline_tasks())
    with native_messages_hidden():
        from nanonuclei.stages.pipeline.repro import repro
    repro(targets)


def run_plots(options: argparse.Namespace) -> None:
    """Draws what the pipeline measured."""
    from nanonuclei.stages.pipeline.plots import FOLDER, draw_plots

    draw_plots(Path(options.output) if options.output else FOLDER)


def run_lineage(options: argparse.Namespace) -> int:
    """Prints and verifies what made a model; 1 where it does not hold."""
    check_model(options.reference)
    from nanonuclei.stages.shipped.lineage import lineage

    return 0 if lineage(options.reference) else 1


def run_train(options: argparse.Namespace) -> None:
    """Trains, or goes on with a training."""
    if options.build:
        check_prepared_task(options.task)
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
        run = full_run_id(options.resume)
        with native_messages_hidden():
            from nanonuclei.stages.train import train
        train(None, resume=run)
        return
    from nanonuclei.stages.settings import recipe_of, resolve

    choices = choices_of(options)
    config = resolve(choices)  # before the slow imports: a wrong setting is told at once
    with native_messages_hidden():
        from nanonuclei.stages.train import train
    train(config, recipe=recipe_of(choices, config))


def run_adopt(options: argparse.Namespace) -> None:
    """Makes a run of a training that took place elsewhere."""
    check_settings(options.settings)
    check_trained_elsewhere("adopt takes", options.folder)
    with native_messages_hidden():
        from nanonuclei.stages.shipped.adopt import adopt
    adopt(Path(options.folder), settings=[text for text in options.settings if text])


def run_evaluate(options: argparse.Namespace) -> None:
    """Scores the model of a run, or of the pipeline."""
    if options.build:
        check_prepared_task(options.build)
        with native_messages_hidden():
            from nanonuclei.stages.pipeline.stages import evaluate_stage
        evaluate_stage(options.build)
        return
    if options.split not in SPLITS:
        raise NanonucleiError(f"unknown split {options.split!r}. {nearest_name(options.split, SPLITS)}")
    check_settings(options.settings)
    run = full_run_id(options.run_id)
    with native_messages_hidden():
        from nanonuclei.stages.evaluate import evaluate_run
    evaluate_run(run, split=options.split, settings=[text for text in options.settings if text])


def run_predict(options: argparse.Namespace) -> int:
    """Finds the objects of images; 3 where some gave no result."""
    from nanonuclei.stages.predict.request import (
        Request,
        check_place,
        parse_block,
        parse_channel,
        parse_formats,
        parse_place,
        parse_z,
    )

    images = options.images or options.input
    if not images:
        raise NanonucleiError("predict needs images: name a folder, a file, or a pattern in quotes")
    engine = options.engine or ENGINES[0]
    if engine not in ENGINES:
        raise NanonucleiError(f"unknown engine {engine!r}. {nearest_name(engine, ENGINES)}")
    if engine != "ray" and (options.address or options.block):
        raise NanonucleiError("address and block are for many machines. Add --engine ray, or leave them out")
    request = Request(
        images,
        options.model,
        output=parse_place(options.output or ""),
        channel=parse_channel(options.channel),
        z=parse_z(options.z),
        formats=parse_formats(options.formats or ("parquet" if engine == "ray" else "")),
        settings=[text for text in options.settings if text],
        submission=options.submission,
        resume=options.resume,
        address=options.address,
        block=parse_block(options.block),
    )
    check_place(images)
    if engine == "ray":
        from nanonuclei.stages.predict.many.engine import predict_on_many

        return 3 if predict_on_many(request).failed else 0
    from nanonuclei.stages.predict.predict import predict

    return 3 if predict(request).failed else 0


def run_page(options: argparse.Namespace) -> None:
    """Serves the page until it is interrupted."""
    if not options.port.isdecimal() or int(options.port) > 65_535:
        raise NanonucleiError(
            f"port must be a whole number from 0 to 65535, got {options.port!r}. Leave it out for 7860"
        )
    check_settings(options.settings)
    from nanonuclei.page.opening import open_page

    open_page(options.model, options.host, int(options.port), settings=options.settings, browser=not options.no_browser)


def run_correct(options: argparse.Namespace) -> None:
    """Writes results for an annotation program."""
    from nanonuclei.stages.correct.correct import correct

    results = options.results or options.input
    if not results:
        raise NanonucleiError("correct needs the results of predict: name their folder")
    correct(Path(results), Path(options.output), to=options.to, images=options.images)


def run_finetune(options: argparse.Namespace) -> None:
    """Trains a stored model on new images."""
    check_settings(options.settings)
    check_model(options.model)
    check_dataset(options.dataset, (SIMULATED,))
    with native_messages_hidden():
        from nanonuclei.stages.finetune.finetune import finetune
    finetune(options.dataset, model=options.model, settings=[text for text in options.settings if text])


def run_ship(options: argparse.Namespace) -> None:
    """Writes the model of a run as one that comes along."""
    settings = [text for text in options.settings if text]
    given = [text for text in (options.run_id, options.model, options.weights) if text]
    if len(given) != 1:
        ways = " and ".join(option(*way) for way in (("run", "RUN_ID"), ("model", "MODEL"), ("weights", "FOLDER")))
        raise NanonucleiError(f"ship needs one of {ways}, got {len(given) or 'none'}. Give one")
    if settings and not options.weights:
        raise NanonucleiError(
            "the model of a run keeps the settings that it was scored with, got others. Leave them out, or ship "
            f"`{option('weights', 'FOLDER')}`, which scores anew"
        )
    check_settings(options.settings)
    if options.run_id:
        options.run_id = given[0] = full_run_id(options.run_id)
    elif options.model:
        check_model(options.model)
    else:
        check_trained_elsewhere("weights must be", options.weights)
    with native_messages_hidden():
        from nanonuclei.stages.shipped.adopt import adopt
        from nanonuclei.stages.shipped.ship import ship
    reference = adopt(Path(options.weights), settings=settings) if options.weights else given[0]
    ship(reference, name=options.name)


def run_export(options: argparse.Namespace) -> None:
    """Writes a model as a package for tools of others."""
    from nanonuclei.stages.export.request import Publication, check_export

    output = Path(options.output)
    check_export(output, to=options.to)
    check_model(options.model)
    with native_messages_hidden():
        from nanonuclei.stages.export.export import export
    names = tuple(name.strip() for name in options.authors.split(";") if name.strip())
    export(options.model, output, publication=Publication(names, options.licence))


def run_clean(options: argparse.Namespace) -> None:
    """Lists or removes what is left over."""
    from nanonuclei.stages.clean.clean import clean

    clean(apply=options.apply)


def run_tune(options: argparse.Namespace) -> None:
    """Searches for better settings."""
    from nanonuclei.stages.settings import recipe_of, resolve
    from nanonuclei.stages.tune.plan import TuneOptions, check_study, plan
    from nanonuclei.tune.base import check_tuner

    if not options.trials.isdecimal():
        raise NanonucleiError(f"trials must be a whole number from 1, got {options.trials!r}")
    check_tuner(options.tuner)
    choices = choices_of(options)
    config = resolve(choices)
    wanted = TuneOptions(
        options.tuner,
        int(options.trials),
        storage=options.storage,
        study=options.study,
        recipe=recipe_of(choices, config),
    )
    check_study(plan(config, wanted), options.tuner)
    with native_messages_hidden():
        from nanonuclei.stages.tune.tune import tune
    tune(config, options=wanted)


def run_compare(options: argparse.Namespace) -> None:
    """Compares recipes."""
    if not options.seeds.isdecimal():
        raise NanonucleiError(f"seeds must be a whole number from 1, got {options.seeds!r}")
    if options.allow_different_splits not in ("", "true", "false"):
        raise NanonucleiError(f"allow-different-splits must be true or false, got {options.allow_different_splits!r}")
    from nanonuclei.stages.compare.plan import CompareOptions, plan
    from nanonuclei.stages.settings import Choices

    choices = Choices(options.task, options.dataset, None, tuple(text for text in options.settings if text))
    wanted = CompareOptions(options.recipes, int(options.seeds), options.runs, options.allow_different_splits == "true")
    plan(choices, wanted, say=lambda _: None)  # before the slow imports: a wrong name is told at once
    with native_messages_hidden():
        from nanonuclei.stages.compare.compare import compare
    compare(choices, wanted)


def run_promote(options: argparse.Namespace) -> int:
    """Promotes a model, or rolls back; 1 where the gate refuses."""
    given = [bool(options.rollback), bool(options.run_id), bool(options.model)]
    if sum(given) != 1:
        raise NanonucleiError(
            f"promote needs {option('run', 'RUN_ID')} or {option('model', 'MODEL')} for the model that shall be "
            f"champion, or {option('rollback', 'true')} for the champion before, got {sum(given) or 'none'} of them. "
            "Give one"
        )
    task_package(options.task)
    if options.run_id:
        options.run_id = full_run_id(options.run_id)
    elif options.model:
        check_model(options.model)
    else:
        check_database()
    with native_messages_hidden():
        from nanonuclei.stages.promote import promote, rollback
        from nanonuclei.stages.shipped.register import promote_named
    if options.rollback:
        rollback(options.task)
        return 0
    if options.model:
        return 0 if promote_named(options.task, options.model, allow_simulated=options.allow_simulated) else 1
    return 0 if promote(options.task, options.run_id, allow_simulated=options.allow_simulated).decision.promoted else 1


def run_serve(options: argparse.Namespace) -> None:
    """Serves a registered model, and changes to another version when its alias moves."""
    port = options.port or "5001"
    if not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise NanonucleiError(f"port must be a whole number from 1 to 65535, got {options.port!r}. Correct it")
    from nanonuclei.serving.live.followed import parse_followed

    parse_followed(options.model)
    check_database()
    from nanonuclei.stages.serve.serve import Address, serve

    serve(options.model, Address(options.host or "127.0.0.1", int(port)), wait=options.wait)


def choices_of(options: argparse.Namespace) -> Choices:
    """Returns task, dataset, recipe and settings of the command line."""
    from nanonuclei.stages.settings import Choices

    return Choices(
        options.task, options.dataset, options.recipe or None, tuple(text for text in options.settings if text)
    )
