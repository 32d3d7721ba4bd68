"""The copies of `params.yaml` and `recipes/` that come with the package, for working directories without their own."""

from __future__ import annotations

from pathlib import Path

PACKAGED = Path(__file__).parent / "defaults"
"""Where `setup.py` puts the copies in a wheel."""
CLONE = Path(__file__).parents[2]
"""The repository, where the package is run from a clone."""


def with_shipped(path: Path) -> Path:
    """Returns the file to read for a path such as ``params.yaml`` or ``recipes/unet.yaml``.

    A file in the working directory comes first, then the copy in the installed package, then the file of the clone.

    Args:
        path: Absolute paths, and files that exist, are returned unchanged.
    """
    if path.is_absolute() or path.exists() or not (path.name == "params.yaml" or path.parts[0] == "recipes"):
        return path
    return next((folder / path for folder in (PACKAGED, CLONE) if (folder / path).exists()), path)
