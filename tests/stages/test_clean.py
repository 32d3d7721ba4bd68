"""Clean finds what is nobody's, lists it, and removes nothing that somebody may need."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
from mlflow.tracking import MlflowClient
from tests.databases import own_database

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.stages.clean.clean import clean
from nanonuclei.stages.clean.leftover import Leftover
from nanonuclei.stages.clean.prepared import folder_of
from nanonuclei.stages.settings import Choices, resolve
from nanonuclei.tracking.processes import TAG, _name
from nanonuclei.tracking.runs import existing_run
from nanonuclei.writing import ABANDONED_SECONDS, PARTIAL, being_made

LONG_AGO = time.time() - 2 * ABANDONED_SECONDS


def quietly(*, apply: bool = False) -> list[Leftover]:
    return clean(apply=apply, say=lambda _: None)


def names(found: list[Leftover], kind: str) -> set[str]:
    return {one.name for one in found if one.kind == kind}


def aged(path: Path) -> Path:
    os.utime(path, (LONG_AGO, LONG_AGO))
    return path


def made(path: Path) -> Path:
    path.mkdir(parents=True)
    (path / "a.txt").write_text("x" * 100)
    return path


def gone() -> str:
    """The name of a process of this machine that has ended."""
    host, pid, start = _name(os.getpid()).rsplit(":", 2)
    return f"{host}:{pid}:{int(start) - 1000}"


@pytest.fixture
def begun(project: Path) -> Callable[..., str]:
    """Makes runs in the state RUNNING; returns the id of each."""
    client = MlflowClient()

    def begin(*, age: float = 0.0, **tags: str) -> str:
        shown = {name.replace("__", "."): value for name, value in tags.items()}
        start = round((time.time() - age) * 1000)
        return str(client.create_run("0", start_time=start, tags=shown).info.run_id)

    return begin


def config() -> ExperimentConfig:
    return resolve(Choices("nuclei", "simulated"), say=lambda _: None)


def test_runs_whose_program_is_gone_are_closed_and_no_others(begun: Callable[..., str]) -> None:
    dead = begun(**{TAG: gone()})
    unborn = begun(age=2 * ABANDONED_SECONDS, mlflow__project__entryPoint="train")
    alive = begun(**{TAG: _name(os.getpid())})
    elsewhere = begun(**{TAG: "another-host:1:0"})
    young = begun(mlflow__project__entryPoint="train")
    foreign = begun(age=2 * ABANDONED_SECONDS)
    assert names(quietly(), "run") == {dead, unborn}
    assert existing_run(dead).info.status == "RUNNING"
    assert names(quietly(apply=True), "run") == {dead, unborn}
    states = {run: existing_run(run).info.status for run in (dead, unborn, alive, elsewhere, young, foreign)}
    assert {run for run, state in states.items() if state == "KILLED"} == {dead, unborn}
    assert set(states.values()) == {"KILLED", "RUNNING"}
    assert names(quietly(), "run") == set()


def test_temporary_files_of_killed_processes_go_and_those_at_work_stay(project: Path) -> None:
    old = aged(made(project / "scratch" / "prepared" / f"{PARTIAL}x-abc"))
    file = project / "build" / f"{PARTIAL}99-report.json"
    file.parent.mkdir()
    file.write_text("{}")
    aged(file)
    top = project / f"{PARTIAL}1-nuclei.zip"
    top.write_bytes(b"x")
    fresh = made(project / "scratch" / f"{PARTIAL}fresh")
    aged(top)
    with being_made(project / "scratch" / "busy") as busy:
        aged(busy.parent)
        wanted = {path.relative_to(project).as_posix() for path in (old, file, top)}
        assert names(quietly(), "temporary") == wanted
        assert all(path.exists() for path in (old, file, top))
        quietly(apply=True)
        assert not any(path.exists() for path in (old, file, top))
        assert busy.exists()
    assert fresh.exists()


def test_checkpoints_of_deleted_runs_go_and_those_of_unknown_ones_stay(project: Path) -> None:
    with mlflow.start_run() as run:
        pass
    with mlflow.start_run() as deleted:
        pass
    mlflow.delete_run(deleted.info.run_id)
    folders = {
        one: made(project / "scratch" / "runs" / one) for one in (run.info.run_id, deleted.info.run_id, "f" * 32)
    }
    assert names(quietly(apply=True), "scratch") == {f"scratch/runs/{deleted.info.run_id}"}
    assert [one for one, folder in folders.items() if not folder.exists()] == [deleted.info.run_id]


def test_prepared_images_that_settings_lead_to_are_never_removed(project: Path, begun: Callable[..., str]) -> None:
    used = folder_of(config())
    assert used is not None
    mlflow.end_run()
    begun(**{TAG: gone()})  # there are runs
    unused = Path("scratch/prepared/nuclei-simulated-0123456789ab")
    made(used)
    made(unused)
    assert names(quietly(), "prepared") == {unused.as_posix()}
    quietly(apply=True)
    assert used.exists()
    assert not unused.exists()


AT_WORK = {
    "a run with that dataset": ({"task": "nuclei", "dataset__name": "simulated"}, True),
    "a run that does not tell": ({"task": "nuclei"}, True),
    "a run with another dataset": ({"task": "nanotubes", "dataset__name": "simulated"}, False),
}
"""Tags of a run at work, and whether prepared images of simulated nuclei stay."""


def test_prepared_images_that_a_run_at_work_may_need_are_not_removed(project: Path, begun: Callable[..., str]) -> None:
    folder = made(Path("scratch/prepared/nuclei-simulated-0123456789ab"))
    for case, (tags, stays) in AT_WORK.items():
        run = begun(**{TAG: "another-host:1:0"}, **tags)
        quietly(apply=True)
        assert folder.exists() == stays, case
        MlflowClient().set_terminated(run)


def test_without_runs_nothing_of_runs_is_touched_and_no_database_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = made(tmp_path / "scratch" / "prepared" / "nuclei-simulated-0123456789ab")
    said: list[str] = []
    with own_database(tmp_path):
        assert clean(apply=True, say=said.append) == []
    assert said == ["There are no runs here: scratch and prepared images are left alone.", "Nothing is left over."]
    assert folder.exists()
    assert not (tmp_path / "mlflow.db").exists()


def test_table_tells_what_would_go_and_how(project: Path) -> None:
    aged(made(project / "scratch" / f"{PARTIAL}x"))
    mlflow.search_runs()
    said: list[str] = []
    clean(say=said.append)
    assert "temporary" in said[-2]
    assert said[-1].endswith("Nothing was removed: add -P apply=true to do so.")
