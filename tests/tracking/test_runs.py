from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
from mlflow.tracking import MlflowClient
from tests.conftest import ROOT

from nanonuclei.errors import TrackingError
from nanonuclei.invocation import VARIABLE
from nanonuclei.stages.settings import changed_by
from nanonuclei.tasks.nuclei.config import NucleiExperiment
from nanonuclei.tracking.early.own_run import name_own_run, remember_words
from nanonuclei.tracking.early.runs import experiment_of, told_finished
from nanonuclei.tracking.processes import close_dead_runs
from nanonuclei.tracking.runs import (
    PARENT,
    DatasetInput,
    existing_run,
    git_tags,
    identity_tags,
    log_datasets,
    log_settings,
    run_name,
    stage_run,
)

pytestmark = pytest.mark.usefixtures("project")


def open_run(**options: object) -> str:
    with stage_run("train", name="a name", tags={"task": "nuclei"}, **options) as run_id:
        return run_id


def test_finished_stage_leaves_a_finished_run_with_its_tags() -> None:
    run = existing_run(open_run())
    assert run.info.status == "FINISHED"
    assert run.data.tags["stage"] == "train"
    assert run.data.tags["task"] == "nuclei"


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError("broken"), "FAILED"), (KeyboardInterrupt(), "KILLED"), (SystemExit(1), "KILLED")]
)
def test_error_ends_the_run_and_goes_on_up(error: BaseException, status: str) -> None:
    seen = []

    def stage() -> None:
        with stage_run("train", name="a name", tags={}) as run_id:
            seen.append(run_id)
            raise error

    with pytest.raises(type(error)):
        stage()
    assert existing_run(seen[0]).info.status == status
    if status == "FAILED":
        assert existing_run(seen[0]).data.tags["error"] == "broken"


def test_run_of_the_entry_point_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    given = MlflowClient().create_run("0").info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", given)
    assert open_run() == given
    assert existing_run(given).info.run_name == "a name"


