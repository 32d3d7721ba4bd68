"""Predict: every image of a folder becomes a row, and its objects tables, outlines and labels, one image at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from nanonuclei import __version__
from nanonuclei.config.params import parse_settings, told
from nanonuclei.config.section import Role
from nanonuclei.errors import ConfigError
from nanonuclei.invocation import option
from nanonuclei.serving.named import OpenedModel, open_model
from nanonuclei.stages.places import PARAMS
from nanonuclei.stages.predict.asked import check_asked
from nanonuclei.stages.predict.call import Call, Summary
from nanonuclei.stages.predict.folder import fingerprint, open_folder
from nanonuclei.stages.predict.request import Request, files_of, find_images, output_beside
from nanonuclei.stages.settings import check_changeable
from nanonuclei.tasks import create_reader
from nanonuclei.tasks.base import Reader


@dataclass(frozen=True)
class Begun:
    """A model that was opened for a request, and what results are made with.

    Attributes:
        opened: The model.
        reader: Of its task.
        made_with: At least ``fingerprint``, ``program``, ``model`` and ``settings``.
    """

    opened: OpenedModel
    reader: Reader
    made_with: Mapping[str, Any]


def predict(request: Request, *, say: Callable[[str], None] = print) -> Summary:
    """Finds the objects of every image of an input, and writes the results of each as soon as it is done.

    Writes `images.csv`, a row per image, with the error of images that cannot be used; tables, outlines, labels and
    pictures as asked for, under the paths that the images have in the input; a log; and README.txt, which tells each
    column. A call that was cut off is gone on with by the same call with `resume`.

    Args:
        request: What is asked for.
        say: Told what the user should read.

    Raises:
        ConfigError: A setting is not one of those that may be changed, or the output holds something else, or results
            and `resume` was not asked for, or those of another model or other settings whose images are not in the
            input, or another call is at work in it.
        DataError: There are no images, or none has the channel that is asked for; the disk is full; or a model that
            comes along was changed.
        TrackingError: There is no such model.
    """
    if isinstance(request.output, str):
        raise ConfigError(
            f"one machine writes into a folder, got {request.output}. Add `{option('engine', 'ray')}`, or name a folder"
        )
    begun = begin(request, say=say)
    output = request.output or output_beside(request.images, begun.reader.noun.many)
    paths = find_images(request.images, output=output, say=say)
    check_asked(request, begun.reader, paths)
    with open_folder(output, begun.made_with, files=set(files_of(paths).values()), resume=request.resume) as lines:
        for line in lines:
            say(line)
        return Call(request, begun.opened, begun.reader, output, begun.made_with).run(paths, say)


def begin(request: Request, *, say: Callable[[str], None]) -> Begun:
    """Opens the model of a request.

    Args:
        request: What is asked for.
        say: Told what the model was trained on.

    Raises:
        ConfigError: A setting is not one of those that may be changed.
        DataError: A model that comes along was changed.
        TrackingError: There is no such model.
    """
    changed = parse_settings(request.settings)
    opened = open_model(request.model, settings=changed, missing_from=PARAMS)
    check_changeable(opened.config, changed, roles=(Role.READING,), stage="predict")
    reader = create_reader(opened.config)
    lines = opened.trained_on()
    for line in lines:
        say(line)
    made_with = {
        "fingerprint": fingerprint(opened, request, reader),
        "program": f"nanonuclei {__version__}",
        "task": opened.config.task,
        "images": os.path.abspath(request.images),  # noqa: PTH100 - of a pattern too; links stay as they are
        "model": lines[0],
        "settings": told(changed),
        "channel": request.channel if request.channel is not None else reader.channel,
        "z": request.z,
        "axes": request.axes,
        "formats": list(request.formats),
    }
    return Begun(opened, reader, made_with)
