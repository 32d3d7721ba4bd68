"""What a call of `predict` asks for, and where its images and results lie."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nanonuclei.data.files.listing import RECORD, Refused, list_images
from nanonuclei.data.files.reading import stem
from nanonuclei.data.lists.manifest import is_manifest, read_manifest
from nanonuclei.data.lists.remote import Source, list_remote, path_of
from nanonuclei.errors import ConfigError, DataError, is_url, nearest_name
from nanonuclei.invocation import option
from nanonuclei.report.exports.readme import FORMATS

DEFAULT_FORMATS = ("csv", "labels", "overlay")


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
        images: An image, a folder that is searched with all its subfolders, a pattern such as ``plates/**/*.tif``, a
            manifest, see `read_manifest`, or a URL.
        model: See `serving.named.find_model`.
        output: Folder of the results; a URL of type str for many machines; None: beside the input, with the name of
            the objects, ``FOLDER-nuclei``.
        channel: Number from 0, or name, of the channel in which the objects are seen; None: as the model has it.
        z: Focal planes: ``max``, ``mean`` or the number of one.
        axes: What the axes of the files are, such as ``ZYX``; None: as each file says.
        formats: Of `FORMATS`.
        settings: Texts ``path=value`` that say how objects are read, such as ``windows.num_views=8``.
        submission: Whether to write ``submission.csv`` as the Data Science Bowl 2018 took it.
        resume: Whether to go on in a folder that holds results.
        address: Cluster that does the work, see `many.engine`; empty: one that is started on this machine.
        block: Images of one shard of the tables, on many machines.
    """

    images: str
    model: str
    output: Path | str | None = None
    channel: int | str | None = None
    z: int | str = "max"
    axes: str | None = None
    formats: Sequence[str] = DEFAULT_FORMATS
    settings: Sequence[str] = field(default=())
    submission: bool = False
    resume: bool = False
    address: str = ""
    block: int = 64


def parse_formats(text: str) -> tuple[str, ...]:
    """Reads names of formats with commas between them; the default where there is none.

    Raises:
        ConfigError: One is not known.
    """
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in FORMATS:
            raise ConfigError(f"unknown format {name!r}. {nearest_name(name, FORMATS)}")
    return tuple(name for name in FORMATS if name in (names or DEFAULT_FORMATS))


def parse_z(text: str) -> int | str:
    """Reads which focal planes are taken.

    Raises:
        ConfigError: It is neither ``max`` nor ``mean`` nor a number.
    """
    if text.isdecimal():
        return int(text)
    if text not in ("", "max", "mean"):
        raise ConfigError(f"z must be max, mean or the number of a focal plane from 0, got {text!r}")
    return text or "max"


def parse_axes(text: str) -> str | None:
    """Reads what the axes of files are, in capitals; None for an empty text.

    Raises:
        ConfigError: They are not the axes of an image.
    """
    axes = text.strip().upper()
    if axes and ("YX" not in axes or set(axes) - set("TZCYXS") or len(set(axes)) < len(axes)):
        raise ConfigError(
            f"axes must be letters of T, Z, C, S once each, with YX for rows and columns, got {text!r}. Write ZYX for "
            "focal planes, TYX for times"
        )
    return axes or None


def parse_place(text: str) -> Path | str | None:
    """Reads where results go: a folder, a URL as it is, None for an empty text."""
    return text if is_url(text) else Path(text) if text else None


def parse_block(text: str) -> int:
    """Reads how many images one shard holds.

    Raises:
        ConfigError: It is not a whole number from 1.
    """
    if not text:
        return Request.block
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"block must be a whole number of images from 1, got {text!r}")
    return int(text)


def parse_channel(text: str) -> int | str | None:
    """Reads the name or number of a channel; None for an empty text."""
    return int(text) if text.isdecimal() else text or None


def check_place(images: str) -> None:
    """Makes sure that a path without wildcards exists, before a model is opened; see `find_images` for all else.

    Raises:
        DataError: It does not.
    """
    if not (is_url(images) or any(sign in images for sign in "*?[") or Path(images).exists()):
        shown = images if images.isprintable() else ascii(images)
        raise DataError(f"{shown} does not exist. Name a folder of images, an image, or a pattern")


def check_free(output: Path, *, resume: bool, same: bool = True) -> None:
    """Makes sure that a folder of results is new, or to be gone on with.

    Args:
        output: The folder.
        resume: Whether to go on in a folder that holds results.
        same: Whether model and settings are those of the results there, or it is not known.

    Raises:
        ConfigError: It holds something else, or results, and `resume` was not asked for; or it would lie in a file.
    """
    if file := next((place for place in output.parents if place.is_file()), None):
        raise ConfigError(
            f"results are written to a new folder, but {output} cannot be one: {file} is a file. Name another with "
            f"`{option('output', 'FOLDER')}`"
        )
    if (output / RECORD).is_file():
        if not resume:
            over = "to do its images over, as model or settings were others (the input must hold all of them)"
            how = "to go on with it" if same else over
            raise ConfigError(
                f"{output} holds results of an earlier call. Add `{option('resume', 'true')}` {how}, or name another "
                f"folder with `{option('output', 'FOLDER')}`"
            )
    elif output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ConfigError(
            f"results are written to a new folder, but {output} exists. Name another with "
            f"`{option('output', 'FOLDER')}`, or remove it"
        )


def output_beside(images: str, noun: str) -> Path:
    """Returns the folder of results of an input: beside it, with the name of the objects at its end.

    Raises:
        ConfigError: The input is a URL.
    """
    if is_url(images):
        raise ConfigError(f"results of {images} need a place. Name one with `{option('output', 'FOLDER')}`")
    path = Path(images)
    if not path.exists():
        parts = path.parts
        fixed = next((place for place, part in enumerate(parts) if any(sign in part for sign in "*?[")), len(parts))
        path = Path(*parts[:fixed])
    whole = path.resolve()
    name = stem(whole.name) if path.is_file() else whole.name
    beside = path.parent if path.name not in ("", "..") else whole.parent
    return beside / f"{name}-{noun}"


def files_of(paths: Mapping[str, Source]) -> dict[str, str]:
    """Returns what tables call the files of an input, by the names of their results: the paths within the input."""
    return {name: "/".join(path_of(path).split("/")[-name.count("/") - 1 :]) for name, path in paths.items()}


def find_images(images: str, *, output: Path | str, say: Callable[[str], None] | None = None) -> dict[str, Source]:
    """Returns the images of an input by name, see `list_images`, without those in folders of results.

    Args:
        images: See `Request`.
        output: Folder of the results, which may lie in the input, or its URL.
        say: Told what the user should know of a manifest.

    Raises:
        DataError: There is none.
    """
    if is_manifest(images):
        return read_manifest(images, say=say)
    if is_url(images):
        return list_remote(images)
    own, results = Path(output).resolve(), {}
    found: dict[str, Source] = {}
    for name, path in list_images(images).items():
        if isinstance(path, Refused):
            found[name] = path
            continue
        parent = path.parent
        if parent not in results:
            around = [parent, *parent.parents]
            results[parent] = any((folder / RECORD).is_file() for folder in around) or own in [
                folder.resolve() for folder in around
            ]
        if not results[parent]:
            found[name] = path
    whole = Path(images).resolve()
    if not found and whole.exists() and own in [whole, *whole.parents]:
        raise DataError(
            f"results need a folder of their own, but {output} holds the images {images}. Name another output"
        )
    if not found:
        raise DataError(f"{images} holds results of earlier calls and no other image. Name the folder of the images")
    return found
