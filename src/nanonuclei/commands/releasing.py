"""Commands that hand a model on: `ship`, `export`, `promote`."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from nanonuclei.commands.checks import (
    check_can_be_promoted,
    check_model,
    check_settings,
    check_task,
    check_trained_elsewhere,
    run_named,
)
from nanonuclei.commands.options import (
    DEFAULT_TASK,
    Stages,
    given,
    model_option,
    settings_of,
    settings_option,
    switch,
)
from nanonuclei.errors import NanonucleiError
from nanonuclei.heavy import heavy_imports
from nanonuclei.invocation import option
from nanonuclei.tasks import task_names, task_package
from nanonuclei.tracking.database import check_database, full_run_id
from nanonuclei.tracking.early.registered import check_champion
from nanonuclei.tracking.early.runs import check_holds_model, tags_of, test_metrics_of

MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
"""Of a model that comes along: that of its folder."""


def add_to(stages: Stages) -> None:
    """Tells the parser their options."""
    ship = stages.add_parser("ship", help="write the model of a run as one that comes along, below models/")
    ship.add_argument("--run", dest="run_id", type=given, metavar="RUN_ID", help="scored on the test images")
    ship.add_argument("--model", type=given, metavar="models:/NAME@ALIAS")
    ship.add_argument("--weights", type=given, metavar="FOLDER", help="adopt these weights first, see adopt")
    ship.add_argument("--name", default="", help="of the folder (the task's)")
    settings_option(ship)
    ship.set_defaults(run=run_ship)

    export = stages.add_parser("export", help="write a model as a package for tools of others")
    model_option(export, "the one that comes along (%(default)s)")
    export.add_argument("--to", default="bioimageio", metavar="FORMAT", help="bioimageio (%(default)s)")
    export.add_argument("--output", required=True, metavar="FILE", help="zip to make")
    export.add_argument("--authors", default="", metavar="NAMES", help="separated by semicolons")
    export.add_argument("--licence", default="", metavar="SPDX", help="of the package, such as CC-BY-4.0")
    export.set_defaults(run=run_export)

    promote = stages.add_parser("promote", help="make the model of a run champion, if it passes the gate")
    promote.add_argument("task", help=" | ".join(task_names()))
    promote.add_argument("--run", dest="run_id", type=given, metavar="RUN_ID", help="run that logged the model")
    promote.add_argument(
        "--model", type=given, metavar="NAME", help=f"a model that comes along, such as {DEFAULT_TASK}"
    )
    switch(promote, "--allow-simulated", "let a model pass that was trained on no real images")
    switch(promote, "--rollback", "give the alias back to the champion before")
    promote.set_defaults(run=run_promote)


def run_ship(options: argparse.Namespace) -> None:
    """Writes the model of a run as one that comes along."""
    settings = settings_of(options)
    sources = [text for text in (options.run_id, options.model, options.weights) if text]
    if len(sources) != 1:
        ways = " and ".join(option(*way) for way in (("run", "RUN_ID"), ("model", "MODEL"), ("weights", "FOLDER")))
        raise NanonucleiError(f"ship needs one of {ways}, got {len(sources) or 'none'}. Give one")
    if settings and not options.weights:
        raise NanonucleiError(
            "the model of a run keeps the settings that it was scored with, got others. Leave them out, or ship "
            f"`{option('weights', 'FOLDER')}`, which scores anew"
        )
    check_settings(options.settings)
    if options.name and not MODEL_NAME.fullmatch(options.name):
        raise NanonucleiError(
            f"name must be letters, digits, - and _, as the name of one folder, got {options.name!r}. Give another"
        )
    if options.run_id:
        options.run_id = sources[0] = full_run_id(options.run_id)
        check_holds_model(options.run_id)
        _check_trained_here(options.run_id, options.run_id)
        from nanonuclei.serving.shipped.made_for import check_place

        tags = tags_of(options.run_id) or {}
        check_place(options.name, tags.get("task", ""), dataset=tags.get("dataset", ""))
    elif options.model:
        check_model(options.model)
        _check_trained_here(options.model, run_named(options.model))
        if not run_named(options.model) and not options.model.startswith("models:/"):
            raise NanonucleiError(
                f"ship takes the model of a run, a run's id or models:/NAME@ALIAS, got {options.model!r}. Name one"
            )
    else:
        check_trained_elsewhere("weights must be", options.weights)
    with heavy_imports():
        from nanonuclei.stages.shipped.adopt import adopt
        from nanonuclei.stages.shipped.ship import ship
    reference = adopt(Path(options.weights), settings=settings) if options.weights else sources[0]
    ship(reference, name=options.name)


def _check_trained_here(reference: str, run_id: str) -> None:
    if (tags_of(run_id) or {}).get("stage") == "ship":
        raise NanonucleiError(
            f"{reference} holds a model that came along: it is shipped already. Name one that was trained here"
        )


def run_export(options: argparse.Namespace) -> None:
    """Writes a model as a package for tools of others."""
    from nanonuclei.stages.export.request import Publication, check_export

    output = Path(options.output)
    names = tuple(name.strip() for name in options.authors.split(";") if name.strip())
    publication = Publication(names, options.licence)
    check_export(output, to=options.to, publication=publication)
    check_model(options.model)
    with heavy_imports():
        from nanonuclei.stages.export.export import export
    export(options.model, output, publication=publication)


def run_promote(options: argparse.Namespace) -> int:
    """Promotes a model, or rolls back; 1 where the gate refuses."""
    ways = [bool(options.rollback), bool(options.run_id), bool(options.model)]
    if sum(ways) != 1:
        raise NanonucleiError(
            f"promote needs {option('run', 'RUN_ID')} or {option('model', 'MODEL')} for the model that shall be "
            f"champion, or {option('rollback', 'true')} for the champion before, got {sum(ways) or 'none'} of them. "
            "Give one"
        )
    task_package(options.task)
    if options.run_id:
        from nanonuclei.config.gate import check_metrics, load_gate
        from nanonuclei.stages.places import PARAMS

        options.run_id = full_run_id(options.run_id)
        check_holds_model(options.run_id, task=options.task)
        gate = load_gate(options.task, path=PARAMS)
        if known := test_metrics_of(options.run_id):
            check_metrics(gate, known, task=options.task, path=PARAMS)
        check_can_be_promoted(options.task, options.run_id)
    elif options.model:
        check_model(options.model)
        check_task(options.model, options.task)
        check_can_be_promoted(options.task, options.model)
    else:
        check_database()
        check_champion(options.task)
    with heavy_imports():
        from nanonuclei.stages.promote.promote import promote, rollback
        from nanonuclei.stages.shipped.register import promote_named
    if options.rollback:
        rollback(options.task)
        return 0
    if options.model:
        return 0 if promote_named(options.task, options.model, allow_simulated=options.allow_simulated) else 1
    return 0 if promote(options.task, options.run_id, allow_simulated=options.allow_simulated).decision.promoted else 1
