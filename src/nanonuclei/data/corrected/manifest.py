"""What a folder of images to correct tells of itself, so that what comes back can be compared with the prediction."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nanonuclei.errors import DataError

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
    """

    to: str
    written: Mapping[str, str] = field(default_factory=dict)

    def text(self) -> str:
        """Returns the file's content."""
        return json.dumps({"format": FORMAT, "to": self.to, "written": dict(self.written)}, indent=1) + "\n"

    def is_untouched(self, name: str, content: bytes) -> bool:
        """Returns whether a file is as it was written: nobody saved it since."""
        return self.written.get(name) == digest(content)


def read_manifest(content: bytes) -> Manifest:
    """Reads what `Manifest.text` wrote.

    Raises:
        DataError: It is of a newer format, or damaged.
    """
    try:
        tree: dict[str, Any] = json.loads(content)
        if tree["format"] != FORMAT:
            raise DataError(f"{MANIFEST} has format {tree['format']}, known is {FORMAT}. Update nanonuclei")
        return Manifest(str(tree["to"]), {str(name): str(value) for name, value in tree["written"].items()})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{MANIFEST} is damaged. Remove it, or write the folder again with correct") from error


def digest(content: bytes) -> str:
    """Returns the SHA-256 of a file's content."""
    return hashlib.sha256(content).hexdigest()
