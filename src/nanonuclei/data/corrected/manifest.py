"""What a folder of images to correct tells of itself, so that what comes back can be compared with the prediction."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nanonuclei.errors import DataError
from nanonuclei.invocation import command

MANIFEST = "nanonuclei-correct.json"
PREDICTED, PICTURES = "predicted", "pictures"
"""Folders of the objects as the program shows them, as label images, and of pictures with the contrast stretched."""

FORMAT = 1


@dataclass(frozen=True)
class Manifest:
    """What was written for an annotation program.

    Attributes:
        to: The program.
        written: SHA-256 of each file that holds objects to correct, by its path: a file with other bytes was saved.
        dataset: What the folder becomes when it is fetched; empty where an earlier version wrote it.
    """

    to: str
    written: Mapping[str, str] = field(default_factory=dict)
    dataset: str = ""

    def text(self) -> str:
        """Returns the file's content."""
        tree = {"format": FORMAT, "to": self.to, "dataset": self.dataset, "written": dict(self.written)}
        return json.dumps(tree, indent=1) + "\n"

    def check(self, dataset: str) -> None:
        """Makes sure that the folder is fetched as what it holds.

        Raises:
            DataError: It holds objects of another kind.
        """
        if self.dataset not in ("", dataset):
            again = command("fetch", dataset=self.dataset, source="FOLDER_OR_ZIP")
            raise DataError(f"a folder of {self.dataset} must not be fetched as {dataset}. Use `{again}`")

    def is_untouched(self, name: str, content: bytes) -> bool:
        """Returns whether a file is as it was written: nobody saved it since."""
        return self.written.get(name) == digest(content)


def check_is_whole(path: Path) -> None:
    """Makes sure that a folder of corrections is not a part of one, in which nothing tells what was corrected.

    Raises:
        DataError: It lies in a folder that `correct` wrote.
    """
    for folder in () if (path / MANIFEST).is_file() else path.absolute().parents:
        if (folder / MANIFEST).is_file():
            raise DataError(
                f"{path} is a part of what correct wrote: {MANIFEST} beside it tells what was corrected. Fetch {folder}"
            )


def read_manifest(content: bytes) -> Manifest:
    """Reads what `Manifest.text` wrote.

    Raises:
        DataError: It is of a newer format, or damaged.
    """
    try:
        tree: dict[str, Any] = json.loads(content)
        if tree["format"] != FORMAT:
            raise DataError(f"{MANIFEST} has format {tree['format']}, known is {FORMAT}. Update nanonuclei")
        written = {str(name): str(value) for name, value in tree["written"].items()}
        return Manifest(str(tree["to"]), written, str(tree.get("dataset", "")))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{MANIFEST} is damaged. Remove it, or write the folder again with correct") from error


def digest(content: bytes) -> str:
    """Returns the SHA-256 of a file's content."""
    return hashlib.sha256(content).hexdigest()
