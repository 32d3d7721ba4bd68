"""Configs that runs stored before a task was one folder: what was scored and served then can be so today."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from tests.conftest import ROOT

from nanonuclei.config.params import flatten, load_experiment, to_yaml
from nanonuclei.config.stored import stored_config
from nanonuclei.serving.model import signature
from nanonuclei.tasks import create_reader, create_task

STORED = Path(__file__).parent / "stored"


@pytest.mark.parametrize("task", ["nuclei", "nanotubes"])
def test_stored_config_loads_with_every_value_as_it_was(task: str) -> None:
    path = STORED / f"{task}.yaml"
    config = stored_config(path)
    assert config.task == task
    assert load_experiment(task, path=path, missing_from=ROOT / "params.yaml") == config
    written = yaml.safe_load(path.read_text(encoding="utf-8"))[task]
    assert flatten(config) == {"task": task, **flatten(written)}


@pytest.mark.parametrize("task", ["nuclei", "nanotubes"])
def test_stored_config_can_be_served_and_scored(task: str) -> None:
    config = stored_config(STORED / f"{task}.yaml")
    assert signature(config).inputs.input_names() == ["image"]
    assert create_reader(config).example().ndim == 2
    assert not create_task(config).is_open


@pytest.mark.parametrize("task", ["nuclei", "nanotubes"])
def test_written_config_is_read_again(task: str, tmp_path: Path) -> None:
    config = stored_config(STORED / f"{task}.yaml")
    (tmp_path / "config.yaml").write_text(to_yaml(config), encoding="utf-8")
    assert stored_config(tmp_path / "config.yaml") == config
