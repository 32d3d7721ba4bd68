"""The package as a wheel: its command, and the files that it brings along, outside of any clone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
from tests.stages.bright_model import bright_model, write_images

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"


def run(*words: str | Path, cwd: Path, code: int = 0) -> str:
    """Runs a command without this checkout on the path of modules; returns what it printed."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "MLFLOW_"))}
    done = subprocess.run(words, cwd=cwd, env=kept, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def make_environment(home: Path) -> tuple[Path, list[str]]:
    """Makes an empty environment; returns the folder of its programs, and the words that install into it."""
    uv = shutil.which("uv")
    venv.create(home, with_pip=uv is None, symlinks=os.name != "nt")
    scripts = home / ("Scripts" if os.name == "nt" else "bin")
    python = str(scripts / "python")
    install = [uv, "pip", "install", "--python", python] if uv else [python, "-m", "pip", "install"]
    return scripts, [*install, "--quiet"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, built."""
    folder = tmp_path_factory.mktemp("built")
    source = folder / "source"
    source.mkdir()
    for name in ("params.yaml", "pyproject.toml", "setup.py", "README.md"):
        shutil.copy2(ROOT / name, source)
    for name in ("src", "recipes", "models"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    run(sys.executable, "-c", BUILD, folder, cwd=source)
    (built,) = folder.glob("nanonuclei-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of a package that was installed into an environment of its own, and sees the dependencies."""
    folder = tmp_path_factory.mktemp("installed")
    scripts, install = make_environment(folder / "environment")
    run(*install, "--no-index", "--no-deps", wheel, cwd=folder)
    place = run(scripts / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip()
    (Path(place) / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return scripts / "nanonuclei"


@pytest.fixture(scope="module")
def light(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts of an environment in which there is the core alone, as `pip install nanonuclei` makes it."""
    folder = tmp_path_factory.mktemp("light")
    scripts, install = make_environment(folder / "environment")
    words = [*install, "--constraint", str(ROOT / "requirements.txt"), str(wheel)]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=280, check=False)
    if done.returncode:
        pytest.skip(f"the packages of the core cannot be had here: {done.stderr.strip().splitlines()[-1:]}")
    return scripts


def test_core_alone_predicts_and_holds_neither_keras_nor_mlflow(light: Path, tmp_path: Path) -> None:
    model = bright_model(tmp_path / "model")
    images = write_images(tmp_path / "images", ["A01/site1.png", "A02/site1.png"])
    formats = "csv,parquet,geojson,roi,labels,overlay"
    words = (light / "nanonuclei", "predict", images, "--model", f"{model}/", "--formats", formats, "--submission")
    told = run(*words, cwd=tmp_path)
    assert "2 files: 2 done, 0 failed. 2 images, 6 nuclei." in told
    assert (tmp_path / "images-nuclei" / "objects.parquet").is_file()
    check = (
        "import importlib.util as u, nanonuclei, sys; "
        "print([name for name in ('keras', 'tensorflow', 'mlflow', 'dvc', 'matplotlib') if u.find_spec(name)])"
    )
    assert run(light / "python", "-c", check, cwd=tmp_path).strip() == "[]"
    told = run(light / "nanonuclei", "page", cwd=tmp_path, code=2)
    assert 'pip install "nanonuclei[page] @ file://' in told  # from where it came: no index holds it
    told = run(light / "nanonuclei", "train", cwd=tmp_path, code=2)
    assert 'pip install "nanonuclei[train,platform] @ file://' in told


def test_files_of_the_page_come_with_the_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as built:
        names = {name.rpartition("/")[2] for name in built.namelist() if name.startswith("nanonuclei/page/static/")}
    assert names == {path.name for path in (ROOT / "src" / "nanonuclei" / "page" / "static").iterdir()}


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
    assert "The lineage holds" in run(installed, "lineage", "nuclei", cwd=tmp_path)
