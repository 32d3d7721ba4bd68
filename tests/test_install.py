"""The package as a wheel: its command, and the files that it brings along, outside of any clone."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"


def run(*words: str | Path, cwd: Path, code: int = 0) -> str:
    """Runs a command without this checkout on the path of modules; returns what it printed."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "MLFLOW_"))}
    done = subprocess.run(words, cwd=cwd, env=kept, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of a package that was built, installed into an environment of its own, and sees the dependencies."""
    folder = tmp_path_factory.mktemp("installed")
    source = folder / "source"
    source.mkdir()
    for name in ("src", "recipes", "params.yaml", "pyproject.toml", "setup.py", "README.md"):
        (source / name).symlink_to(ROOT / name) if name != "src" else _copy_sources(source / name)
    run(sys.executable, "-c", BUILD, folder, cwd=source)
    (wheel,) = folder.glob("nanonuclei-*.whl")
    home = folder / "environment"
    venv.create(home, with_pip=True, symlinks=os.name != "nt")
    scripts = home / ("Scripts" if os.name == "nt" else "bin")
    run(scripts / "python", "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", wheel, cwd=folder)
    place = run(scripts / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip()
    (Path(place) / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return scripts / "nanonuclei"
