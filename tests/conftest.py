"""Small experiments, drawn images whose answer is known, and a tracking server in a temporary folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from tests.databases import own_database, put_database, remember
from tests.drawn import disc_catalog, disc_labels, disc_sample, draw_sample, tube_catalog, tube_ref, tube_sample
from tests.networks import bright_network, exported_once, spread_classifier, spread_scores

from nanonuclei import tasks
from nanonuclei.config.params import Scalar, load_experiment
from nanonuclei.config.pixels import NetworkConfig
from nanonuclei.heavy import heavy_imports
from nanonuclei.tasks.nanotubes.config import NanotubeExperiment
from nanonuclei.tasks.nuclei.config import NucleiExperiment

ROOT = Path(__file__).parents[1]
DRAWN = (disc_catalog, disc_labels, disc_sample, draw_sample, tube_catalog, tube_ref, tube_sample)
NETWORKS = (bright_network, exported_once, spread_classifier, spread_scores)
"""Fixtures of all tests, and what tests import from here."""
LONGEST = (
    "deploy/test_lab.py",
    "test_pipeline.py",
    "test_project.py",
    "test_walk.py",
    "engine/test_train.py",
    "engine/test_devices.py",
    "stages/test_promote.py",
    "serving/test_server.py",
    "tasks/test_discs.py",
    "test_install.py",
    "serving/live/test_live_server.py",
    "stages/many/test_cluster.py",
)
"""Files whose tests take longest, longest first."""


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Loads what the test files import as commands load it."""
    with heavy_imports():
        return (yield)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts files with slow tests first: what is left when one processor has nothing to do any more is short then."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    place = {ROOT / "tests" / name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: (place.get(item.path, len(LONGEST)), item.path not in slow))


TINY: dict[str, Scalar] = {
    "network.depth": 1,
    "network.base_filters": 4,
    "train.epochs": 2,
    "train.steps_per_epoch": 3,
    "train.batch_size": 2,
    "train.patch_size": 32,
    "train.warmup_epochs": 0,
    "train.precision": "float32",
    "train.tensorboard": False,
    "windows.size": 32,
    "windows.stride": 24,
    "windows.batch_size": 4,
    "windows.precision": "float32",
    "instances.tune": False,
    "evaluate.bootstrap": 20,
    "evaluate.num_panels": 1,
}
"""Settings under which a training takes seconds."""

TINY_TUBES: dict[str, Scalar] = {
    "network.kind": "mobilenetv2",
    "network.trunk": "block_1_expand_relu",
    "network.hidden": 4,
    "train.epochs": 2,
    "train.steps_per_epoch": 3,
    "train.batch_size": 4,
    "train.patch_size": 32,
    "train.tile_windows": 3,
    "train.warmup_epochs": 0,
    "train.precision": "float32",
    "train.tensorboard": False,
    "windows.tile": 96,
    "windows.precision": "float32",
    "tubes.joins": "all",
    "evaluate.bootstrap": 20,
    "evaluate.num_panels": 1,
}
"""The same for nanotubes."""


hypothesis.settings.register_profile("repeatable", derandomize=True)
hypothesis.settings.load_profile("repeatable")


@pytest.fixture(autouse=True, scope="module")
def _the_next_file_begins_anew() -> Iterator[None]:
    """Which files share a process depends on how fast they are: what one leaves in libraries must not meet another."""
    yield
    tasks._added.clear()
    if "mlflow.tracking" in sys.modules:
        import mlflow

        mlflow.set_tracking_uri(None)
        remember()


@pytest.fixture(autouse=True)
def _no_run_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("NANONUCLEI_CALLED", raising=False)  # how the test command was called is not how its tests are
    monkeypatch.setattr("nanonuclei.invocation.environment_manager", lambda prefix=None: "local")  # nor where it lies


@pytest.fixture
def experiment() -> Callable[..., NucleiExperiment]:
    """Makes tiny experiments: `experiment({"train.epochs": 3})`."""

    def make(settings: dict[str, Scalar] | None = None) -> NucleiExperiment:
        return load_experiment("nuclei", path=ROOT / "params.yaml", settings={**TINY, **(settings or {})})

    return make


