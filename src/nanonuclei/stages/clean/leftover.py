"""What is left over, and how it is removed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Leftover:
    """One thing that is left over.

    Attributes:
        kind: ``run``, ``temporary``, ``scratch`` or ``prepared``.
        name: A run's id or a path.
        reason: Why nobody needs it.
        remove: Removes it.
        size: Bytes on disk.
    """

    kind: str
    name: str
    reason: str
    remove: Callable[[], object]
    size: int = 0


def of_path(kind: str, path: Path, reason: str) -> Leftover:
    """Returns a file or folder that is left over."""
    return Leftover(kind, path.as_posix(), reason, lambda: _remove(path), _size(path))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _size(path: Path) -> int:
    if not path.is_dir() or path.is_symlink():
        return path.lstat().st_size
    return sum(
        Path(folder, name).lstat().st_size for folder, _, names in os.walk(path, followlinks=False) for name in names
    )