def test_resumed_run_is_opened_again_and_the_entry_points_run_becomes_its_child(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = open_run()
    given = MlflowClient().create_run("0").info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", given)
    assert open_run(resume=first) == first
    tags = existing_run(given).data.tags
    assert (tags["mlflow.parentRunId"], tags["resumes"]) == (first, first)
    assert (tags["stage"], tags["task"], tags["parent"]) == ("resume", "nuclei", first)


def test_run_about_another_lies_in_its_experiment_unless_one_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    client = MlflowClient()
    trained = client.create_run(client.create_experiment("mine"), tags={"stage": "train"}).info.run_id
    found = []
    for asked in ("", "other"):
        if asked:
            monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", asked)
        with stage_run("evaluate", name="a name", tags={PARENT: trained}, system_metrics=False) as run_id:
            pass
        found.append(experiment_of(run_id))
    assert found == ["mine", "other"]
    monkeypatch.setenv(VARIABLE, "")
    assert f"mlflow run . -e evaluate --experiment-name mine --env-manager local -P run={trained}" in told_finished(
        trained
    )


def git(folder: Path, *words: str) -> None:
    who = ("-c", "user.name=n", "-c", "user.email=e@example.org")
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


@pytest.mark.parametrize(
    ("name", "dirty"),
    [
        ("labelling/tasks.json", "false"),
        ("counts/objects.csv", "false"),
        ("note.txt", "false"),
        ("src/new.py", "true"),
        ("recipes/mine.yaml", "true"),
        ("pipelines/more/dvc.yaml", "true"),
        ("params.yaml", "true"),
        ("README.md", "true"),
        ("data.dvc", "false"),
    ],
)
def test_unknown_files_are_a_change_of_code_only_where_code_and_settings_are(
    name: str, dirty: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "clone"
    folder.mkdir()
    git(folder, "init", "--quiet")
    for tracked in ("README.md", "data.dvc"):
        (folder / tracked).write_text("read")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "first")
    monkeypatch.chdir(folder)
    assert git_tags()["git.dirty"] == "false"
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("changed")
    assert git_tags()["git.dirty"] == dirty


def test_run_whose_process_is_gone_is_closed_as_killed_by_the_next_one() -> None:
    code = (
        "import os, sys, mlflow\nfrom nanonuclei.tracking.runs import stage_run\nmlflow.set_tracking_uri(sys.argv[1])\n"
        "with stage_run('train', name='n', tags={}, system_metrics=False) as run_id:\n"
        "    print(run_id, flush=True)\n    os._exit(9)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    words = [sys.executable, "-c", code, mlflow.get_tracking_uri()]
    dead = subprocess.run(words, env=environment, capture_output=True, text=True, check=False).stdout.split()[-1]
    elsewhere = MlflowClient().create_run("0", tags={"processes": "another-host:1:0"}).info.run_id
    assert existing_run(dead).info.status == "RUNNING"
    with stage_run("train", name="a name", tags={}) as own:
        assert close_dead_runs() == []
        states = [existing_run(run_id).info.status for run_id in (dead, elsewhere, own)]
    assert states == ["KILLED", "RUNNING", "RUNNING"]


def test_run_carries_what_tells_it_apart(experiment: Callable[..., NucleiExperiment]) -> None:
    config = experiment({"data.dataset": "simulated", "seed": 9})
    tags = {PARENT: "p" * 32, **identity_tags(config, recipe="unet")}
    with stage_run("evaluate", name="a name", tags=tags) as run_id:
        pass
    found = existing_run(run_id).data.tags
    wanted = {"stage": "evaluate", "task": "nuclei", "dataset": "simulated", "seed": "9", "recipe": "unet"}
    assert {**wanted, "parent": "p" * 32}.items() <= found.items()


def test_trainings_that_differ_by_their_settings_are_called_otherwise(
    experiment: Callable[..., NucleiExperiment],
) -> None:
    config = experiment({"data.dataset": "simulated", "seed": 9})
    changed = changed_by(["train.epochs=5 seed=9", "data.dataset=simulated network.depth=2"])
    assert changed == "network.depth=2 train.epochs=5"
    assert run_name(config, "unet", changed) == "train unet seed 9 network.depth=2 train.epochs=5 nuclei simulated"
    assert run_name(config, "unet") == "train unet seed 9 nuclei simulated"
    assert "a=1 b=2 c=3 and 2 more nuclei" in run_name(config, "unet", "a=1 b=2 c=3 d=4 e=5")
    assert identity_tags(config, recipe="unet", changed=changed)["changed"] == changed
    assert "changed" not in identity_tags(config, recipe="unet")


def test_run_of_an_entry_point_that_opens_none_is_tagged_with_what_its_words_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = MlflowClient().create_run("0").info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", given)
    remember_words("train", {"task": "nuclei", "dataset": "auto", "recipe": "recipes/unet.yaml", "resume": None})
    name_own_run("train that could not begin", error="no postgresql://u:SECRET@h/d")
    name_own_run("train", once=True)
    run = existing_run(given)
    wanted = {"stage": "train", "task": "nuclei", "recipe": "unet", "error": "no postgresql://u:***@h/d"}
    assert {key: value for key, value in run.data.tags.items() if not key.startswith("mlflow.")} == wanted
    assert run.info.run_name == "train that could not begin"


def test_unknown_run_is_named() -> None:
    with pytest.raises(TrackingError, match="no run 'nonsense'"):
        open_run(resume="nonsense")


def test_more_settings_than_one_request_takes_are_all_logged() -> None:
    with stage_run("train", name="a name", tags={}) as run_id:
        log_settings(run_id, {"task": "nuclei", **{f"group.setting{number}": number for number in range(230)}})
    params = existing_run(run_id).data.params
    assert len(params) == 230
    assert params["group.setting229"] == "229"


def test_datasets_of_the_splits_are_inputs_with_digest_and_context(tmp_path: Path) -> None:
    inputs = [
        DatasetInput(f"d-{split}", f"{number:032}", split, tmp_path) for number, split in enumerate(("train", "val"))
    ]
    with stage_run("train", name="a name", tags={}) as run_id:
        log_datasets(inputs)
    logged = mlflow.get_run(run_id).inputs.dataset_inputs
    found = {(entry.dataset.name, entry.dataset.digest, entry.tags[0].value) for entry in logged}
    assert found == {("d-train", f"{0:032}", "train"), ("d-val", f"{1:032}", "val")}