@pytest.fixture
def tube_experiment() -> Callable[..., NanotubeExperiment]:
    """Makes tiny experiments of the nanotubes task."""

    def make(settings: dict[str, Scalar] | None = None) -> NanotubeExperiment:
        return load_experiment("nanotubes", path=ROOT / "params.yaml", settings={**TINY_TUBES, **(settings or {})})

    return make


def network(**settings: object) -> NetworkConfig:
    """Makes the settings of a small network without normalisation and random weights."""
    return NetworkConfig.model_validate(
        {
            "kind": "unet",
            "depth": 2,
            "base_filters": 4,
            "decoder": "transpose",
            "dropout": 0.0,
            "normalisation": "none",
            "norm_momentum": 0.9,
            "alpha": 0.35,
            "weights": "none",
            **settings,
        }
    )


@pytest.fixture
def small_encoder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Puts an image network of two levels in the place of MobileNetV2; returns a file of weights for it."""
    import keras

    from nanonuclei.models.encoders import ENCODERS, Encoder

    def build(*, input_shape: tuple[None, None, int], alpha: float, **_: object) -> keras.Model:
        x = inputs = keras.Input(input_shape)
        for level in (1, 2):
            x = keras.layers.Conv2D(4, 3, strides=2, padding="same", name=f"conv{level}")(x)
            x = keras.layers.BatchNormalization(momentum=0.5, name=f"norm{level}")(x)
            x = keras.layers.ReLU(name=f"level{level}")(x)
        return keras.Model(inputs, x)

    features = {1: "level1", 2: "level2"}
    small = Encoder(
        network=build, mode="tf", features=features, weights="small.h5", url="https://example.org/", md5=None
    )
    monkeypatch.setitem(ENCODERS, "mobilenetv2", small)
    path = tmp_path / "small.weights.h5"
    build(input_shape=(None, None, 3), alpha=1.0).save_weights(path)
    return path


@pytest.fixture(scope="session")
def copy_project() -> Callable[[Path], Path]:
    """Copies the project's files into a folder, without data and runs, with an empty database; returns that folder."""

    def copy(folder: Path) -> Path:
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        if listed.returncode:
            pytest.skip("not a git checkout")
        for name in listed.stdout.splitlines():
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
            if name.startswith("src/") and name.endswith(".py"):  # or the first command of each copy compiles it again
                compiled, place = (Path(cache_from_source(base / name)) for base in (ROOT, folder))
                if compiled.is_file():
                    place.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(compiled, place)
        put_database(folder)
        return folder

    return copy


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with the real images; tests that need it are skipped where it is not there."""
    folder = Path(os.environ.get("NANONUCLEI_SHARED", ROOT.parent / "shared"))
    if not (folder / "data" / "stage1_train.zip").is_file():
        pytest.skip(f"the real images are not at {folder}; NANONUCLEI_SHARED names another folder")
    return folder


@pytest.fixture(scope="session")
def served_config() -> NucleiExperiment:
    """A network that can see how bright a pixel is, which standardized kernels cannot, and a plain read-out."""
    settings = {
        **TINY,
        "network.normalisation": "none",
        "target.kind": "foreground",
        "loss.kind": "binary_crossentropy",
        "instances.min_score": 0.5,
    }
    return load_experiment("nuclei", path=ROOT / "params.yaml", settings={**settings, "instances.min_area": 5})


def score_map_of(task: Any, network: Any, image: np.ndarray) -> np.ndarray:
    """The score map of one image."""
    return next(iter(task.score_maps(network, [task.network_input(image)])))


@pytest.fixture(scope="session")
def served_tubes_config() -> NanotubeExperiment:
    """Every window is positive, and every line that meets a cell a candidate; its score still is the network's."""
    settings = {"tubes.window_threshold": 0.0, "tubes.min_score": 0.0, "tubes.joins": "cell"}
    config = load_experiment("nanotubes", path=ROOT / "params.yaml", settings={**TINY_TUBES, **settings})
    assert isinstance(config, NanotubeExperiment)
    return config


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the parameters and recipes of the project and a database of its own, as the current one."""
    folder = tmp_path / "project"
    folder.mkdir()
    for name in ("params.yaml", "requirements.txt", "recipes"):
        (folder / name).symlink_to(ROOT / name)
    monkeypatch.chdir(folder)
    with own_database(folder):
        yield folder
