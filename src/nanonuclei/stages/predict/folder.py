"""A folder of results is made, or taken up again: one call at a time, and all results by one model and settings."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from nanonuclei.config.params import flatten
from nanonuclei.data.files.listing import RECORD
from nanonuclei.errors import ConfigError
from nanonuclei.invocation import option
from nanonuclei.serving.folder import CONFIG, NETWORK
from nanonuclei.serving.named import OpenedModel
from nanonuclei.serving.shipped.provenance import NO_ANSWER_NEEDS, PROVENANCE, file_sha256, starts_with
from nanonuclei.stages.predict.progress import IMAGES_DONE
from nanonuclei.stages.predict.record import IMAGES, ImagesTable
from nanonuclei.stages.predict.request import Request, check_free
from nanonuclei.tasks.base import Reader
from nanonuclei.writing import HELD, PARTIAL, WritingError, remove_partial, write_text

FORMAT = 1
"""Version of the files in a folder of results; a change of their content raises it."""

LOCK = f"{PARTIAL}{HELD}"
"""File that is locked, and there, while a call is at work."""


def fingerprint(opened: OpenedModel, request: Request, reader: Reader) -> str:
    """Returns 12 hex digits over all that decides what is written of an image."""
    folder = opened.named.folder
    skipped = (*NO_ANSWER_NEEDS, PROVENANCE, NETWORK, CONFIG)
    files = {
        path.name: file_sha256(path)
        for path in sorted(folder.iterdir())
        if path.is_file() and not starts_with(path.name, skipped)
    }
    asked = {
        "format": FORMAT,
        "files": files,
        "config": flatten(opened.config),
        "channel": request.channel,
        "z": request.z,
        **({"axes": request.axes} if request.axes else {}),
        "formats": sorted(request.formats),
        "submission": request.submission,
        **({"layers": sorted(reader.layers)} if reader.layers else {}),
    }
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:12]


@contextlib.contextmanager
def open_folder(
    output: Path, made_with: Mapping[str, Any], *, files: Collection[str], resume: bool
) -> Iterator[list[str]]:
    """Makes a folder of results, or takes up one that is there; no other call writes to it meanwhile.

    A new one in which no image has a row yet is removed again where anything is raised.

    Args:
        output: The folder.
        made_with: What it is made with; at least ``fingerprint`` and ``formats``.
        files: Of the input, see `files_of`.
        resume: Whether to go on in a folder that holds results.

    Yields:
        What the user should know, a line each.

    Raises:
        ConfigError: The folder holds something else, or results, and `resume` was not asked for; or results of another
            model or other settings whose images are not in the input; or another call is at work in it.
        DataError: The disk is full, the folder cannot be written, or its table of images was damaged.
    """
    record, lines = output / RECORD, []
    again = record.is_file()
    before = _read(record) if again else {}
    check_free(output, resume=resume, same=not again or before.get("fingerprint") == made_with["fingerprint"])
    if resume and not again:
        lines.append(f"{output} holds no results yet: all images are done.")
    made = [folder for folder in (output, *output.parents) if not folder.exists()]
    try:
        with _alone(output):
            try:
                if again:
                    if over := _done_over(output, made_with, files, before):
                        lines.append(over)
                    remove_partial(output)
                write_text(record, json.dumps(dict(made_with), indent=2, ensure_ascii=False) + "\n")
                yield lines
            except BaseException:
                if not again and not (output / IMAGES).is_file():
                    _empty(output)
                raise
    except BaseException:
        for folder in made:
            with contextlib.suppress(OSError):  # not empty, or not there
                folder.rmdir()
        raise


def _done_over(output: Path, made_with: Mapping[str, Any], files: Collection[str], before: Mapping[str, Any]) -> str:
    """Tells which results in a folder this call makes anew, in one line; nothing where there are none.

    Raises:
        ConfigError: The images of some are not in the input, so that results of several settings would be mixed.
        DataError: The table of images was damaged.
    """
    otherwise = ImagesTable(output, fingerprint=made_with["fingerprint"]).otherwise()
    if absent := sum(file not in files for file in otherwise.values()):
        raise ConfigError(
            f"all results in a folder must be made with one model, settings and formats, but {output} holds those of "
            f"{IMAGES_DONE.count(absent)} not in the input, made otherwise. Name another folder with "
            f"`{option('output', 'FOLDER')}`, or an input with all of its images"
        )
    if not otherwise:
        return ""
    dropped = [name for name in before.get("formats", ()) if name not in made_with["formats"]]
    removed = f", and what is no longer asked for is removed: {', '.join(dropped)}" if dropped else ""
    over = "1 of its images is" if len(otherwise) == 1 else f"{len(otherwise):,} of its images are"
    return f"{output} was made with another model, other settings or formats: {over} done over{removed}."


def _empty(output: Path) -> None:
    """Removes what stands in a folder of results, but the lock."""
    for path in output.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != LOCK:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def _alone(output: Path) -> Iterator[None]:
    """Holds a folder of results, as two calls at once would drop each other's rows."""
    lock = FileLock(output / LOCK, blocking=False)
    try:
        output.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise ConfigError(
            f"one call at a time writes to a folder, but another is at work in {output}. Wait for its end, or name "
            f"another folder with `{option('output', 'FOLDER')}`"
        ) from error
    except OSError as error:
        raise WritingError(
            f"cannot write {output / LOCK}: {error.strerror or error}. Free space or rights in {output}"
        ) from error
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            (output / LOCK).unlink()
        lock.release()


def _read(record: Path) -> dict[str, Any]:
    try:
        tree = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return tree if isinstance(tree, dict) else {}
