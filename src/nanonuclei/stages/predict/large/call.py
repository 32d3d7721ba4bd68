"""One large image from its file to its results."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nanonuclei.errors import DataError
from nanonuclei.imaging.networks import Network
from nanonuclei.imaging.seams.grid import MARGIN, SIDE, Grid
from nanonuclei.stages.predict.large.finding import find_objects
from nanonuclei.stages.predict.large.windows import LargeImage
from nanonuclei.stages.predict.large.writing_out import LargeResults
from nanonuclei.stages.predict.results import Results
from nanonuclei.tasks.base import Reader
from nanonuclei.writing import PARTIAL


@dataclass(frozen=True)
class LargeCall:
    """What is done of one image of which windows are read.

    Attributes:
        name: Of the image.
        image: The image.
        reader: Of the task.
        results: Where to.
        window: Side of a window, and px that neighbouring windows share on each side; None: as the task has it.
    """

    name: str
    image: LargeImage
    reader: Reader
    results: Results
    window: tuple[int, int] | None = None

    def run(self, network: Network) -> tuple[dict[str, Any], list[str]]:
        """Finds the objects of the image and writes its results.

        Returns:
            What is told of the image in its row, and the paths of its files within the folder of results.

        Raises:
            DataError: The image is damaged, the disk is full, or the competition's file is asked for.
        """
        if self.results.submission:
            raise DataError(f"{self.image.path}: submission.csv holds no image of this size. Leave the submission out")
        grid = Grid(self.image.shape, *(self.window or self.reader.window or (SIDE, MARGIN)))
        self.results.folder.mkdir(parents=True, exist_ok=True)
        place = tempfile.TemporaryDirectory(dir=self.results.folder, prefix=PARTIAL)
        with place as folder, self.image.opened() as windows:
            file = Path(folder) / "labels"
            objects = find_objects(windows, self.reader, network, grid=grid, file=file)
            written = LargeResults(self.name, windows, objects, self.reader, self.image.pixel_size)
            paths, areas = written.write(self.results)
        row = {
            "height": self.image.shape[0],
            "width": self.image.shape[1],
            "pixel_size_um": self.image.pixel_size,
            "num_objects": len(objects.found.boxes),
            "choice": self.image.sentence,
            **self.reader.measures(areas, shown=objects.shown),
            **objects.found.measures,
        }
        return row, paths
