"""The read-out in one file, and the scripts for tools that cannot run it."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nanonuclei.errors import ExportError
from nanonuclei.serving.named import OpenedModel, open_model
from nanonuclei.stages.export.contents import fitted, operator_in
from nanonuclei.stages.export.one_file import one_file
from nanonuclei.stages.shipped.small_images import small_images
from nanonuclei.tasks import create_exchange, create_reader
from nanonuclei.tasks.exchange import Channel, Exchange, Operator, Sizes


def channel_of(answer: np.ndarray, image: np.ndarray, channel: Channel) -> np.ndarray:
    """One channel of an output from the network's answer and its image, both ``(..., channels)``, as it is told."""
    value = (image if channel.of == "image" else answer)[..., channel.source]
    if channel.form == "complement":
        return np.asarray(np.float32(1.0) - value, np.float32)
    if channel.form == "power":
        return np.asarray(np.power(np.float32(2.0), np.float32(channel.factor) * value), np.float32)
    return value


@pytest.fixture(scope="module")
def opened() -> OpenedModel:
    return open_model("nuclei")


@pytest.fixture(scope="module")
def operator(opened: OpenedModel) -> Operator:
    described = create_exchange(opened.config).described({}, 4)
    found = described.output.operator
    assert found is not None
    return found


def test_read_out_in_one_file_needs_nothing_of_this_package_and_finds_the_same(
    opened: OpenedModel, operator: Operator, tmp_path: Path
) -> None:
    reader = create_reader(opened.config)
    described = create_exchange(opened.config).described({}, 4)
    image = small_images(opened.config)["simulated-1"]
    scores = next(iter(reader.score_maps(opened.network, [reader.network_input(image)])))
    ours = reader.instances(scores, (image.shape[0], image.shape[1]))
    maps = np.stack(
        [channel_of(scores, reader.network_input(image), channel) for channel in described.output.channels], axis=-1
    )
    np.save(tmp_path / "maps.npy", maps[None])
    (tmp_path / "read_out.py").write_text(one_file(operator), encoding="utf-8")
    code = (
        "import sys, numpy as np\nsys.modules['nanonuclei'] = None\nsys.path.insert(0, '.')\n"
        f"from read_out import {operator.name}\n"
        f"np.save('found.npy', {operator.name}(**{dict(operator.settings)})(np.load('maps.npy')))\n"
    )
    subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, check=True, timeout=60)
    found = np.load(tmp_path / "found.npy")
    assert found.shape == (1, *image.shape[:2], 3)
    assert np.array_equal(found[0, ..., 0], ours.pixels())
    assert found[0, ..., 1].max() == ours.scores.max()
    assert np.array_equal(found[0, ..., 2], maps[..., 2])


def test_read_out_of_nanotubes_in_one_file_finds_the_same_lines(tmp_path: Path) -> None:
    opened = open_model("nanotubes")
    reader, described = create_reader(opened.config), create_exchange(opened.config).described({}, 1)
    assert described.output.operator is not None
    (tmp_path / "read_out.py").write_text(one_file(described.output.operator), encoding="utf-8")
    image = small_images(opened.config)["simulated-1"]
    shown = reader.network_input(image)
    (maps,) = reader.score_maps(opened.network, [shown])
    (ours, shape) = reader.instances(maps, (image.shape[0], image.shape[1])), (*image.shape[:2], 2)
    given = np.stack([channel_of(maps[..., :1], shown, channel) for channel in described.output.channels], axis=-1)
    assert np.array_equal(given, maps)
    found = operator_in(tmp_path / "read_out.py", described.output.operator)(given[None])
    assert found.shape == (1, *shape)
    assert len(ours) > 2
    assert np.array_equal(found[0, ..., 0], ours.pixels())
    assert np.allclose(np.unique(found[0, ..., 1])[1:], np.unique(ours.scores))


def test_one_file_lacks_no_module_that_it_imports(operator: Operator) -> None:
    with pytest.raises(ExportError, match=r"imports nanonuclei\.imaging\.instances\. Name it among"):
        one_file(replace(operator, inlined=[name for name in operator.inlined if "instances" not in name]))


def test_a_task_that_tells_nothing_of_its_network_is_described_by_its_channels() -> None:
    described = Exchange(object()).described({}, 2)
    assert [channel.name for channel in described.output.channels] == ["score0", "score1"]
    assert (described.sizes.least, described.sizes.step, described.output.operator) == (64, 32, None)
    assert Exchange(object()).shown(np.zeros((4, 5), np.uint8)).shape == (4, 5, 3)


@pytest.mark.parametrize(("extent", "side"), [(10, 64), (64, 64), (95, 64), (96, 96), (200, 192)])
def test_images_are_cut_to_a_size_that_a_network_takes(extent: int, side: int) -> None:
    image = np.arange(extent * 100, dtype=np.uint8).reshape(extent, 100)
    assert fitted(image, Sizes(64, 32)).shape == (side, 96)


def scripts(opened: OpenedModel) -> dict[str, str]:
    return dict(create_exchange(opened.config).described({}, 4).files)


@pytest.mark.parametrize("name", ["watershed.ijm", "watershed.groovy"])
def test_scripts_close_their_brackets_and_quotes_and_hold_the_thresholds(opened: OpenedModel, name: str) -> None:
    text = scripts(opened)[name]
    code = re.sub(r"//[^\n]*", "", text)
    bare = re.sub(r"\"[^\"\n]*\"|'[^'\n]*'", "", code)
    assert '"' not in bare
    assert "'" not in bare
    waiting: list[str] = []
    for letter in bare:
        if letter in "([{":
            waiting.append(letter)
        elif letter in ")]}":
            assert waiting.pop() == {")": "(", "]": "[", "}": "{"}[letter]
    assert waiting == []
    assert re.search(r"threshold = 0\.5\b", code)
    assert re.search(r"seed = 0\.3\b", code)
    assert re.search(r"(least_area|leastArea) = 23\b", code)
    assert re.search(r"(least_score|leastScore) = 0\.75\b", code)
    assert not re.search(r"@\w+@", text)
    assert "black edm=Overwrite" in code  # ImageJ keeps what others chose: black on white, or results elsewhere


def test_script_for_qupath_is_groovy(opened: OpenedModel) -> None:
    lexers = pytest.importorskip("pygments.lexers")
    from pygments.token import Error

    tokens = list(lexers.get_lexer_by_name("groovy").get_tokens(scripts(opened)["watershed.groovy"]))
    assert [text for kind, text in tokens if kind is Error] == []


def test_steps_of_the_scripts_find_about_as_many_objects_as_the_read_out(opened: OpenedModel) -> None:
    from package import thresholds
    from watershed_twin import twin

    from nanonuclei.config.params import flatten

    reader = create_reader(opened.config)
    for name, image in small_images(opened.config).items():
        scores = next(iter(reader.score_maps(opened.network, [reader.network_input(image)])))
        count = len(reader.instances(scores, (image.shape[0], image.shape[1])))
        maps = np.stack([1 - scores[..., 0], scores[..., 1]], axis=-1)
        assert abs(int(twin(maps, **thresholds(flatten(opened.config))).max()) - count) <= 0.05 * count, name
