from __future__ import annotations

from pathlib import Path

import pytest

from nanonuclei.config.params import load_experiment
from nanonuclei.config.recipes import load_recipe
from nanonuclei.errors import ConfigError, DataError
from nanonuclei.stages.settings import Choices, resolve
from nanonuclei.tasks.nuclei.sources.dsb2018 import DSB2018_ARCHIVE

pytestmark = pytest.mark.usefixtures("project")


def real_data() -> None:
    path = Path("data") / DSB2018_ARCHIVE
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")


def test_without_data_the_simulator_and_its_small_network_are_used_and_said() -> None:
    said: list[str] = []
    config = resolve(Choices("nuclei"), say=said.append)
    assert config.data.dataset == "simulated"
    assert config.network.base_filters == load_recipe(Path("recipes/simulated.yaml"))["network.base_filters"]
    assert len(said) == 1
    assert "using simulated nuclei" in said[0]
    assert "fetch" in said[0]


def test_a_folder_that_is_no_project_is_told_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said: list[str] = []
    resolve(Choices("nanotubes"), say=said.append)
    assert said[0].startswith(f"No params.yaml in {tmp_path}: settings are those that come along, and data/, runs and")
    assert len(said) == 2


def test_settings_go_on_top_of_the_small_network() -> None:
    config = resolve(Choices("nuclei", settings=("network.base_filters=12",)), say=lambda _: None)
    assert config.network.base_filters == 12


def test_a_recipe_is_not_replaced_by_the_small_network(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("train.epochs: 3\n")
    config = resolve(Choices("nuclei", recipe=recipe), say=lambda _: None)
    assert config.network == load_experiment("nuclei", path=Path("params.yaml")).network
    assert config.train.epochs == 3


def test_real_data_is_used_where_it_lies() -> None:
    real_data()
    said: list[str] = []
    assert resolve(Choices("nuclei"), say=said.append).data.dataset == "dsb2018"
    assert said == ["Dataset: dsb2018, found in data/."]


def test_named_dataset_is_used_even_where_there_is_real_data() -> None:
    real_data()
    said: list[str] = []
    assert resolve(Choices("nuclei", dataset="simulated"), say=said.append).data.dataset == "simulated"
    assert said == ["Using simulated nuclei and a small network (recipes/simulated.yaml)."]
    assert resolve(Choices("nuclei", dataset="dsb2018"), say=said.append).data.dataset == "dsb2018"
    assert len(said) == 1


def test_named_dataset_that_is_missing_tells_how_to_get_it() -> None:
    with pytest.raises(DataError, match=r"mlflow run \. -e fetch --env-manager local -P dataset=dsb2018"):
        resolve(Choices("nuclei", dataset="dsb2018"))


def test_a_file_that_is_no_recipe_is_told_to_be_none() -> None:
    Path("NOTES.md").write_text("# Notes\n")
    with pytest.raises(ConfigError, match=r"whose name ends in \.yaml, but NOTES\.md is none\. Name another file"):
        resolve(Choices("nuclei", recipe="NOTES.md"))
    Path("unet").write_text("a file that is called as a recipe")
    assert resolve(Choices("nuclei", recipe="unet"), say=lambda _: None).network.kind == "unet"


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        (Choices("nuclei", dataset="dsb2081"), "unknown dataset 'dsb2081'. Did you mean dsb2018"),
        (Choices("nuclei", settings=("data.dataset=dsb",)), "Did you mean dsb2018"),
        (Choices("nuclei", recipe=Path("recipes/unte.yaml")), "no recipe at recipes/unte.yaml"),
        (Choices("tubes"), "unknown task 'tubes'"),
        (Choices("nuclei", settings=("train.epoch=1",)), "Did you mean train.epochs"),
    ],
)
def test_unknown_names_come_with_the_nearest(choices: Choices, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(choices)
    assert message in str(caught.value)


def test_outside_a_project_the_parameters_that_come_with_the_package_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choices = Choices("nuclei", "simulated")
    monkeypatch.chdir(Path(__file__).parents[2])
    inside = resolve(choices)
    monkeypatch.chdir(tmp_path)
    assert resolve(choices) == inside
