"""What the training runs on: which devices, which precision, and whether it repeats to the last digit."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import keras
from platformdirs import user_cache_path

from nanonuclei.config.shared import TrainConfig
from nanonuclei.errors import ConfigError

POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}
COMPILED_BYTES = 2 * 2**30
"""What JAX has compiled is kept up to this size; what was used last stays."""


@dataclass(frozen=True)
class Hardware:
    """What was found and chosen, for the record.

    Attributes:
        backend: Keras backend.
        device: ``cpu`` or ``gpu``.
        name: Processor's or GPU's name.
        num_devices: Devices that share each batch.
        precision: ``float32``, ``bfloat16`` or ``float16``.
    """

    backend: str
    device: str
    name: str
    num_devices: int
    precision: str


def detect(config: TrainConfig) -> Hardware:
    """Looks at the machine and decides device and precision.

    Raises:
        ConfigError: More devices are asked for than there are.
    """
    backend = keras.backend.backend()
    gpus = _gpus(backend)
    if config.devices != "auto" and config.devices > max(1, len(gpus)):
        raise ConfigError(
            f"train.devices must not exceed the visible devices: asked for {config.devices}, found {len(gpus)} GPUs. "
            "Set train.devices=auto"
        )
    num_devices = max(1, len(gpus)) if config.devices == "auto" else config.devices
    if backend == "torch":
        num_devices = 1  # Keras spreads a torch model over GPUs only through a launcher of torch's own.
    precision = _best_precision(gpus) if config.precision == "auto" else config.precision
    return Hardware(backend, "gpu" if gpus else "cpu", gpus[0][0] if gpus else _cpu_name(), num_devices, precision)


@contextlib.contextmanager
def seeded_devices(hardware: Hardware, *, seed: int, deterministic: bool) -> Iterator[None]:
    """Sets seeds, precision and devices for the building and training of one model, and puts the precision back."""
    before = keras.config.dtype_policy()
    keras.utils.set_random_seed(seed)
    keras.config.set_dtype_policy(POLICIES[hardware.precision])
    try:
        if hardware.backend == "tensorflow":
            with _tensorflow_scope(hardware, deterministic=deterministic), _gradients_forgotten():
                yield
        elif hardware.backend == "jax":
            keep_compiled()
            with _jax_scope(hardware):
                yield
        else:
            yield
    finally:
        keras.config.set_dtype_policy(before)


def keep_compiled() -> None:
    """Lets JAX keep what it compiles in the user's cache folder, where a later training of the same network finds it.

    ``JAX_COMPILATION_CACHE_DIR`` names another folder.
    """
    import jax

    if jax.config.jax_compilation_cache_dir is None:
        jax.config.update("jax_compilation_cache_dir", str(user_cache_path("nanonuclei") / "jax"))
        jax.config.update("jax_compilation_cache_max_size", COMPILED_BYTES)


@contextlib.contextmanager
def _jax_scope(hardware: Hardware) -> Iterator[None]:
    if hardware.num_devices == 1:
        yield
        return
    devices = keras.distribution.list_devices()[: hardware.num_devices]
    keras.distribution.set_distribution(keras.distribution.DataParallel(devices=devices))
    try:
        yield
    finally:
        keras.distribution.set_distribution(None)


@contextlib.contextmanager
def _tensorflow_scope(hardware: Hardware, *, deterministic: bool) -> Iterator[None]:
    import tensorflow as tf

    if deterministic:
        tf.config.experimental.enable_op_determinism()  # TensorFlow has no way back: it holds for the whole process
    if hardware.num_devices > 1:
        names = [f"{hardware.device.upper()}:{place}" for place in range(hardware.num_devices)]
        with tf.distribute.MirroredStrategy(names).scope():
            yield
    else:
        yield


@contextlib.contextmanager
def _gradients_forgotten() -> Iterator[None]:
    """Lets TensorFlow forget the gradients that a training registered, which would keep its graphs for ever.

    Keras sums gradients over devices by an operation with a gradient of its own, even on one device; TensorFlow enters
    it, with all of the training step that it belongs to, into a registry that has no way to leave it: some 100 MB.
    """
    from tensorflow.python.framework import ops

    registry: dict[str, object] = getattr(getattr(ops, "gradient_registry", None), "_registry", {})
    before = set(registry)
    try:
        yield
    finally:
        for name in set(registry) - before:
            if name.startswith("CustomGradient-"):
                del registry[name]


def _gpus(backend: str) -> list[tuple[str, tuple[int, int]]]:
    """Returns name and compute capability of each visible GPU; memory is set to grow on demand."""
    if backend == "tensorflow":
        import tensorflow as tf

        found = []
        for gpu in tf.config.list_physical_devices("GPU"):
            with contextlib.suppress(RuntimeError):  # already in use: growth was set, or is somebody else's choice
                tf.config.experimental.set_memory_growth(gpu, True)
            details = tf.config.experimental.get_device_details(gpu)
            found.append((details.get("device_name", gpu.name), details.get("compute_capability", (0, 0))))
        return found
    if backend == "jax":
        import jax

        gpus = [device for device in jax.devices() if device.platform == "gpu"]
        return [(gpu.device_kind, _capability(gpu.compute_capability)) for gpu in gpus]
    import torch

    return [
        (torch.cuda.get_device_name(place), torch.cuda.get_device_capability(place))
        for place in range(torch.cuda.device_count())
    ]


def _capability(text: str) -> tuple[int, int]:
    major, _, minor = str(text).partition(".")
    return int(major), int(minor or 0)


def _best_precision(gpus: list[tuple[str, tuple[int, int]]]) -> str:
    """bfloat16 from Ampere (8.0) on and on CPUs that multiply it in hardware, float16 on Volta and Turing (7.x)."""
    if gpus:
        capability = min(capability for _, capability in gpus)
        if capability >= (8, 0):
            return "bfloat16"
        return "float16" if capability >= (7, 0) else "float32"
    return "bfloat16" if _cpu_flags() & {"avx512_bf16", "amx_bf16"} else "float32"


def _cpu_flags() -> set[str]:
    return set(_cpu_entry("flags").split())


def _cpu_name() -> str:
    return _cpu_entry("model name") or "cpu"


def _cpu_entry(key: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # not Linux: no entry, and float32 is right everywhere
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")
