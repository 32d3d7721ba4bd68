"""The package as a wheel: its command, and the files that it brings along, outside of any clone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

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
    for name in ("params.yaml", "pyproject.toml", "setup.py", "README.md"):
        shutil.copy2(ROOT / name, source)
    for name in ("src", "recipes", "models"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    run(sys.executable, "-c", BUILD, folder, cwd=source)
    (wheel,) = folder.glob("nanonuclei-*.whl")
    home = folder / "environment"
    venv.create(home, with_pip=True, symlinks=os.name != "nt")
    scripts = home / ("Scripts" if os.name == "nt" else "bin")
    run(scripts / "python", "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", wheel, cwd=folder)
    place = run(scripts / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip()
    (Path(place) / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return scripts / "nanonuclei"


def test_command_shows_its_stages(installed: Path, tmp_path: Path) -> None:
    assert "train a network" in run(installed, "--help", cwd=tmp_path)


def test_parameters_and_recipes_come_with_the_package(installed: Path, tmp_path: Path) -> None:
    told = run(installed, "train", "--recipe", "recipes/unet.yaml", "--set", "train.epoch=3", cwd=tmp_path, code=2)
    assert "Did you mean train.epochs" in told
    told = run(installed, "train", "--recipe", "recipes/unt.yaml", cwd=tmp_path, code=2)
    assert "no recipe at recipes/unt.yaml. Did you mean recipes/unet.yaml" in told


def test_parameters_of_the_working_directory_come_first(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("nanotubes: {}\n")
    told = run(installed, "train", cwd=tmp_path, code=2)
    assert "params.yaml must hold a section 'nuclei'" in told


def test_a_stage_runs_outside_of_a_clone(installed: Path, tmp_path: Path) -> None:
    small = "data.simulated.num_images=12 data.simulated.size=64"
    told = run(installed, "explore", "nuclei", "--dataset", "simulated", "--set", small, cwd=tmp_path)
    assert "recipes/simulated.yaml" in told
    assert (tmp_path / "mlflow.db").is_file()


def test_a_model_comes_with_the_package(installed: Path, tmp_path: Path) -> None:
    images = ROOT / "models" / "nuclei" / "examples"
    told = run(installed, "predict", "--input", images, "--output", "found", cwd=tmp_path)
    assert "Model nuclei: trained on dsb2018" in told
    assert (tmp_path / "found" / "objects.csv").is_file()
    assert "The lineage holds." in run(installed, "lineage", "nuclei", cwd=tmp_path)
