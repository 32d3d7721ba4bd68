"""The prepared dataset: an image and a label map per sample on disk, and the table of what and where they are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np

from nanonuclei.errors import DataError
from nanonuclei.imaging.types import Image, Labels

if TYPE_CHECKING:
    import pandas as pd

SPLITS = ("train", "val", "test")
TABLE = "catalog.csv"
SUMMARY = "catalog.json"


@dataclass(frozen=True)
class Sample:
    """One image with its objects, in memory.

    Attributes:
        sample_id: Name, unique in the dataset, safe as a file name.
        image: ``(height, width)`` or ``(height, width, 3)`` RGB, uint8 or uint16.
        labels: ``(height, width)`` uint16, 0 background, 1..n the objects.
    """

    sample_id: str
    image: Image
    labels: Labels


@dataclass(frozen=True)
class BadSample:
    """Something in a dataset that cannot be used.

    Attributes:
        sample_id: The sample it belongs to.
        file: The file within the dataset, as the user finds it.
        problem: What is wrong, in a few words.
    """

    sample_id: str
    file: str
    problem: str


@dataclass(frozen=True)
class SampleRef:
    """One row of a catalog: where a prepared sample lies and what is known of it.

    Attributes:
        num_objects: Objects in the label map.
        field: Number of the field of view that the image was cut from.
        digest: 16 hex digits over image and labels.
    """

    sample_id: str
    image_path: Path
    labels_path: Path
    height: int
    width: int
    modality: str
    num_objects: int
    field: int
    split: Literal["train", "val", "test"]
    digest: str

    def image(self) -> Image:
        """Reads the image: ``(height, width)`` or ``(height, width, 3)`` RGB, uint8 or uint16."""
        image = _read_png(self.image_path)
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if image.ndim == 3 else image

    def labels(self) -> Labels:
        """Reads the label map: ``(height, width)`` uint16."""
        return _read_png(self.labels_path)


@dataclass(frozen=True)
class Catalog:
    """A prepared dataset.

    Attributes:
        name: Name of the dataset, such as ``dsb2018`` or ``simulated``.
        fingerprint: 32 hex digits over the content of all samples, whatever their split.
        samples: Sorted by sample id.
    """

    name: str
    fingerprint: str
    samples: tuple[SampleRef, ...]

    def split(self, split: str) -> tuple[SampleRef, ...]:
        """Returns the samples of one split, sorted by id."""
        return tuple(sample for sample in self.samples if sample.split == split)

    def digest(self, split: str) -> str:
        """Returns 32 hex digits over the content of one split."""
        return content_fingerprint((s.sample_id, s.digest) for s in self.split(split))

    def split_fingerprint(self) -> str:
        """Returns 32 hex digits over which sample, with which content, is in which split."""
        return fingerprint_of_table(self.table())

    def table(self) -> pd.DataFrame:
        """Returns one row per sample, without paths: what `catalog.csv` holds."""
        import pandas as pd

        rows = [
            {
                "sample_id": s.sample_id,
                "height": s.height,
                "width": s.width,
                "modality": s.modality,
                "num_objects": s.num_objects,
                "field": s.field,
                "split": s.split,
                "digest": s.digest,
            }
            for s in self.samples
        ]
        return pd.DataFrame(rows)

    def split_table(self) -> pd.DataFrame:
        """Returns images, fields and objects per modality and split."""
        groups = self.table().groupby(["modality", "split"], sort=True)
        counts = groups.agg(
            images=("sample_id", "size"), fields=("field", "nunique"), objects=("num_objects", "sum")
        ).reset_index()
        order = {split: place for place, split in enumerate(SPLITS)}
        return counts.sort_values(["modality", "split"], key=lambda c: c.map(order) if c.name == "split" else c)


def sample_digest(image: Image, labels: Labels) -> str:
    """Returns 16 hex digits over shape, type and content of an image and its labels."""
    digest = hashlib.sha256()
    for array in (image, labels):
        digest.update(f"{array.shape}{array.dtype}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def content_fingerprint(digests: Iterable[tuple[str, str]]) -> str:
    """Returns 32 hex digits over (sample id, digest) pairs, in whatever order they come."""
    return _digest(f"{sample_id} {digest}" for sample_id, digest in sorted(digests))


def fingerprint_of_table(table: pd.DataFrame) -> str:
    """Returns the split fingerprint of a catalog's table as `Catalog.table` gives it."""
    rows = zip(table["sample_id"], table["digest"], table["split"], strict=True)
    return _digest(f"{sample_id} {digest} {split}" for sample_id, digest, split in rows)


def image_path(folder: Path, sample_id: str) -> Path:
    """Where a prepared image lies."""
    return folder / "images" / f"{sample_id}.png"


def labels_path(folder: Path, sample_id: str) -> Path:
    """Where a prepared label map lies."""
    return folder / "labels" / f"{sample_id}.png"


def write_sample(folder: Path, sample: Sample) -> None:
    """Writes image and labels of one sample as PNG below a folder that is not yet in use."""
    for path, array in (
        (image_path(folder, sample.sample_id), sample.image),
        (labels_path(folder, sample.sample_id), sample.labels),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        if array.ndim == 3:
            array = cv2.cvtColor(array, cv2.COLOR_RGB2BGR)
        ok, data = cv2.imencode(".png", array, [cv2.IMWRITE_PNG_COMPRESSION, 3])
        if not ok:
            raise DataError(f"cannot encode {path.name}: shape {array.shape}, type {array.dtype}")
        path.write_bytes(data.tobytes())


def save_catalog(catalog: Catalog, folder: Path) -> None:
    """Writes the table and the summary of a catalog; the summary last, so its presence means complete."""
    catalog.table().to_csv(folder / TABLE, index=False)
    summary = {
        "name": catalog.name,
        "fingerprint": catalog.fingerprint,
        "split_fingerprint": catalog.split_fingerprint(),
        "num_samples": len(catalog.samples),
        "num_samples_by_split": {split: len(catalog.split(split)) for split in SPLITS},
    }
    (folder / SUMMARY).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


def load_catalog(folder: Path) -> Catalog:
    """Reads a prepared dataset's table; the images stay on disk.

    Raises:
        DataError: The folder holds no complete prepared dataset.
    """
    import pandas as pd  # takes half a second, which a mistyped command need not wait for

    try:
        summary = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
        rows = pd.read_csv(folder / TABLE, dtype={"sample_id": str, "digest": str, "modality": str})
        samples: Sequence[SampleRef] = [
            SampleRef(
                sample_id=row["sample_id"],
                image_path=image_path(folder, row["sample_id"]),
                labels_path=labels_path(folder, row["sample_id"]),
                height=int(row["height"]),
                width=int(row["width"]),
                modality=row["modality"],
                num_objects=int(row["num_objects"]),
                field=int(row["field"]),
                split=row["split"],
                digest=row["digest"],
            )
            for row in rows.to_dict("records")
        ]
        return Catalog(summary["name"], summary["fingerprint"], tuple(samples))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{folder} holds no prepared dataset ({error}). Remove it, and run the prepare stage again"
        ) from error


def _digest(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]


def _read_png(path: Path) -> Image:
    try:
        image: Image | None = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    except (OSError, cv2.error) as error:
        raise DataError(f"cannot read {path}: {error}. Run the prepare stage again") from error
    if image is None:
        raise DataError(f"{path} is not an image. Run the prepare stage again")
    return image
