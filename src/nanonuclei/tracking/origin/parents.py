"""The model that a training began with, compared with what is here of it now."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import mlflow

from nanonuclei.data.versions import file_md5

NETWORKS = ("network.keras", "network.onnx")
"""Files of a model that hold its network, in the order in which a training takes them."""

SHIPPED = Path("models")
"""Where models lie that come along with the project."""


def compare_parent(recorded: Mapping[str, str]) -> tuple[Literal["holds", "broken", "unknown"], str] | None:
    """Returns verdict and reason; None where the training began anew.

    Args:
        recorded: What a run recorded, see `tracking.facts`.
    """
    if "parent" not in recorded:
        return None
    name, wanted = recorded["parent"], recorded["parent_md5"]
    told = f"the training began with {name}, whose network has md5 {wanted}"
    folder = _folder(name)
    files = [folder / file for file in NETWORKS if (folder / file).is_file()]
    if not files:
        return "unknown", f"{told}; it is not here"
    found = file_md5(files[0])
    return ("holds", told) if found == wanted else ("broken", f"{told}; now it has {found}")


def _folder(name: str) -> Path:
    if ":/" in name:
        return Path(mlflow.artifacts.download_artifacts(name)) / "artifacts"
    along = SHIPPED / name
    return along if along.is_dir() else Path(name)
