"""Commands by which a model answers: `predict`, `page`, `serve`."""

from __future__ import annotations

import argparse
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from nanonuclei.commands.checks import check_model, check_settings
from nanonuclei.commands.fitting import check_fits, own_config
from nanonuclei.commands.options import (
    DEFAULT_TASK,
    Stages,
    given,
    model_option,
    settings_of,
    settings_option,
    switch,
)
from nanonuclei.errors import NanonucleiError, nearest_name, without_password
from nanonuclei.invocation import option
from nanonuclei.listening import bound
from nanonuclei.tracking.database import check_database
from nanonuclei.tracking.early.own_run import name_own_run
from nanonuclei.tracking.early.registered import check_registered

if TYPE_CHECKING:
    from nanonuclei.stages.predict.request import Request

ENGINES = ("plain", "ray")
"""What runs `predict`: one process, or the workers of a Ray cluster."""


def add_to(stages: Stages) -> None:
    """Tells the parser their options."""
    predict = stages.add_parser("predict", help="find the objects of every image in a folder")
    predict.add_argument("images", nargs="?", metavar="FOLDER", help="images, in subfolders too; a file; or a pattern")
    predict.add_argument("--input", type=given, metavar="FOLDER", help="the same, by name")
    model_option(predict, "the one that comes along (%(default)s)")
    predict.add_argument("--output", type=given, metavar="FOLDER", help=f"of the results (FOLDER-{DEFAULT_TASK})")
    predict.add_argument("--channel", default="", metavar="C", help="number from 0 or name (that of the objects)")
    predict.add_argument("--z", default="", metavar="Z", help="max | mean | number of a focal plane (max)")
    predict.add_argument("--axes", default="", metavar="ZYX", help="what the axes of files are (as each file says)")
    predict.add_argument(
        "--formats",
        default="",
        metavar="LIST",
        help="of csv,parquet,geojson,roi,labels,overlay (csv,labels,overlay)",
    )
    settings_option(predict)
    predict.add_argument("--engine", default="plain", metavar="E", help="plain: one machine | ray: many (%(default)s)")
    predict.add_argument("--address", default="", metavar="A", help="of a Ray cluster, ray://head:10001 (this machine)")
    predict.add_argument("--block", default="", metavar="N", help="images per shard of many machines (64)")
    switch(predict, "--resume", "go on in a folder of results, where the call before was cut off")
    switch(predict, "--submission", "also Kaggle's file")
    predict.set_defaults(run=run_predict)

    page = stages.add_parser("page", help="a page in the browser: drop an image, see its objects, take them along")
    model_option(page, "(%(default)s)")
    page.add_argument("--port", default="7860", metavar="N", help="of this machine (%(default)s)")
    page.add_argument(
        "--host", default="127.0.0.1", metavar="ADDRESS", help="0.0.0.0 lets other machines in (%(default)s)"
    )
    settings_option(page)
    switch(page, "--no-browser", "print the address only")
    page.set_defaults(run=run_page)

    serve = stages.add_parser("serve", help="answer over HTTP, with the newest version that an alias stands for")
    champion = f"models:/{DEFAULT_TASK}@champion"
    serve.add_argument("--model", default=champion, metavar="models:/NAME@ALIAS", help="(%(default)s)")
    serve.add_argument("--host", default="", help="where to listen (127.0.0.1)")
    serve.add_argument("--port", default="", help="where to listen (5001)")
    switch(serve, "--wait", "for a model to be promoted")
    serve.set_defaults(run=run_serve)


def run_predict(options: argparse.Namespace) -> int:
    """Finds the objects of images; 3 where some gave no result."""
    from nanonuclei.stages.predict.request import (
        Request,
        check_place,
        parse_axes,
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
        raise NanonucleiError(
            f"address and block are for many machines. Add `{option('engine', 'ray')}`, or leave them out"
        )
    request = Request(
        images,
        options.model,
        output=parse_place(options.output or ""),
        channel=parse_channel(options.channel),
        z=parse_z(options.z),
        axes=parse_axes(options.axes),
        formats=parse_formats(options.formats or ("parquet" if engine == "ray" else "")),
        settings=settings_of(options),
        submission=options.submission,
        resume=options.resume,
        address=options.address,
        block=parse_block(options.block),
    )
    check_place(images)
    check_settings(options.settings)
    check_model(options.model)
    from nanonuclei.config.section import Role

    check_fits(options.model, options.settings, roles=(Role.READING,), stage="predict")
    from nanonuclei.serving.named import is_run, is_uri

    if engine != "ray" and (is_run(options.model) or is_uri(options.model)):
        _check_before_loading(request)
    name_own_run(f"predict {without_password(PurePath(images).name)}")
    if engine == "ray":
        from nanonuclei.stages.predict.many.engine import predict_on_many

        return 3 if predict_on_many(request).failed else 0
    from nanonuclei.stages.predict.predict import predict

    return 3 if predict(request).failed else 0


def _check_before_loading(request: Request) -> None:
    """Makes sure that output, images and channel are as they must be: a model that MLflow keeps takes seconds to load.

    Raises:
        ConfigError: The output holds something else, or results, and `resume` was not asked for.
        DataError: There are no images, or none has the channel that is asked for.
    """
    from nanonuclei.stages.predict.asked import check_asked
    from nanonuclei.stages.predict.request import check_free, find_images, output_beside
    from nanonuclei.tasks import create_reader

    config = own_config(request.model)
    reader = create_reader(config) if config is not None else None
    place = request.output
    if place is None and reader is not None:
        place = output_beside(request.images, reader.noun.many)
    if not isinstance(place, Path):
        return
    check_free(place, resume=request.resume)
    paths = find_images(request.images, output=place)
    if reader is not None:
        check_asked(request, reader, paths)


def run_page(options: argparse.Namespace) -> None:
    """Serves the page until it is interrupted."""
    if not options.port.isdecimal() or int(options.port) > 65_535:
        raise NanonucleiError(
            f"port must be a whole number from 0 to 65535, got {options.port!r}. Leave it out for 7860"
        )
    check_settings(options.settings)
    check_model(options.model)
    from nanonuclei.config.section import Role

    check_fits(options.model, options.settings, roles=(Role.READING,), stage="page")
    bound(options.host, int(options.port)).close()  # before the model is loaded
    from nanonuclei.page.opening import open_page

    open_page(options.model, options.host, int(options.port), settings=options.settings, browser=not options.no_browser)


def run_serve(options: argparse.Namespace) -> None:
    """Serves a registered model, and changes to another version when its alias moves."""
    port = options.port or "5001"
    if not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise NanonucleiError(f"port must be a whole number from 1 to 65535, got {options.port!r}. Correct it")
    from nanonuclei.serving.live.followed import parse_followed

    parse_followed(options.model)
    check_database() if options.wait else check_registered(options.model)
    host = options.host or "127.0.0.1"
    bound(host, int(port)).close()  # before the slow imports
    from nanonuclei.stages.serve.serve import Address, serve

    serve(options.model, Address(host, int(port)), wait=options.wait)
