"""Commands of the pipeline that DVC runs: `prepare`, `repro`, `plots`."""

from __future__ import annotations

import argparse
from pathlib import Path

from nanonuclei.commands.options import Stages, given
from nanonuclei.errors import NanonucleiError
from nanonuclei.heavy import heavy_imports
from nanonuclei.tasks import task_names, task_package
from nanonuclei.tracking.early.own_run import name_own_run


def add_to(stages: Stages) -> None:
    """Tells the parser their options."""
    prepare = stages.add_parser("prepare", help="pipeline: images, label maps, fields and splits from data/")
    prepare.add_argument("task", help=" | ".join(task_names()))
    prepare.set_defaults(run=run_prepare)

    repro = stages.add_parser("repro", help="dvc repro below one parent run")
    repro.add_argument("targets", nargs="*", metavar="STAGE", help="such as train@TASK (all)")
    repro.set_defaults(run=run_repro)

    plots = stages.add_parser("plots", help="figures of what the pipeline measured, and a page of them")
    plots.add_argument("--output", type=given, metavar="FOLDER", help="(scratch/plots)")
    plots.set_defaults(run=run_plots)


def run_prepare(options: argparse.Namespace) -> None:
    """Prepares the images of the pipeline."""
    task_package(options.task)
    from nanonuclei.stages.pipeline.pinned import check_sources

    check_sources([options.task])
    with heavy_imports():
        from nanonuclei.stages.pipeline.stages import prepare_stage
    prepare_stage(options.task)


def run_repro(options: argparse.Namespace) -> None:
    """Runs the pipeline."""
    from nanonuclei.stages.pipeline.pinned import check_data, check_lock, check_targets

    targets = [target for target in options.targets if target]
    check_targets(targets)
    check_lock()
    check_data()
    with heavy_imports():
        from nanonuclei.stages.pipeline.repro import repro
    repro(targets)


def run_plots(options: argparse.Namespace) -> None:
    """Draws what the pipeline measured."""
    from nanonuclei.stages.pipeline.plots import FOLDER, PAGE, draw_plots

    if options.output and Path(options.output).is_file():
        raise NanonucleiError(f"output must be a folder, but {options.output} is a file. Name another")
    given = Path(options.output) if options.output else FOLDER
    if given.is_dir() and any(given.iterdir()) and not (given / PAGE).is_file():
        raise NanonucleiError(
            f"plots need a folder that is new or holds earlier plots, but {given} holds other files. Name another"
        )
    name_own_run("plots")
    draw_plots(given)
