"""Data sets for `fetch`: a good one, and such as have met with an accident or are meant to do harm."""

from __future__ import annotations

import functools
import io
import random
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tests.data.files.synthetic import LABELS, NUCLEI, opencv
from tests.hostile.damage import damaged, files

MASKED = (1, 2, 3)
"""Labels whose nuclei have a mask file in each sample."""
IMAGES = {"a": "grey.png", "b": "raw.tif", "c": "colour.jpg"}
"""Sample to its image in `damage.files`."""


@functools.cache
def parts() -> dict[str, bytes]:
    """Returns the files of the good data set."""
    found = {}
    for sample, name in IMAGES.items():
        found[f"{sample}/images/{sample}.{name.split('.')[-1]}"] = files()[name]
        for label in MASKED:
            mask = np.where(label == LABELS, 255, 0).astype(np.uint8)
            found[f"{sample}/masks/{label}.png"] = opencv(mask, ".png")
    return found


@functools.cache
def truth() -> dict[str, np.ndarray]:
    """Returns the pixels of each sample's image."""
    from nanonuclei.data.files.reading import read_single

    return {sample: read_single(files()[name]) for sample, name in IMAGES.items()}


@dataclass(frozen=True)
class Source:
    """What `fetch` is given.

    Attributes:
        source: A zip or a folder.
        what: What was done to it.
        num_samples: That it holds; each must be answered, or be told.
        unknowable: Samples of which no reader can know that something is wrong.
    """

    source: Path
    what: str
    num_samples: int = 3
    unknowable: frozenset[str] = frozenset()

    def is_right(self, sample: str, image: np.ndarray, labels: np.ndarray) -> bool:
        """Tells whether pixels and nuclei are what they were, as far as anyone can know."""
        if sample in self.unknowable:
            return True
        expected = len(MASKED)
        return sample in truth() and np.array_equal(image, truth()[sample]) and int(labels.max()) == expected


def good(path: Path) -> Path:
    """Writes the good data set, in another order of bytes than it is packed in."""
    path.write_bytes(packed(parts()))
    return path


def packed(found: dict[str, bytes], *, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Returns a zip."""
    with io.BytesIO() as stream:
        with zipfile.ZipFile(stream, "w", compression) as archive:
            for name, content in found.items():
                archive.writestr(name, content)
        return stream.getvalue()


def hostile(rng: random.Random, folder: Path) -> Source:
    """Draws an accident."""
    what = rng.choice(list(KINDS))
    return KINDS[what](rng, folder, what)


def _written(folder: Path, content: bytes, what: str, **known: object) -> Source:
    path = folder / "hostile.zip"
    path.write_bytes(content)
    return Source(path, what, **known)  # type: ignore[arg-type]


def _cut(rng: random.Random, folder: Path, what: str) -> Source:
    content = packed(parts())
    return _written(folder, content[: len(content) * rng.randrange(10) // 10], what)


def _flipped(rng: random.Random, folder: Path, what: str) -> Source:
    content = bytearray(packed(parts(), compression=rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])))
    for _ in range(rng.randint(1, 4)):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    return _written(folder, bytes(content), what)


def _damaged_image(rng: random.Random, folder: Path, what: str) -> Source:
    """One image is damaged; the zip is whole."""
    sample, case = rng.choice("abc"), damaged(rng)
    changed = {name: content for name, content in parts().items() if not name.startswith(f"{sample}/images/")}
    changed[f"{sample}/images/{case.name}"] = case.content
    other = frozenset({sample}) if not case.knowable or case.original != IMAGES[sample] else frozenset()
    return _as_given(rng, folder, changed, f"{what} {case.name}", unknowable=other)


def _damaged_mask(rng: random.Random, folder: Path, what: str) -> Source:
    sample, changed = rng.choice("abc"), dict(parts())
    name = f"{sample}/masks/{rng.choice(MASKED)}.png"
    content = changed[name]
    place = rng.randrange(len(content))
    changed[name] = content[:place] if rng.random() < 0.5 else content[:place] + b"\xff" + content[place + 2 :]
    return _as_given(rng, folder, changed, what)


def _as_given(rng: random.Random, folder: Path, found: dict[str, bytes], what: str, **known: object) -> Source:
    """Writes a zip or a folder."""
    if rng.random() < 0.5:
        return _written(folder, packed(found), what, **known)
    top = folder / "hostile"
    for name, content in found.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(content)
    return Source(top, what, **known)  # type: ignore[arg-type]


NAMES = ("../{}", "/{}", "C:/{}", "a/../../{}", "x\x01{}", "x\n{}", "..\\{}", "\\\\host\\{}")


def _bad_name(rng: random.Random, folder: Path, what: str) -> Source:
    pattern = rng.choice(NAMES)
    changed = {**parts(), pattern.format("d/images/d.png"): files()["grey.png"]}
    content = packed(changed).replace(b"x\x01d/", b"x\x00d/")  # Python writes no name with a zero in it
    return _written(folder, content, f"{what} {pattern!r}", num_samples=4)


def _link(rng: random.Random, folder: Path, what: str) -> Source:
    """A link out of the data set in the place of an image, in a zip or a folder."""
    if rng.random() < 0.5:
        with io.BytesIO(packed(parts())) as stream:
            with zipfile.ZipFile(stream, "a") as archive:
                entry = zipfile.ZipInfo("d/images/d.png")
                entry.create_system, entry.external_attr = 3, 0o120777 << 16
                archive.writestr(entry, "/etc/passwd")
            return _written(folder, stream.getvalue(), what, num_samples=4)
    top = folder / "hostile"
    for name, content in parts().items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(content)
    secret = folder / "secret.png"
    secret.write_bytes(opencv(NUCLEI[::-1], ".png"))
    (top / "a" / "images" / "a.png").unlink()
    (top / "a" / "images" / "a.png").symlink_to(secret)
    return Source(top, what)


def _bomb(rng: random.Random, folder: Path, what: str) -> Source:
    kind = rng.randrange(3)
    if kind == 0:  # one file that becomes huge
        changed = {**parts(), "d/images/d.png": bytes(2**26)}
    elif kind == 1:  # an image that becomes huge
        changed = {**parts(), "d/images/d.png": opencv(np.zeros((17_000, 17_000), np.uint8), ".png")}
    else:  # many empty ones
        changed = {**parts(), **{f"{number}/masks/x.png": b"" for number in range(2000)}}
    return _written(folder, packed(changed), what, num_samples=4)


def _no_archive(rng: random.Random, folder: Path, what: str) -> Source:
    contents = [b"", b"PK\x05\x06" + bytes(18), rng.randbytes(3000), b"<html>", packed({}), packed({"a/": b""})]
    return _written(folder, rng.choice(contents), what)


def _encrypted(rng: random.Random, folder: Path, what: str) -> Source:
    content = bytearray(packed(parts()))
    place = content.find(b"PK\x01\x02")
    content[place + 8] |= 1
    return _written(folder, bytes(content), what)


def _whole(rng: random.Random, folder: Path, what: str) -> Source:
    return _as_given(rng, folder, parts(), what)


KINDS: dict[str, Callable[[random.Random, Path, str], Source]] = {
    "cut": _cut,
    "flipped": _flipped,
    "a damaged image": _damaged_image,
    "another damaged image": _damaged_image,
    "a damaged mask": _damaged_mask,
    "a bad name": _bad_name,
    "a link": _link,
    "a bomb": _bomb,
    "no archive": _no_archive,
    "encrypted": _encrypted,
    "whole": _whole,
}
