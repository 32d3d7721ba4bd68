"""What other tools are told of a network that finds nanotubes: one that marks lines, or one that scores windows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from nanonuclei.errors import TrackingError
from nanonuclei.imaging.types import Image, UInt8Array
from nanonuclei.imaging.window_geometry import read_geometry
from nanonuclei.invocation import command
from nanonuclei.tasks.exchange import Channel, Described, Exchange, Operator, Output, Sizes
from nanonuclei.tasks.nanotubes.config import LINE, NanotubeExperiment
from nanonuclei.tasks.nanotubes.lines.light import brightest_channel
from nanonuclei.tasks.nanotubes.reader import GEOMETRY
from nanonuclei.tasks.nanotubes.score import METRIC_NAMES

READ_OUT = (
    "nanonuclei.errors",
    "nanonuclei.imaging.types",
    "nanonuclei.imaging.instances",
    "nanonuclei.imaging.distances",
    *(
        f"nanonuclei.tasks.nanotubes.lines.{name}"
        for name in (
            *("line", "ridges", "following", "rules", "candidates"),
            *("cell_bodies", "levels", "marked", "detection"),
        )
    ),
)
"""What the read-out imports, each after those that it imports."""


class NanotubeExchange(Exchange):
    """A U-Net that marks centre lines, with candidates read off them; or a classifier that scores windows."""

    config: NanotubeExperiment
    metric_names = METRIC_NAMES

    def described(self, files: Mapping[str, Path], num_channels: int) -> Described:
        """Returns what the network takes and answers.

        Raises:
            TrackingError: It is not known how the windows of a scanning network lie.
        """
        return self._marking() if self.config.network.answer == LINE else self._scanning(files)

    def _marking(self) -> Described:
        step = 2**self.config.network.depth
        operator = Operator(
            module="nanonuclei.tasks.nanotubes.zoo.read_out",
            name="ReadOut",
            inlined=READ_OUT,
            only_types=("nanonuclei.tasks.nanotubes.config",),
            settings=self.config.tubes.model_dump(),
            channels=("number of the nanotube", "score of the nanotube"),
            packages=("numpy", "opencv-python-headless", "scipy", "scikit-image"),
        )
        maps = (Channel("centre line", 0), Channel("image", 0, of="image"))
        advice = (
            "The grey values pass through the network beside its scores, since the read-out follows lines in both.",
            "Cells are found in the same image by their light. The program of this model can take them from a channel "
            "of nuclei instead, and tells length, width and ends of each line; a label image cannot.",
        )
        return Described(
            colours=("grey",),
            sizes=Sizes(2 * step, step),
            output=Output(
                "lines", "Scores of centre lines beside the image, and after the read-out the lines", maps, operator
            ),
            structures=("tunneling nanotubes",),
            kind="detection",
            advice=advice,
        )

    def _scanning(self, files: Mapping[str, Path]) -> Described:
        if GEOMETRY not in files:
            raise TrackingError(
                f"a network that scans must tell how its windows lie, but the model has no {GEOMETRY}. Log it again "
                f"with `{command('train', task=self.config.task)}`"
            )
        geometry = read_geometry(files[GEOMETRY].read_text(encoding="utf-8"))
        lost = geometry.patch // geometry.stride - 1
        advice = (
            f"The score at row r and column c is that of the window of {geometry.window} px that begins "
            f"{geometry.margin} px below and right of pixel ({geometry.stride} r, {geometry.stride} c). Mirror the "
            f"image by {geometry.margin} px at its borders to score them too.",
            "Lines between cells are read off the scores and the image together, which an operator of one output "
            "cannot see: this package holds the scores of windows. The program of this model reads the lines.",
        )
        maps = Output("maps", "Score of each window, 0 to 1", (Channel("window", 0),))
        return Described(
            colours=("grey",),
            sizes=Sizes(geometry.patch, geometry.stride, geometry.stride, lost),
            output=maps,
            structures=("tunneling nanotubes",),
            kind="detection",
            advice=advice,
        )

    def shown(self, image: Image) -> UInt8Array:
        """Returns the grey image ``(height, width)``: of a colour image each pixel's brightest colour."""
        return np.asarray(brightest_channel(image), np.uint8)
