from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from nanonuclei.config.params import to_yaml
from nanonuclei.data.catalog import Catalog
from nanonuclei.engine import devices
from nanonuclei.engine.devices import detect
from nanonuclei.engine.stored.convert import check_convertible
from nanonuclei.errors import ConfigError
from nanonuclei.tasks.nuclei.config import NucleiExperiment

ROOT = Path(__file__).parents[2]
Experiment = Callable[..., NucleiExperiment]


@pytest.mark.parametrize(
    ("capability", "precision"), [((9, 0), "bfloat16"), ((8, 0), "bfloat16"), ((7, 5), "float16"), ((6, 1), "float32")]
)
def test_precision_follows_the_generation_of_the_gpu(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], precision: str
) -> None:
    monkeypatch.setattr(devices, "_gpus", lambda backend: [("a GPU", capability), ("another", (9, 0))])
    hardware = detect(experiment({"train.precision": "auto"}).train)
    assert (hardware.precision, hardware.device, hardware.num_devices) == (precision, "gpu", 2)


@pytest.mark.parametrize(("flags", "precision"), [("sse avx512_bf16", "bfloat16"), ("sse avx2", "float32")])
def test_precision_follows_the_instructions_of_the_cpu(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch, flags: str, precision: str
) -> None:
    monkeypatch.setattr(devices, "_gpus", lambda backend: [])
    monkeypatch.setattr(devices, "_cpu_entry", lambda key: flags if key == "flags" else "a CPU")
    hardware = detect(experiment({"train.precision": "auto"}).train)
    assert (hardware.precision, hardware.device, hardware.num_devices) == (precision, "cpu", 1)


def test_named_precision_is_taken_as_it_is(experiment: Experiment) -> None:
    assert detect(experiment({"train.precision": "float16"}).train).precision == "float16"


TRAINS = """
import sys
from pathlib import Path

backend = sys.argv[4]
if backend == "jax":
    sys.modules["tensorflow"] = None
else:
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

from nanonuclei.config.params import load_experiment
from nanonuclei.data.catalog import load_catalog
from nanonuclei.engine import train
from nanonuclei.engine.devices import Hardware
from nanonuclei.engine.export import export_onnx
from nanonuclei.tasks import create_task

config = load_experiment("nuclei", path=Path(sys.argv[1]))
catalog = load_catalog(Path(sys.argv[2]))
for num_devices in (1, 2):
    hardware = Hardware(backend, "cpu", "half a CPU", num_devices, "float32")
    train.detect = lambda config: hardware
    folder = Path(sys.argv[3]) / str(num_devices)
    result = train.fit(create_task(config), catalog.split("train"), catalog.split("val"), workdir=folder)
    print("losses", *result.history["train/loss"], *result.history["val/loss"])
    if backend == "jax" and num_devices == 1:
        print("difference", export_onnx(result.model, folder / "network.onnx"))
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_two_devices_that_share_each_batch_learn_like_one(
    backend: str, experiment: Experiment, disc_catalog: Catalog, tmp_path: Path
) -> None:
    """Group normalisation, as batch statistics are each device's own. JAX trains where TensorFlow cannot be imported.

    JAX keeps what it compiled; a process with TensorFlow writes its network as ONNX, and compares the answers.
    """
    config = experiment({"network.normalisation": "group", "network.dropout": 0.0, "train.epochs": 3})
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    compiled = {
        "JAX_PLATFORMS": "cpu",
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
    }
    done = subprocess.run(
        [sys.executable, "-c", TRAINS, *map(str, (tmp_path / "config.yaml", tmp_path / "prepared", tmp_path)), backend],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "KERAS_BACKEND": backend, **compiled},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith("losses")]
    losses = [[float(word) for word in words] for _, *words in lines]
    assert len(losses) == 2
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-3)
    kept = list((tmp_path / "cache" / "nanonuclei" / "jax").glob("*"))
    assert bool(kept) == (backend == "jax")
    assert (tmp_path / "1" / "network.onnx").is_file() == (backend == "jax")


def test_training_that_cannot_be_served_is_refused_before_it_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    check_convertible()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"^KERAS_BACKEND=jax trains, but TensorFlow writes the trained network"):
        check_convertible()
