"""The true nanotubes of one prepared image: written beside the catalog's images and labels, read by the task.

The folder of a prepared dataset holds, beside what `catalog.py` puts there, `tubes/<id>.json` for every sample, and
`nuclei/<id>.png` and `cells/<id>.png` where the images have a channel of nuclei and where the cells are known.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from nanonuclei.data.catalog import Sample, SampleRef, sample_digest, write_sample
from nanonuclei.errors import DataError
from nanonuclei.imaging.types import Float32Array, Image, Labels
from nanonuclei.tasks.nanotubes.lines.line import Line

Kind = Literal["mask", "boxes", "patch"]

_AGAIN = "Run the prepare stage again"


def no_boxes() -> Float32Array:
    """Returns ``(0, 4)`` float32."""
    return np.zeros((0, 4), np.float32)


@dataclass(frozen=True)
class TubeTruth:
    """The nanotubes of one image, as far as somebody marked them.

    Attributes:
        kind: ``mask``: every pixel is known; ``boxes``: a rectangle about each; ``patch``: only whether there is one.
        labels: ``(height, width)`` uint16, 0 background, 1..n the nanotubes. Boxes are filled rectangles, the later
            over the earlier; a patch that holds a nanotube is 1 all over.
        lines: With ``mask``, the centre line of each nanotube, in order of the labels; else empty.
        joins: With ``mask``, the labels of the two cells that each line begins and ends at, 0 where that is not known.
        pixel_size: Side of a pixel in micrometres; None where the file does not tell.
        num_cells: Cells in the image; None where that is not known.
        boxes: With ``boxes``, ``(n, 4)`` float32 y0, x0, y1, x1 in px, half open; else ``(0, 4)``.
        doubtful: Centre lines of what may be a nanotube: in training and in scores they count neither way. They are
            not among `labels`.
    """

    kind: Kind
    labels: Labels
    lines: tuple[Line, ...]
    joins: tuple[tuple[int, int], ...]
    pixel_size: float | None
    num_cells: int | None
    boxes: Float32Array = field(default_factory=no_boxes)
    doubtful: tuple[Line, ...] = ()


@dataclass(frozen=True)
class TubeSample:
    """One image of a dataset with its nanotubes, in memory.

    Attributes:
        sample_id: Name, unique in the dataset, safe as a file name.
        image: ``(height, width)`` uint8 or uint16, the channel that nanotubes are seen in.
        truth: Its nanotubes.
        group: Name of the field of view; images of one field never part in a split.
        nuclei: ``(height, width)`` uint8 or uint16, the channel of the nuclei; None where there is none.
        cells: ``(height, width)`` uint16, 0 background, 1..n the cells; None where they are not known.
        file: The image within the dataset, for messages; empty where it was drawn.
    """

    sample_id: str
    image: Image
    truth: TubeTruth
    group: str
    nuclei: Image | None = None
    cells: Labels | None = None
    file: str = ""

    def digest(self) -> str:
        """Returns 16 hex digits over all that is written of the sample."""
        digest = hashlib.sha256(sample_digest(self.image, self.truth.labels).encode())
        for extra in (self.nuclei, self.cells):
            digest.update(b"-" if extra is None else sample_digest(extra, extra).encode())
        digest.update(_as_json(self.truth).encode())
        return digest.hexdigest()[:16]


def write_tube_sample(folder: Path, sample: TubeSample) -> None:
    """Writes one sample below a folder that is not yet in use.

    Args:
        folder: The folder of the prepared dataset.
        sample: What to write.

    Raises:
        DataError: An array is no image.
    """
    write_sample(folder, Sample(sample.sample_id, sample.image, sample.truth.labels))
    path = truth_path(folder, sample.sample_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_as_json(sample.truth) + "\n", encoding="utf-8")
    for path, array in (
        (nuclei_path(folder, sample.sample_id), sample.nuclei),
        (cells_path(folder, sample.sample_id), sample.cells),
    ):
        if array is None:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        ok, data = cv2.imencode(".png", array, [cv2.IMWRITE_PNG_COMPRESSION, 3])
        if not ok:
            raise DataError(f"cannot encode {path.name}: shape {array.shape}, type {array.dtype}. Save it as grey")
        path.write_bytes(data.tobytes())


def tube_truth(sample: SampleRef) -> TubeTruth:
    """Reads what is true of a prepared sample.

    Raises:
        DataError: Its files are missing or broken.
    """
    path = truth_path(_folder(sample), sample.sample_id)
    try:
        truth: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return TubeTruth(
            kind=truth["kind"],
            labels=sample.labels(),
            lines=_lines(truth["lines"]),
            joins=tuple((int(line["cells"][0]), int(line["cells"][1])) for line in truth["lines"]),
            pixel_size=truth["pixel_size"],
            num_cells=truth["num_cells"],
            boxes=np.array(truth["boxes"], np.float32).reshape(-1, 4),
            doubtful=_lines(truth.get("doubtful", [])),
        )
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise DataError(f"{path} must hold the nanotubes of {sample.sample_id}, but {error!r}. {_AGAIN}") from error


def nuclei_image(sample: SampleRef) -> Image | None:
    """Reads the channel of the nuclei: ``(height, width)`` uint8 or uint16; None where the sample has none.

    Raises:
        DataError: The file is broken.
    """
    return _optional(nuclei_path(_folder(sample), sample.sample_id))


def truth_path(folder: Path, sample_id: str) -> Path:
    """Where the lines, boxes and figures of a prepared sample lie."""
    return folder / "tubes" / f"{sample_id}.json"


def nuclei_path(folder: Path, sample_id: str) -> Path:
    """Where the channel of the nuclei lies."""
    return folder / "nuclei" / f"{sample_id}.png"


def cells_path(folder: Path, sample_id: str) -> Path:
    """Where the label map of the cells lies."""
    return folder / "cells" / f"{sample_id}.png"


def _folder(sample: SampleRef) -> Path:
    return sample.image_path.parent.parent


def _as_json(truth: TubeTruth) -> str:
    """Lays out all but the labels; coordinates with a resolution of 0.001 px."""
    lines = [
        {"points": _rounded(line.points), "width": round(line.width, 4), "cells": list(cells)}
        for line, cells in zip(truth.lines, truth.joins, strict=True)
    ]
    tree: dict[str, Any] = {
        "kind": truth.kind,
        "pixel_size": truth.pixel_size,
        "num_cells": truth.num_cells,
        "boxes": _rounded(truth.boxes),
        "lines": lines,
    }
    if truth.doubtful:
        tree["doubtful"] = [{"points": _rounded(line.points), "width": round(line.width, 4)} for line in truth.doubtful]
    return json.dumps(tree, allow_nan=False, separators=(",", ":"))


def _lines(tree: list[dict[str, Any]]) -> tuple[Line, ...]:
    return tuple(Line(np.array(line["points"], np.float32).reshape(-1, 2), float(line["width"])) for line in tree)


def _rounded(points: NDArray[np.float32]) -> list[list[float]]:
    rounded: list[list[float]] = np.round(points.astype(np.float64), 3).tolist()
    return rounded


def _optional(path: Path) -> Image | None:
    if not path.is_file():
        return None
    image: Image | None = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise DataError(f"{path} is not an image. {_AGAIN}")
    return image
