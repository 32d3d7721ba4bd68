"""README.txt of a folder of results: what each file and column is, in which unit, and how to open it elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from nanonuclei.report.exports.measures import STATISTICS
from nanonuclei.report.exports.tables import IMAGE

FORMATS = {
    "csv": "objects.csv: one row per object of all images; objects/NAME.csv: the same, image by image",
    "parquet": "objects.parquet: the same table with types, for pandas, R and DuckDB",
    "geojson": "geojson/NAME.geojson: objects for QuPath, with their measurements",
    "roi": "roi/NAME.zip: regions for the ROI manager of Fiji and ImageJ, named by the label of the object",
    "labels": "labels/NAME.png: label images, 16 bit, 0 background, n the object with label n; .tif (32 bit) where an "
    "image has more than 65,535 objects",
    "overlay": "overlay/NAME.png: the image with its objects outlined, to look at",
}
"""What can be written, by its name, and what the reader of a folder is told of it."""

COLUMNS = {
    IMAGE: "name of the image: its path within the input, without suffix; text, joins objects to images.csv",
    "label": "number of the object within its image; value of its pixels in the label image",
    "centroid_y": "middle of the object, from the top, px; the middle of the first pixel is 0",
    "centroid_x": "middle of the object, from the left, px",
    "y0": "top of the box, px",
    "x0": "left of the box, px",
    "y1": "bottom of the box, px, the first row below the object",
    "x1": "right of the box, px, the first column beyond the object",
    "area": "number of pixels, px^2",
    "equivalent_diameter": "diameter of the circle of the same area, px",
    "perimeter": "length of the outline through the middles of border pixels, px",
    "circularity": "4 pi area / perimeter^2, at most 1; 1 for a circle",
    "eccentricity": "of the ellipse with the same second moments; 0 for a circle, near 1 for a line",
    "orientation": "angle of the long axis to the vertical, -pi/2 to pi/2, counter-clockwise, radians",
    "solidity": "area / area of the convex hull",
    "touches_border": "True where the object touches the border of the image and may be cut",
    "score": "certainty of the model, 0 to 1; not a probability",
    "area_um2": "area, square micrometres",
}
"""What every task tells of an object."""

OF_IMAGES = {
    IMAGE: "as in objects.csv",
    "file": "the file that was read: its path within the input",
    "height": "px",
    "width": "px",
    "pixel_size_um": "side of a pixel, micrometres; empty where the file does not tell",
    "num_objects": "number of objects",
    "choice": "which channel, focal planes, time were taken of the file, where there was a choice",
    "unlike_training": "in what the image looks unlike each training image; empty where it looks like one, or is "
    "large and was read by windows",
    "images_in_file": "how many images the file holds: one for each recording and time",
    "file_state": "bytes of the file and nanoseconds from 1970 to its last change: with resume, a file with others is "
    "done over; empty for a URL",
    "error": "why there is no result; empty where there is one",
    "fingerprint": "of the model and the settings of this call; rows of one fingerprint can be compared",
}
"""Columns of images.csv; others are those of the task."""

_HOW = dict(zip(STATISTICS, ("mean", "median", "standard deviation", "sum"), strict=True))


def readme(
    *,
    head: Sequence[str],
    formats: Sequence[str],
    columns: Sequence[str],
    texts: Mapping[str, tuple[str, str]],
    measures: Mapping[str, str] = MappingProxyType({}),
    layers: Mapping[str, str] = MappingProxyType({}),
    shards: bool = False,
) -> str:
    """Lays out the text.

    Args:
        head: Lines on the model and the call.
        formats: Of `FORMATS`, those in the folder.
        columns: Of the table of objects.
        texts: Meaning and unit of the columns of the task.
        measures: Columns of the table of images that are the task's own, and what they are.
        layers: Label images that are the task's own, and what they show.
        shards: Whether tables are folders of Parquet files, one per block of images.
    """
    table = "images" if shards else "images.csv"
    lines = [*head, "", "FILES (NAME is the name of an image, with its folders)"]
    if shards:
        lines += ["  images/*.parquet: one row per image", "  objects/*.parquet: one row per object"]
    else:
        lines += ["  images.csv: one row per image", "  predict.log: one line per image, with its time"]
    lines += [f"  {FORMATS[name]}" for name in FORMATS if name in formats and not (shards and name == "parquet")]
    if "labels" in formats:
        lines += [f"  {name}/NAME.png: label images as in labels, of {text}" for name, text in layers.items()]
    if "overlay" in formats:
        lines += [f"  overlay/NAME.png shows {name} too: thin lines, with their numbers" for name in layers]
    of_images = {**OF_IMAGES, **measures}
    lines += ["", f"COLUMNS OF {table}", *(f"  {name}: {text}" for name, text in of_images.items())]
    if columns:
        lines += ["", "COLUMNS OF THE TABLE OF OBJECTS", *(f"  {name}: {meaning(name, texts)}" for name in columns)]
    lines += ["", "HOW TO OPEN"]
    if shards:
        lines.append(
            '  pandas: pandas.concat(pandas.read_parquet(path) for path in sorted(Path("objects").iterdir())); a shard '
            "has columns for the channels of its own images."
        )
    else:
        lines += [
            '  pandas: pandas.read_csv("objects.csv", dtype={"image": str}) keeps a name such as 01 as it is;',
            "  images.csv is read in the same way.",
            "  Excel: Data > From Text/CSV; set the column image to Text.",
        ]
    if "geojson" in formats:
        lines.append(
            "  QuPath: open the image, then drag geojson/NAME.geojson onto it, or File > Import objects from file. "
            "Measure > Show detection measurements lists the figures."
        )
    if "roi" in formats:
        lines.append("  Fiji, ImageJ: open the image, then drag roi/NAME.zip onto Fiji, or ROI Manager > More > Open.")
    if "labels" in formats:
        lines.append(
            "  Label images look black: in Fiji choose Image > Lookup Tables > glasbey; in napari open them as labels; "
            "in QuPath import the GeoJSON instead."
        )
    return "\n".join(lines) + "\n"


def meaning(column: str, texts: Mapping[str, tuple[str, str]]) -> str:
    """Returns what a column of the table of objects is, with its unit.

    Args:
        column: Its name.
        texts: Meaning and unit of the columns of the task.
    """
    if column in COLUMNS:
        return COLUMNS[column]
    if column in texts:
        return ", ".join(part for part in texts[column] if part)
    if column.endswith("_um"):
        return f"{column.removesuffix('_um')}, micrometres"
    how, _, channel = column.partition("_")
    if how in _HOW and channel:
        return f"{_HOW[how]} of the light in channel {channel}, in the numbers of the file"
    return "a figure of the task"
