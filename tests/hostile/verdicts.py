"""Runs one hostile case and judges what came of it: right, refused, of unknown truth, or a fault."""

from __future__ import annotations

import base64
import contextlib
import json
import random
import resource
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tests.hostile import archives, bodies
from tests.hostile.damage import Damaged, damaged, files

from nanonuclei.data.catalog import BadSample
from nanonuclei.data.files.reading import iter_image_file
from nanonuclei.errors import DataError, NanonucleiError
from nanonuclei.serving.guard import read_request
from nanonuclei.serving.images import decode, examine
from nanonuclei.serving.refusal import Refused
from nanonuclei.tasks.nuclei.sources.dsb2018 import DSB2018_ARCHIVE, read_dsb2018
from nanonuclei.tasks.nuclei.sources.fetch import fetch_dsb2018

MOST_SECONDS, MOST_BYTES = 60.0, 1_500_000_000
MOST_PIXELS = 2**22
PARAMETERS = ("threshold", "num_views", "return")
RIGHT, REFUSED, UNKNOWN = "right", "refused", "unknown truth"


@dataclass(frozen=True)
class Verdict:
    """What came of a case.

    Attributes:
        number: Of the case.
        target: ``reader``, ``fetch`` or ``server``.
        outcome: `RIGHT`, `REFUSED`, `UNKNOWN`, or what is wrong.
        seconds: That it took.
    """

    number: int
    target: str
    outcome: str
    seconds: float

    @property
    def is_fault(self) -> bool:
        """Whether something is wrong."""
        return self.outcome not in (RIGHT, REFUSED, UNKNOWN)


def judge(number: int) -> Verdict:
    """Runs a case; equal numbers are equal cases."""
    rng = random.Random(number)
    target, run = TARGETS[number % len(TARGETS)]
    before, started = peak_bytes(), time.perf_counter()
    try:
        with tempfile.TemporaryDirectory() as folder:
            outcome = run(rng, Path(folder))
    except NanonucleiError as error:
        outcome = f"refused where it should not be: {error}"
    except Exception as error:
        outcome = f"{type(error).__name__}: {str(error)[:200]}"
    seconds = time.perf_counter() - started
    if seconds > MOST_SECONDS:
        outcome = f"took {seconds:.0f} s"
    if (peak := peak_bytes()) > max(MOST_BYTES, before):
        outcome = f"took {peak / 1e9:.1f} GB"
    return Verdict(number, target, outcome, seconds)


def peak_bytes() -> int:
    """Returns the most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _read(rng: random.Random, folder: Path) -> str:
    """The reader of image files, from a path."""
    case = damaged(rng)
    path = folder / case.name
    path.write_bytes(case.content)
    try:
        found = [plane.image for plane in iter_image_file(path)]
    except DataError as error:
        return _refusal(str(error), case, path.name)
    return _compared(found, case)


def _compared(found: list[np.ndarray], case: Damaged) -> str:
    """Judges the pixels of an answer."""
    if not case.original:
        return UNKNOWN
    whole = [plane.image for plane in iter_image_file(files()[case.original], name="whole")]
    if len(found) == len(whole) and all(map(np.array_equal, found, whole)):
        return RIGHT
    return f"silently wrong: {case.name} of {len(case.content)} bytes" if case.knowable else UNKNOWN


def _refusal(said: str, case: Damaged, name: str) -> str:
    if name not in said or "\n" in said:
        return f"refused without its name, or in several lines: {said[:200]}"
    if case.original and case.content == files()[case.original]:
        return f"a whole file is refused: {said[:200]}"
    return REFUSED


def _fetch(rng: random.Random, folder: Path) -> str:
    """`fetch`, with a good data set already in place."""
    data = folder / "data"
    target = data / DSB2018_ARCHIVE
    fetch_dsb2018(str(archives.good(folder / "good.zip")), data, report=lambda _: None)
    before = target.read_bytes()
    case = archives.hostile(rng, folder)
    told: list[str] = []
    try:
        fetch_dsb2018(str(case.source), data, report=told.append)
    except DataError as error:
        if target.read_bytes() != before:
            return "a refused source has replaced the good data set"
        return REFUSED if case.source.name in str(error) else f"refused without its name: {str(error)[:200]}"
    if list(target.parent.glob("partial-*")):
        return "leaves a temporary file"
    rows = list(read_dsb2018(target))
    bad = [row for row in rows if isinstance(row, BadSample)]
    good = [row for row in rows if not isinstance(row, BadSample)]
    untold = [row.sample_id for row in bad[:_TOLD_SINGLY] if not any(row.sample_id in line for line in told)]
    if untold:
        return f"bad samples are not told: {untold}"
    wrong = [row.sample_id for row in good if not case.is_right(row.sample_id, row.image, row.labels)]
    if wrong:
        return f"silently wrong: {wrong} of {case.what}"
    if len(rows) < case.num_samples:
        return f"silently wrong: {case.num_samples - len(rows)} samples have vanished in {case.what}"
    return RIGHT


def _serve(rng: random.Random, folder: Path) -> str:
    """A request to the server: from its body to pixels."""
    image = damaged(rng) if rng.random() < 0.6 else None
    body = bodies.body(rng, image.content if image else files()["grey.png"])
    if image is not None and rng.random() < 0.7:
        text = base64.b64encode(image.content).decode()
        body = json.dumps({"dataframe_split": {"columns": ["image"], "data": [[text]]}}).encode()
        with contextlib.suppress(Refused):  # what the format of the request has no place for, the reader judges
            found = _pixels(body)
            return UNKNOWN if image.original in ("", *_SEVERAL) else _compared_single(found, image)
        return _refused(body, named="image 0")
    with contextlib.suppress(Refused):
        _pixels(body)
        return RIGHT
    return _refused(body, named="")


_TOLD_SINGLY = 5
"""Bad samples that a message names; of more it tells the number."""
_SEVERAL = ("channels.ome.tif", "film.tif")


def _compared_single(found: list[np.ndarray], case: Damaged) -> str:
    return _compared([np.squeeze(image) for image in found], case)


def _pixels(body: bytes) -> list[np.ndarray]:
    images, _ = read_request(body, parameters=PARAMETERS)
    return [decode(image) for image in examine(images, max_pixels=MOST_PIXELS)]


def _refused(body: bytes, *, named: str) -> str:
    """Judges the sentence of a refusal."""
    try:
        _pixels(body)
    except Refused as error:
        status, sentence = error.get_http_status_code(), error.message
    else:
        return "answered and refused in turn"
    if not 400 <= status < 500:
        return f"status {status}: {sentence[:200]}"
    if "\n" in sentence or len(sentence) > 500 or "/tmp" in sentence or "Traceback" in sentence:
        return f"a bad sentence: {sentence[:200]}"
    told = named in sentence or "px together" in sentence
    return REFUSED if told else f"refused without its name: {sentence[:200]}"


TARGETS = [("reader", _read), ("server", _serve), ("reader", _read), ("fetch", _fetch), ("reader", _read)]
"""Case n goes to the target at n modulo their number."""
