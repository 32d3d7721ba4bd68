from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from nanonuclei.config.params import flatten, load_experiment, parse_settings, read_yaml, to_yaml, with_settings
from nanonuclei.config.recipes import load_recipe
from nanonuclei.errors import ConfigError
from nanonuclei.tasks.nuclei.config import NucleiExperiment

ROOT = Path(__file__).parents[2]
PARAMS = ROOT / "params.yaml"


def test_params_file_is_complete_and_valid() -> None:
    config = load_experiment("nuclei", path=PARAMS)
    assert flatten(config)["train.batch_size"] == config.train.batch_size
    assert config.task == "nuclei"


def test_config_survives_writing_and_reading(tmp_path: Path) -> None:
    config = load_experiment("nuclei", path=PARAMS, settings={"train.epochs": 3, "train.devices": 2})
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    assert load_experiment("nuclei", path=tmp_path / "config.yaml") == config


def test_settings_replace_values_and_leave_the_original(experiment: Callable[..., NucleiExperiment]) -> None:
    config = experiment()
    changed = with_settings(config, {"network.base_filters": 32, "augment.flip": False})
    assert (changed.network.base_filters, changed.augment.flip) == (32, False)
    assert config.network.base_filters != 32


def test_settings_given_back_change_nothing(experiment: Callable[..., NucleiExperiment]) -> None:
    config = experiment()
    assert with_settings(config, flatten(config)) == config


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train.epoch": 3}, "unknown setting 'train.epoch'. Did you mean train.epochs"),
        ({"epochs": 3}, "unknown setting 'epochs'. Did you mean train.epochs or tune.epochs?"),
        ({"train": 3}, "It is a group; set one of train.epochs"),
        ({"train.epochs": "many"}, "train.epochs=many: input should be a valid integer"),
        ({"train.epochs": 2.5}, "train.epochs=2.5: input should be a valid integer"),
        ({"train.epochs": 0}, "train.epochs=0: input should be greater than or equal to 1"),
        ({"train.epochs": 99999999999}, "train.epochs=99999999999: input should be less than or equal to 1000000"),
        ({"train.steps_per_epoch": 10**7}, "train.steps_per_epoch=10000000: input should be less than or equal to"),
        ({"train.warmup_epochs": 10**7}, "train.warmup_epochs=10000000: input should be less than or equal to"),
        ({"tune.epochs": 10**7}, "tune.epochs=10000000: input should be less than or equal to"),
        ({"augment.flip": 1}, "augment.flip=1: input should be a valid boolean"),
        ({"train.learning_rate": 0.0}, "train.learning_rate=0.0: input should be greater than 0"),
        ({"train.devices": 0}, "train.devices=0"),
        ({"loss.kind": "binary_crosentropy"}, "Did you mean binary_crossentropy"),
        ({"loss.kind": "dice"}, "target.kind=core has three classes"),
        ({"windows.stride": 64}, "stride 64 exceeds size 32"),
        (
            {"train.patch_size": 33},
            "train.patch_size must be a multiple of 2**network.depth = 2, got 33. Take 32 or 34",
        ),
        ({"data.split.train": 0.9}, "train + val + test must be 1, got 0.9 + 0.1 + 0.2"),
        ({"normalize.low": 99.9}, "low must be below high"),
        ({"network.kind": "mobilenet"}, "Did you mean mobilenetv2"),
        ({"network.kind": "vgg16", "network.depth": 6}, "depth must be at most 5, as often as vgg16 halves the image"),
        (
            {"network.kind": "mobilenetv2", "network.alpha": 0.4},
            "alpha must be one of 0.35, 0.5, 0.75, 1.0, 1.3, 1.4 with weights=imagenet, got 0.4",
        ),
        ({"network.decoder": "pix2pix"}, "normalisation must be batch, group or none, got weights"),
        ({"train.encoder": "frozen"}, "train.encoder must be unfrozen with network.kind=unet"),
        (
            {"network.kind": "vgg16", "network.weights": "none", "train.encoder": "frozen"},
            "random weights must not be frozen",
        ),
        (
            {"network.kind": "vgg16", "train.encoder": "frozen_then_unfrozen", "train.frozen_epochs": 2},
            "frozen_epochs must be below epochs with encoder=frozen_then_unfrozen, got 2 and 2",
        ),
    ],
)
def test_wrong_setting_is_named_with_what_would_be_right(
    experiment: Callable[..., NucleiExperiment], settings: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        experiment(settings)
    assert message in str(caught.value)


def test_all_wrong_settings_come_in_one_message(experiment: Callable[..., NucleiExperiment]) -> None:
    with pytest.raises(ConfigError) as caught:
        experiment({"train.epochs": 0, "network.depth": 9})
    assert "train.epochs" in str(caught.value)
    assert "network.depth" in str(caught.value)


@pytest.mark.parametrize(
    ("texts", "settings"),
    [
        (["network.weights=none", "network.alpha=1.0"], {"network.weights": "none", "network.alpha": 1.0}),
        (["train.epochs=20 network.base_filters=32"], {"train.epochs": 20, "network.base_filters": 32}),
        (["a=1e-3", "b=0.5", "c=true", "d=word"], {"a": 0.001, "b": 0.5, "c": True, "d": "word"}),
        ([], {}),
    ],
)
def test_settings_are_parsed_from_text(texts: list[str], settings: dict[str, object]) -> None:
    assert parse_settings(texts) == settings


DEEP = f"a={'[' * 5000}"


@pytest.mark.parametrize(
    "text", ["train.epochs", "=3", "train.epochs=", "a=[1,2]", "a={b", "a=null", "a=&a[*a]", "a=2026-13-45", DEEP]
)
def test_text_that_is_no_setting_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_settings([text])


def test_settings_that_commas_separate_are_told() -> None:
    with pytest.raises(ConfigError, match="must be separated by spaces, not by commas"):
        parse_settings(["train.epochs=2,train.steps_per_epoch=3"])


@settings(deadline=None)
@given(st.dictionaries(st.from_regex(r"[a-z]+(\.[a-z]+)?", fullmatch=True), st.integers() | st.booleans(), max_size=4))
def test_written_settings_parse_to_themselves(settings: dict[str, int | bool]) -> None:
    assert parse_settings([f"{path}={str(value).lower()}" for path, value in settings.items()]) == settings


def test_unknown_task_is_named() -> None:
    with pytest.raises(ConfigError, match=r"unknown task 'nucleus'\. Did you mean nuclei"):
        load_experiment("nucleus", path=PARAMS)


def test_missing_value_in_the_file_is_named(tmp_path: Path) -> None:
    tree = read_yaml(PARAMS)
    del tree["nuclei"]["train"]["epochs"]
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(tree))
    with pytest.raises(ConfigError, match=r"setting 'train.epochs' is missing"):
        load_experiment("nuclei", path=path)


