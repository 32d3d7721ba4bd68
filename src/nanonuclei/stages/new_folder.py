"""Folders of prepared images that appear whole or not at all, whoever else is making the same one."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from nanonuclei.data.catalog import SUMMARY
from nanonuclei.stages.places import SCRATCH


def put(partial: Path, output: Path, *, cached: bool) -> bool:
    """Moves a folder of prepared images to its place.

    Args:
        partial: The folder, whole.
        output: Its place.
        cached: Whether the name tells all that the files depend on. If so, a whole folder that another process has put
            there meanwhile stays, as it holds the same and may be in use; else it is replaced.

    Returns:
        Whether it was moved.
    """
    if not cached:
        shutil.rmtree(output, ignore_errors=True)
    try:
        partial.replace(output)
    except OSError:  # it is there already
        if cached and is_whole(output):
            return False
        shutil.rmtree(output, ignore_errors=True)
        partial.replace(output)
    return True


def is_whole(folder: Path) -> bool:
    """Tells whether a folder holds prepared images; the summary is written last, before the folder appears."""
    return (folder / SUMMARY).is_file()


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Keeps several processes that begin at once from preparing the same images: the others wait for the first.

    Where that fails, no empty folder is left behind.
    """
    lock = SCRATCH / "prepared.lock"
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock):
            yield
    except BaseException:
        for remove in (lock.unlink, (SCRATCH / "prepared").rmdir, SCRATCH.rmdir):
            with contextlib.suppress(OSError):  # not empty, or not there
                remove()
        raise
