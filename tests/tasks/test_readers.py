from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from tests.conftest import ROOT, TINY, TINY_TUBES, tube_sample

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.config.params import flatten, load_experiment
from nanonuclei.data.files.planes.channels import channel_index
from nanonuclei.errors import ConfigError, DataError
from nanonuclei.imaging.instances import to_run_lengths
from nanonuclei.imaging.types import Float32Array
from nanonuclei.serving.model import object_columns, signature
from nanonuclei.tasks import create_reader, create_task, task_names
from nanonuclei.tasks.nanotubes.config import NanotubeExperiment
from nanonuclei.tasks.nanotubes.lines.detection import candidate_row
from nanonuclei.tasks.nanotubes.network import NanotubeTask
from nanonuclei.tasks.nuclei.config import NucleiExperiment

CONFIGS = {
    "nuclei": {**TINY, "instances.min_score": 0.3, "instances.min_area": 3},
    "nanotubes": {**TINY_TUBES, "tubes.window_threshold": 0.2, "tubes.min_score": 0.1},
}


def config_of(task: str) -> ExperimentConfig:
    return load_experiment(task, path=ROOT / "params.yaml", settings=CONFIGS[task])


def score_map_of(task: str) -> Float32Array:
    """Of a network that knows nothing: noise, and of nanotubes an image that shows one."""
    rng = np.random.default_rng(0)
    if task == "nuclei":
        return rng.dirichlet((1, 1, 1), (48, 48)).astype(np.float32)
    image = tube_sample("tube", seed=0).image
    grey = create_task(config_of(task)).network_input(image)[..., 0]
    return np.stack([rng.uniform(0.3, 0.9, grey.shape).astype(np.float32), grey], axis=-1)


@pytest.mark.parametrize("name", CONFIGS)
def test_reader_of_a_task_answers_as_the_task(name: str) -> None:
    rng = np.random.default_rng(0)
    config, score_map = config_of(name), score_map_of(name)
    task, reader = create_task(config), create_reader(config)
    for image in (rng.integers(0, 255, (37, 61), np.uint8), rng.integers(0, 4000, (40, 40, 3), np.uint16)):
        np.testing.assert_array_equal(reader.network_input(image), task.network_input(image))
    ours, theirs = (each.instances(score_map, score_map.shape[:2]) for each in (reader, task))
    assert len(ours) >= (4 if name == "nuclei" else 1)
    np.testing.assert_array_equal(ours.labels, theirs.labels)
    np.testing.assert_array_equal(ours.scores, theirs.scores)
    np.testing.assert_array_equal(ours.boxes, theirs.boxes)


@pytest.mark.parametrize("name", CONFIGS)
def test_rows_are_the_objects_with_all_columns(name: str) -> None:
    config, score_map = config_of(name), score_map_of(name)
    reader, shape = create_reader(config), score_map.shape[:2]
    found, rows = reader.instances(score_map, shape), reader.objects(score_map, shape).rows
    assert len(rows) == len(found) >= 1
    for row, box, score in zip(rows, found.boxes, found.scores, strict=True):
        assert set(row) >= {*reader.columns, *reader.table_columns}
        assert [row[side] for side in ("y0", "x0", "y1", "x1")] == box.tolist()
        assert row["score"] == pytest.approx(float(score))


def test_nucleus_has_its_area_and_its_pixels() -> None:
    reader, score_map = create_reader(config_of("nuclei")), score_map_of("nuclei")
    found, rows = reader.instances(score_map, (48, 48)), reader.objects(score_map, (48, 48)).rows
    assert [row["area"] for row in rows] == np.bincount(found.labels.ravel())[1:].tolist()
    assert [row["run_lengths"] for row in rows] == to_run_lengths(found)


def test_nanotube_is_measured_as_the_task_measures_it() -> None:
    task, score_map = create_task(config_of("nanotubes")), score_map_of("nanotubes")
    assert isinstance(task, NanotubeTask)
    candidates = task.candidates(score_map, task.cells(score_map))
    rows = create_reader(task.config).objects(score_map, score_map.shape[:2]).rows
    for row, candidate in zip(rows, candidates, strict=True):
        assert row["length"] == candidate.line.length
        assert row["width"] == candidate.line.width
        assert row["straightness"] == candidate.line.straightness
        assert (row["first_cell"], row["last_cell"]) == candidate.cells
        assert row["line"] == candidate_row(candidate, None, score_map.shape[:2])[-1]


@pytest.mark.parametrize("name", CONFIGS)
def test_every_task_can_be_served_with_parameters_that_are_settings(name: str) -> None:
    assert set(CONFIGS) == set(task_names())
    config = config_of(name)
    reader = create_reader(config)
    assert set(reader.parameters.values()) <= set(flatten(config))
    described = signature(config)
    assert described.outputs.input_names() == list(object_columns(reader))
    defaults = {spec.name: spec.default for spec in described.params.params}
    assert defaults.pop("return") == "objects"
    assert defaults == {name: flatten(config)[path] for name, path in reader.parameters.items()}
    words = {name for name, path in reader.parameters.items() if isinstance(flatten(config)[path], str)}
    assert {spec.name for spec in described.params.params if spec.dtype.name == "string"} == {*words, "return"}


def test_threshold_that_is_still_to_be_chosen_is_not_served(
    tube_experiment: Callable[..., NanotubeExperiment], experiment: Callable[..., NucleiExperiment]
) -> None:
    assert signature(experiment()).params is not None
    with pytest.raises(ConfigError, match=r"tubes\.window_threshold must be a number before a model is stored"):
        signature(tube_experiment())


def test_stain_of_nuclei_is_read_for_nuclei_only() -> None:
    names = ["membrane", "DAPI"]
    assert channel_index(names, None, stains=create_reader(config_of("nuclei")).stains) == 1
    with pytest.raises(DataError, match=r"2 channels, and none is chosen: 0 membrane, 1 DAPI"):
        channel_index(names, None, stains=create_reader(config_of("nanotubes")).stains)


@pytest.mark.parametrize("colour", [(1, 0, 0), (0, 1, 0), (1, 0, 1), (1, 1, 1)])
def test_nanotubes_in_false_colours_are_seen_as_in_grey(colour: tuple[int, int, int]) -> None:
    reader = create_reader(config_of("nanotubes"))
    grey = tube_sample("tube", seed=0).image
    coloured = (grey[..., None] * np.array(colour)).astype(grey.dtype)
    np.testing.assert_array_equal(reader.network_input(coloured), reader.network_input(grey))