INVALID = (
    "a: [",
    "\x00",
    "nuclei: &a\n  train: *a",
    "- &a [*a]",
    "[" * 5000,
    "{a: " * 5000,
    "a: 2026-13-45",
    "a: !!int ''",
)


@pytest.mark.parametrize("content", ["- 1", "other: {}", "nuclei: 3", *INVALID])
def test_file_that_is_no_parameter_file_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(content)
    said = r"params\.yaml is not valid YAML" if content in INVALID else r"params\.yaml"
    with pytest.raises(ConfigError, match=said):
        load_experiment("nuclei", path=path)
    if content in INVALID:
        with pytest.raises(ConfigError, match=said):
            load_recipe(path)


def test_config_of_an_older_run_takes_younger_settings_from_the_parameters(tmp_path: Path) -> None:
    tree = read_yaml(PARAMS)
    del tree["nuclei"]["windows"]["num_views"]
    tree["nuclei"]["train"]["epochs"] = 9
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(tree))
    config = load_experiment("nuclei", path=path, missing_from=PARAMS)
    assert (config.windows.num_views, config.train.epochs) == (1, 9)


def test_config_of_an_older_run_may_miss_only_what_it_is_allowed_to(tmp_path: Path) -> None:
    tree = read_yaml(PARAMS)
    del tree["nuclei"]["tune"], tree["nuclei"]["data"]["seed"], tree["nuclei"]["network"]["alpha"]
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(tree))
    allowed = ("tune", "data.seed", "network.alpha")
    assert load_experiment("nuclei", path=path, missing_from=PARAMS, may_miss=allowed) == load_experiment(
        "nuclei", path=PARAMS
    )
    with pytest.raises(ConfigError) as caught:
        load_experiment("nuclei", path=path, missing_from=PARAMS, may_miss=allowed[:2])
    assert str(caught.value).endswith("setting 'network.alpha' is missing; params.yaml must be complete")


def stored_config(folder: Path, *, magnify_below: float) -> Path:
    """Writes the config of a run of an earlier version, which had settings and values that exist no longer."""
    tree = read_yaml(PARAMS)
    tree["nuclei"]["windows"]["magnify_below"] = magnify_below
    tree["nuclei"]["tune"]["optuna"]["sampler"] = "gp"
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


