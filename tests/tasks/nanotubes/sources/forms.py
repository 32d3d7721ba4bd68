"""One dataset of nanotubes in every form that people keep annotations in."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import tifffile

from nanonuclei.data.catalog import BadSample
from nanonuclei.tasks.nanotubes.data_config import ChannelsConfig
from nanonuclei.tasks.nanotubes.sources.images import read_tnt
from nanonuclei.tasks.nanotubes.sources.samples import TubeSample

SHAPE = (60, 80)
CHANNELS = ChannelsConfig(tubes=0, nuclei="none")


def noise(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 255, SHAPE).astype(np.uint8)


def tube_mask(value: int = 255) -> np.ndarray:
    """Two horizontal nanotubes, 40 and 20 px long."""
    mask = np.zeros(SHAPE, np.uint8)
    mask[10:12, 10:50] = value
    mask[30:32, 20:40] = value
    return mask


def put(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".tif":
        tifffile.imwrite(path, image)
    else:
        assert cv2.imwrite(str(path), image)


def read(path: Path, channels: ChannelsConfig = CHANNELS) -> tuple[dict[str, TubeSample], list[BadSample]]:
    items = list(read_tnt(path, channels))
    samples = {item.sample_id: item for item in items if isinstance(item, TubeSample)}
    return samples, [item for item in items if isinstance(item, BadSample)]


def masks(folder: Path) -> None:
    for number, name in enumerate(("a.png", "b.tif", "c.jpg")):
        put(folder / "images" / name, noise(number))
        put(folder / "masks" / name.replace("jpg", "png"), tube_mask() if number < 2 else np.zeros(SHAPE, np.uint8))


def as_table(folder: Path) -> None:
    for name in ("a.png", "b.tif", "c.jpg"):
        put(folder / name, noise())
    rows = "a.png,10,10,12,50\na.png,30,20,32,40\nb.tif,9.5,10,12.25,50\nb.tif,30,20,32,40\nc.jpg,,,,\n"
    (folder / "boxes.csv").write_text("image,y0,x0,y1,x1\n" + rows)


def as_coco(folder: Path) -> None:
    for name in ("a.png", "b.tif", "c.jpg", "unseen.png"):
        put(folder / "pictures" / name, noise())
    names = ("a.png", "b.tif", "c.jpg")
    images = [{"id": number, "file_name": name, "height": 60, "width": 80} for number, name in enumerate(names)]
    boxes = [[10, 10, 40, 2], [20, 30, 20, 2]]
    annotations = [
        {"id": 2 * image + number, "image_id": image, "category_id": 1, "bbox": box}
        for image in range(2)
        for number, box in enumerate(boxes)
    ]
    tree = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "TNT"}]}
    (folder / "instances.json").write_text(json.dumps(tree))


def as_labelme(folder: Path) -> None:
    for number, name in enumerate(("a.png", "b.tif", "c.jpg")):
        put(folder / name, noise())
        shapes = [
            {"label": "TNT", "shape_type": "rectangle", "points": [[x0, y0], [x0 + length, y0 + 2]]}
            for y0, x0, length in ((10, 10, 40), (30, 20, 20))
        ]
        tree = {"imagePath": name, "imageHeight": 60, "imageWidth": 80, "shapes": shapes if number < 2 else []}
        (folder / f"{name[0]}.json").write_text(json.dumps(tree))


def as_label_studio(folder: Path) -> None:
    tasks = []
    for number, name in enumerate(("a.png", "b.tif", "c.jpg")):
        put(folder / "images" / name, noise())
        regions = [
            {
                "type": "rectanglelabels",
                "original_width": 80,
                "original_height": 60,
                "image_rotation": 0,
                "value": {
                    "x": 100 * x0 / 80,
                    "y": 100 * y0 / 60,
                    "width": 100 * length / 80,
                    "height": 200 / 60,
                    "rotation": 0,
                    "rectanglelabels": ["TNT"],
                },
            }
            for y0, x0, length in ((10, 10, 40), (30, 20, 20))
        ]
        answer = {"result": regions if number < 2 else [], "was_cancelled": False, "updated_at": "2026"}
        data = {"image": f"/data/local-files/?d=images/{name}"}
        tasks.append({"id": number, "data": data, "annotations": [answer]})
    (folder / "export.json").write_text(json.dumps(tasks))


FORMS = {
    "masks": masks,
    "table": as_table,
    "coco": as_coco,
    "labelme": as_labelme,
    "label studio": as_label_studio,
}
