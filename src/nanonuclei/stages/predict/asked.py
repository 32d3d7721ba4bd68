"""Are the channels and focal plane that a call asks for in any of its images: looked at before anything is written."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from nanonuclei.data.contents import Contents, contents
from nanonuclei.data.files.planes.channels import channel_index
from nanonuclei.data.files.planes.projection import check_z
from nanonuclei.data.lists.remote import Source, content_at, path_of
from nanonuclei.errors import DataError
from nanonuclei.stages.predict.request import Request
from nanonuclei.tasks.base import Reader


def check_asked(request: Request, reader: Reader, paths: Mapping[str, Source]) -> None:
    """Makes sure that an image has the channels and the focal plane which are read.

    Files that cannot be read are passed over, as they become rows with their errors; so do images that lack what
    others have. The look ends at the first image that has it; URLs are not looked at.

    Args:
        request: What is asked for.
        reader: Of the model, which may itself name channels.
        paths: Images by the names of their results.

    Raises:
        DataError: None has. The message is that of the first image.
    """
    channel = reader.channel if request.channel is None else request.channel
    further = reader.further_channels
    if channel is None and not further and not isinstance(request.z, int):
        return
    lacking: list[str] = []
    for path in paths.values():
        if isinstance(path, str):
            return
        there: list[Contents] = []
        with contextlib.suppress(Exception):  # whatever is wrong with one file must not cost the others
            there = contents(content_at(path), name=path_of(path), axes=request.axes)
        for image in there:
            try:
                if channel is not None:
                    channel_index(image.channel_names, channel, colour=image.colour)
                for setting, one in further.items():
                    channel_index(image.channel_names, one, setting=setting)
                check_z(request.z, image.num_planes)
            except DataError as error:
                lacking.append("; ".join(filter(None, (f"{path_of(path)}: {error}", image.unsaid))))
            else:
                return
    if lacking:
        others = len(lacking) - 1
        also = f". {others:,} more image{'s lack' if others > 1 else ' lacks'} it too" if others else ""
        raise DataError(f"{lacking[0]}{also}")
