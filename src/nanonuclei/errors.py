"""Errors that a user can mend: the message is shown as it is, without a traceback, and the program exits with 2."""

from __future__ import annotations

import difflib
import errno
import re
from collections.abc import Iterable

_PASSWORD = re.compile(r"(://[^:/@\s\[]*):(?!\d{1,5}[/?#])[^\s@]+@(?:[^\s@/]*@)*")
"""The password may hold ``/`` and ``@``, as databases take it so; a port with a path behind it is none."""
_SECRET = re.compile(
    r"([?&][\w.-]*(?:password|passwd|passphrase|pwd|secret|token|signature|access_?key|api_?key|\bsig)[\w.-]*=)[^&#\s'\"]+",
    re.IGNORECASE,
)
"""A value of the query of an address, by a name that says that it is secret."""
_TOKEN = re.compile(r"(https?://)[^:/@\s]+@")
"""A name without a password in an address of the web is a token: git hosts take one so."""


class NanonucleiError(Exception):
    """Something the user can mend. The message names the invariant, the value received and the remedy."""


class ConfigError(NanonucleiError):
    """A setting, recipe or parameter file is not valid."""


class DataError(NanonucleiError):
    """A dataset, an image or a label map is missing, broken or not what it claims to be."""


class TrackingError(NanonucleiError):
    """A run, a model or the tracking server is not there or not in the state that is needed."""


class DoneAlreadyError(TrackingError):
    """What was asked for is so already, as after a command that was killed at its very end: told, and no failure."""


class ExportError(NanonucleiError):
    """A network cannot be given the form that serving needs."""


UNUSABLE = {
    errno.ENOSPC: "Free space",
    errno.EDQUOT: "Free space",
    errno.EFBIG: "Free space",
    errno.EROFS: "Write elsewhere",
    errno.EACCES: "Give yourself the right to",
    errno.EPERM: "Give yourself the right to",
    errno.ENAMETOOLONG: "Shorten the name",
    errno.ELOOP: "Remove the link that leads back to itself",
}
"""What a user can do about an error of the operating system, by its number."""


def unusable(error: BaseException) -> DataError | None:
    """Returns the error to tell where a disk, a right or a name is at fault; None where something else is wrong.

    Args:
        error: Any. What writes files explains its errors itself; this is for what libraries write.
    """
    if isinstance(error, OSError) and error.errno in UNUSABLE:
        name = str(error.filename)[:200] if error.filename else "a file"
        return DataError(f"cannot use {name}: {error.strerror}. {UNUSABLE[error.errno]}")
    if isinstance(error, RuntimeError) and str(error).startswith("Symlink loop"):  # of `pathlib`
        return DataError(f"a path must lead somewhere: {str(error)[:200]}. {UNUSABLE[errno.ELOOP]}")
    return None


def is_url(place: object) -> bool:
    """Returns whether a place is an address, such as ``https://host/a.zip``."""
    return isinstance(place, str) and "://" in place


def check_local(name: str, place: str) -> None:
    """Makes sure that what is read from this machine alone is not named by an address.

    Args:
        name: What it is, for the message.
        place: As the user wrote it.

    Raises:
        DataError: It is an address.
    """
    if is_url(place):
        remedy = "Leave out file://" if place.startswith("file://") else "Download it first, and name what you got"
        raise DataError(f"{name} must lie on this machine, but {without_password(place)[:200]} is an address. {remedy}")


def nearest_name(name: str, known: Iterable[str]) -> str:
    """Returns a hint for a mistyped name: the nearest known ones, or all of them where none is near.

    Args:
        name: What was asked for.
        known: The names that would have been valid.

    Returns:
        One sentence without a leading space, such as ``Did you mean train.epochs?``.
    """
    names = sorted(set(known))
    return similar_name(name, names) or (f"Known: {', '.join(names)}." if names else "None is known.")


def similar_name(name: str, known: Iterable[str]) -> str:
    """Returns a hint as `nearest_name` does; empty where no known name is near."""
    close = difflib.get_close_matches(name, sorted(set(known)), n=3, cutoff=0.6)
    return f"Did you mean {' or '.join(close)}?" if close else ""


def without_password(text: str) -> str:
    """Returns a text whose URLs show ``***`` in place of a password or token, also in their query."""
    return _SECRET.sub(r"\1***", _TOKEN.sub(r"\1***@", _PASSWORD.sub(r"\1:***@", text)))
