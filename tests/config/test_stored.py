"""Configs that runs of earlier versions stored: what was scored and served then can be so today."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from tests.conftest import ROOT

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.config.params import REMOVED, flatten, load_experiment, to_yaml
from nanonuclei.config.stored import stored_config
from nanonuclei.serving.model import signature
from nanonuclei.tasks import create_reader, create_task

STORED = Path(__file__).parent / "stored"
PARAMS = ROOT / "params.yaml"


def load(task: str) -> ExperimentConfig:
    return load_experiment(task, path=STORED / f"{task}.yaml", missing_from=PARAMS)


@pytest.mark.parametrize("task", ["nuclei", "nanotubes"])
def test_stored_config_loads_with_every_value_as_it_was_and_younger_ones_from_the_parameters(task: str) -> None:
    written = flatten(yaml.safe_load((STORED / f"{task}.yaml").read_text(encoding="utf-8"))[task])
    kept = {path: value for path, value in written.items() if path not in REMOVED}
    assert flatten(load(task)) == {**flatten(load_experiment(task, path=PARAMS)), **kept}


@pytest.mark.parametrize("task", ["nuclei", "nanotubes"])
def test_stored_config_can_be_served_and_scored(task: str) -> None:
    config = load(task)
    assert signature(config).inputs.input_names() == ["image"]
    assert create_reader(config).example().ndim == 2
    assert not create_task(config).is_open


@pytest.mark.parametrize("task", ["nuclei", "nanotubes"])
def test_written_config_is_read_again(task: str, tmp_path: Path) -> None:
    config = load(task)
    (tmp_path / "config.yaml").write_text(to_yaml(config), encoding="utf-8")
    assert stored_config(tmp_path / "config.yaml") == config
