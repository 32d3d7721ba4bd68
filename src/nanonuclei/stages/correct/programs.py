"""What each annotation program is given of an image, and what the user is told to do there."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import cv2
import numpy as np

from nanonuclei.data.corrected.label_studio import DRAWN, LINES
from nanonuclei.data.corrected.manifest import PICTURES, PREDICTED
from nanonuclei.data.files.numeric import as_stored
from nanonuclei.imaging.types import Image, UInt8Array
from nanonuclei.report.exports.found import Found
from nanonuclei.report.exports.geojson import geojson
from nanonuclei.report.exports.imagej_roi import imagej_rois
from nanonuclei.report.exports.label_studio import interface, pre_annotations
from nanonuclei.report.exports.label_studio_lines import line_interface, vectors
from nanonuclei.report.exports.png import grey_png

IMAGES = "images"
"""Folder of the images as the network saw them, which a training reads."""

LOCAL_FILES = "/data/local-files/?d="
"""How a task refers to a file below the folder that LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT names."""

_DARK, _BRIGHT = 0.5, 99.8
"""Percentiles of an image that become black and white in a picture."""


@dataclass(frozen=True)
class Given:
    """What a program is given of one image.

    Attributes:
        files: By their paths within the folder.
        corrected: Path of the file that the program saves over; empty where it exports all images at once.
        task: Entry of Label Studio's tasks; None for other programs.
    """

    files: Mapping[str, bytes]
    corrected: str = ""
    task: dict[str, Any] | None = None


def _for_qupath(found: Found) -> Given:
    tree = json.loads(geojson(found))
    for feature in tree["features"]:  # QuPath's brush and wand change annotations alone
        feature["properties"] |= {"objectType": "annotation", "isLocked": False}
    name = f"{IMAGES}/{found.name}.geojson"
    content = (json.dumps(tree, ensure_ascii=False) + "\n").encode()
    return Given({**_images(found), name: content}, name)


def _for_fiji(found: Found) -> Given:
    name = f"{IMAGES}/{found.name}.zip"
    return Given({**_images(found), name: imagej_rois(found)}, name)


def _for_label_studio(found: Found) -> Given:
    lines = found.lines()
    if lines is None:
        results = pre_annotations(found.instances, noun=found.noun, prefix=found.name)
    else:
        results = vectors(lines, found)
    picture = f"{PICTURES}/{found.name}.png"
    height, width = found.image.shape[:2]
    data = {"image": LOCAL_FILES + quote(picture), "name": found.name, "height": height, "width": width}
    if lines is not None:
        data[DRAWN] = LINES
    task = {"data": data, "predictions": [{"result": results}]}
    return Given({**_images(found), picture: _png(stretched(found.image))}, task=task)


PROGRAMS: Mapping[str, Callable[[Found], Given]] = {
    "label-studio": _for_label_studio,
    "qupath": _for_qupath,
    "fiji": _for_fiji,
}
"""The programs, by their names on the command line."""

HOW = {
    "label-studio": """Label Studio
  1. Start it so that it finds the pictures:
     LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT=<this folder> label-studio
  2. Make a project; paste labelling.xml under Settings > Labeling Interface > Code.
  3. Settings > Cloud Storage > Add Source Storage > Local files, with the path of the folder pictures; do not sync.
  4. Import tasks.json. The least certain images come first.
  5. Correct and submit. Images that you do not submit are left out.
  6. Export as JSON, and put the file into this folder.""",
    "qupath": """QuPath
  1. Open an image of the folder images; order.csv tells which first. Drag the .geojson beside it onto it.
  2. Correct the annotations with the brush or the wand; delete false ones; draw missing ones.
  3. File > Export objects as GeoJSON, all objects, and save over the .geojson beside the image.
  Images whose .geojson nobody saved are left out.""",
    "fiji": """Fiji, ImageJ
  1. Open an image of the folder images; order.csv tells which first. Drag the .zip beside it onto Fiji.
  2. Correct the regions in the ROI manager: Update for a changed one, Add [t] for a new one, Delete.
  3. ROI manager > More > Save, all regions, over the .zip beside the image.
  Images whose .zip nobody saved are left out.""",
}
"""What to do in each program, where objects are areas."""

_DOUBTFUL = "A line that may be an object or not: class or label it Doubtful, and it counts neither way."
_NONE = """Of an image in which there is none, save the file without a line; or add a row with its name and nothing more
  to a table lines.csv in this folder, with the columns image,tube,uncertain,polyline."""

HOW_LINES = {
    "label-studio": HOW["label-studio"].replace(
        "5. Correct and submit.", "5. Move points of the vectors, delete false vectors, draw missing ones; submit."
    )
    + f"""
  A picture that you submit without a vector says that there is none.
  {_DOUBTFUL}""",
    "qupath": f"""QuPath
  1. Open an image of the folder images; order.csv tells which first. Drag the .geojson beside it onto it.
  2. Delete false lines; draw missing ones from end to end with the line or the polyline tool.
  3. File > Export objects as GeoJSON, all objects, and save over the .geojson beside the image.
  Images whose .geojson nobody saved are left out. {_DOUBTFUL}
  {_NONE}""",
    "fiji": f"""Fiji, ImageJ
  1. Open an image of the folder images; order.csv tells which first. Drag the .zip beside it onto Fiji.
  2. Correct the lines in the ROI manager: Delete for a false one, Update for a moved one; draw missing ones from end to
     end with the straight, segmented or freehand line tool, and Add [t].
  3. ROI manager > More > Save, all regions, over the .zip beside the image.
  Images whose .zip nobody saved are left out.
  A line that may be an object or not: rename it Doubtful, and it counts neither way.
  {_NONE}""",
}
"""The same, where objects are lines."""


def labelling_interface(noun: str, as_lines: bool) -> str:
    """Returns the labelling interface of a project of Label Studio, for areas or for lines."""
    return line_interface(noun) if as_lines else interface(noun)


def stretched(image: Image) -> UInt8Array:
    """Returns a picture of 8 bit with the contrast stretched, for people to look at."""
    low, high = np.percentile(image, (_DARK, _BRIGHT))
    scaled = (image.astype(np.float32) - np.float32(low)) * np.float32(255.0 / max(float(high - low), 1e-9))
    return np.asarray(np.clip(np.rint(scaled), 0, 255), np.uint8)


def _images(found: Found) -> dict[str, bytes]:
    return {
        f"{IMAGES}/{found.name}.png": _png(as_stored(found.image)),
        **_predicted(found),
    }


def _predicted(found: Found) -> dict[str, bytes]:
    """Returns what was found: a label image, or the points of lines, the first pixel's corner being 0, 0."""
    lines = found.lines()
    if lines is None:
        return {f"{PREDICTED}/{found.name}.png": grey_png(found.instances.pixels().astype(np.uint16))}
    return {f"{PREDICTED}/{found.name}.json": (json.dumps(lines) + "\n").encode()}


def _png(image: Image) -> bytes:
    if image.ndim == 2:
        return grey_png(image)
    return bytes(cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes())
