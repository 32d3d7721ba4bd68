"""What is told of servers that do not answer, and how their files are had without them."""

from __future__ import annotations

from nanonuclei.errors import DataError
from nanonuclei.invocation import option


def elsewhere() -> str:
    """Returns the remedy without a network."""
    return f"download the zip on another machine and give it as `{option('source', 'ZIP')}`"


def unreachable(url: str, error: BaseException) -> DataError:
    """Returns the error that tells that a server does not answer."""
    return DataError(f"{url} cannot be reached ({one_line(error)}). Go online, or {elsewhere()}")


def one_line(error: BaseException) -> str:
    """Returns why a connection failed: its innermost error says so; the outer ones repeat the address."""
    error = getattr(error.args[0] if error.args else None, "reason", None) or error
    return " ".join(str(error).split()) or type(error).__name__
