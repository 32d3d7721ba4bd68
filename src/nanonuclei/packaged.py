"""Where the package comes from: its copies of `params.yaml` and `recipes/`, and what installs more of its parts."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shlex
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

NAME = "nanonuclei"
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


def with_sources(environment: Mapping[str, str]) -> dict[str, str]:
    """Returns environment variables with which another process of Python finds this package, installed or not."""
    path = os.pathsep.join(filter(None, (str(PACKAGED.parents[1]), environment.get("PYTHONPATH"))))
    return {**environment, "PYTHONPATH": path}


def how_to_install(extras: str) -> str:
    """Returns the command that installs further parts of the package where it is installed, from where it came.

    Args:
        extras: Names of extras of `pyproject.toml`, separated by commas.
    """
    if (CLONE / "pyproject.toml").is_file():
        return f"uv pip install -r {shlex.quote(str(CLONE / 'requirements.txt'))}"
    source = _source()
    receipt = Path(sys.prefix) / "uv-receipt.toml"
    if receipt.is_file():  # `uv tool install` made the environment, and makes it anew: with the extras that it has
        extras = ",".join(sorted({*extras.split(","), *_extras_of(receipt)}))
        what = f"{source.removeprefix('file://')}[{extras}]" if source.startswith("file://") else _named(extras, source)
        return f'uv tool install --force "{what}"'
    return f'pip install "{_named(extras, source)}"'


def _extras_of(receipt: Path) -> list[str]:
    """Returns the extras with which uv installed this package as a tool."""
    try:
        wanted = tomllib.loads(receipt.read_text(encoding="utf-8"))["tool"]["requirements"]
        return [str(extra) for one in wanted if one.get("name") == NAME for extra in one.get("extras", [])]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []


def _named(extras: str, source: str) -> str:
    return f"{NAME}[{extras}] @ {source}" if source else f"{NAME}[{extras}]"


def _source() -> str:
    """Returns the URL from which the package was installed; empty where it came from a package index."""
    try:
        text = importlib.metadata.distribution(NAME).read_text("direct_url.json")
        found = json.loads(text or "{}")
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return ""
    url = str(found.get("url", ""))
    version = found.get("vcs_info", {})
    return f"{version['vcs']}+{url}" if version.get("vcs") else url