@pytest.mark.parametrize(("magnify_below", "num_warnings"), [(0.0, 0), (200.0, 1)])
def test_settings_that_exist_no_longer_are_dropped_from_stored_configs(
    magnify_below: float, num_warnings: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = stored_config(tmp_path, magnify_below=magnify_below)
    config = load_experiment("nuclei", path=path, missing_from=PARAMS)
    assert config == load_experiment("nuclei", path=PARAMS)
    assert load_experiment("nuclei", path=path, stored=True) == config
    assert [record.message.count("windows.magnify_below=200.0") for record in caplog.records] == [1] * num_warnings * 2


def test_settings_that_exist_no_longer_are_unknown_in_the_parameters(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown setting 'windows.magnify_below'"):
        load_experiment("nuclei", path=stored_config(tmp_path, magnify_below=0.0))


def test_unknown_recipe_names_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(ConfigError, match=r"no recipe at recipes/simulatd.yaml. Did you mean recipes/simulated.yaml"):
        load_recipe(Path("recipes/simulatd.yaml"))


def test_a_slip_in_default_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(ConfigError, match=r"no recipe at recipes/defualt.yaml. Did you mean default\?"):
        load_recipe(Path("recipes/defualt.yaml"))


@pytest.mark.parametrize(
    ("one", "message"),
    [
        (
            {"type": "flaot", "low": 0.001, "high": 0.01, "log": True},
            r"^my recipe: tune.space.train.learning_rate.type must be float or int or choice, got 'flaot'",
        ),
        (
            {"type": "float", "low": 0.001, "hihg": 0.01, "log": True},
            r"^my recipe: setting 'tune.*rate.high' is missing\nmy recipe: unknown setting .*\.hihg'. Did .*high\?$",
        ),
    ],
)
def test_slips_in_a_search_space_blame_the_recipe(one: dict[str, object], message: str) -> None:
    settings = {"tune.space": {"train.learning_rate": one}}
    with pytest.raises(ConfigError, match=message):
        load_experiment("nuclei", path=PARAMS, settings=settings, origins={"tune.space": "my recipe"})


@pytest.mark.parametrize(
    "wrong", ["scratch/tune/nuclei-dsb2018-optuna/best.yaml", "scratch/tune/nuclei-simulated-optuna", "best.yaml"]
)
def test_recipe_that_a_search_found_is_named_where_another_was_meant(
    wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = Path("scratch/tune/nuclei-simulated-optuna/best.yaml")
    found.parent.mkdir(parents=True)
    found.write_text("seed: 3")
    with pytest.raises(ConfigError, match=f"no recipe at {wrong}. .*{found}"):
        load_recipe(Path(wrong))


def test_parameters_and_recipes_come_with_the_code_where_the_working_directory_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_experiment("nuclei", path=Path("params.yaml")) == load_experiment("nuclei", path=PARAMS)
    assert load_recipe(Path("recipes/unet.yaml")) == load_recipe(ROOT / "recipes" / "unet.yaml")
    (tmp_path / "params.yaml").write_text("{}")
    with pytest.raises(ConfigError, match=r"params.yaml must hold a section 'nuclei'"):
        load_experiment("nuclei", path=Path("params.yaml"))


def test_the_recipe_of_the_default_changes_nothing() -> None:
    settings = load_recipe(ROOT / "recipes" / "unet-instances.yaml")
    assert load_experiment("nuclei", path=PARAMS, settings=settings) == load_experiment("nuclei", path=PARAMS)


@pytest.mark.parametrize("recipe", sorted((ROOT / "recipes").glob("*.yaml")), ids=lambda path: path.stem)
def test_recipe_is_valid_and_opens_with_its_command_and_result(recipe: Path) -> None:
    comments = "\n".join(line for line in recipe.read_text().splitlines() if line.startswith("#"))
    task = "nanotubes" if "-P task=nanotubes" in comments else "nuclei"
    settings = load_recipe(recipe)
    load_experiment(task, path=PARAMS, settings=settings)
    assert f"mlflow run . -e {'tune' if 'tune.space' in settings else 'train'}" in comments
    assert "Result to expect" in comments


def test_the_task_that_the_tuners_are_measured_on_is_valid() -> None:
    load_experiment("nuclei", path=PARAMS, settings=load_recipe(ROOT / "benchmarks" / "tuners.yaml"))
