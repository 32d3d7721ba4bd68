from __future__ import annotations

from pathlib import Path

import mlflow
import pytest
from mlflow.tracking import MlflowClient

from nanonuclei.errors import TrackingError
from nanonuclei.tracking.runs import DatasetInput, existing_run, log_datasets, log_settings, stage_run

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
