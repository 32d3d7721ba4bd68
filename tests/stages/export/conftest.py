"""A package of the model that comes along, written once, and the scripts of benchmarks/."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tests.conftest import ROOT

if (FOLDER := str(ROOT / "benchmarks")) not in sys.path:
    sys.path.append(FOLDER)


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The package of the model that comes along, and what `export` said."""
    from nanonuclei.stages.export.export import export
    from nanonuclei.stages.export.request import Publication

    said: list[str] = []
    path = tmp_path_factory.mktemp("package") / "nuclei.zip"
    export("nuclei", path, publication=Publication(("A. Person",), "CC-BY-4.0"), say=said.append)
    return path, said
