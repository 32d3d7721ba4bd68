"""For each command: what it needs, how it is called, how one goes on after a kill, and what must be there then."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import yaml
from tests.conftest import disc_sample
from tests.data.files.synthetic import opencv
from tests.faults.project import Done, Project
from tests.hostile.archives import packed as zip_of
from tests.hostile.archives import parts

TRAIN = ("train", "nuclei", "--dataset", "simulated")
TUNE = ("tune", "nuclei", "--dataset", "simulated", "--trials", "2", "--study", "s")
PREDICT = ("predict", "images", "--model", "nuclei", "--output", "found", "--formats", "csv,labels")
FETCH = ("fetch", "dsb2018", "--source", "new.zip")
TARGET = Path("data", "dsb2018", "stage1_train.zip")
"""The data set that `fetch` puts in place."""


@dataclass(frozen=True)
class Scenario:
    """A command that is killed, and the documented way on.

    Attributes:
        name: Of the command.
        needs_run: Whether a finished training must be there before.
        make_ready: Puts what it reads into the project.
        words: Of the command.
        go_on: From the project after the kill to the commands that finish the work, in order.
        problem: What is wrong afterwards; empty where nothing is. Takes the project and how the last command ended.
        whole: What is wrong at any moment, also right after the kill; empty where nothing is.
        expected: Exit codes of the last command.
    """

    name: str
    needs_run: bool
    make_ready: Callable[[Project], None]
    words: Callable[[Project], Sequence[str]]
    go_on: Callable[[Project], list[Sequence[str]]]
    problem: Callable[[Project, Done], str]
    whole: Callable[[Project], str] = lambda project: ""
    expected: tuple[int, ...] = (0,)


def _nothing(project: Project) -> None:
    pass


def _no_problem(project: Project, done: Done) -> str:
    return ""


def _trained(project: Project) -> str:
    return project.runs_of("train")[0]


# prepare -------------------------------------------------------------------------------------------------------------


NUM_PREPARED = 10


def _write_data_set(project: Project) -> None:
    """The pipeline reads the real data set: here one of ten drawn images."""
    found = {}
    for number in range(NUM_PREPARED):
        sample = disc_sample(f"s{number}", seed=number)
        found[f"s{number}/images/s{number}.png"] = opencv(sample.image, ".png")
        for label in np.unique(sample.labels)[1:]:
            mask = np.where(sample.labels == label, 255, 0).astype(np.uint8)
            found[f"s{number}/masks/{label}.png"] = opencv(mask, ".png")
    target = project.folder / TARGET
    target.parent.mkdir(parents=True)
    target.write_bytes(zip_of(found))


def _prepared_problem(project: Project, done: Done) -> str:
    folder = project.folder / "build" / "nuclei" / "prepared"
    samples = sorted((folder / "images").glob("*.png"))
    broken = [path.name for path in samples if cv2.imread(str(path), cv2.IMREAD_UNCHANGED) is None]
    return f"{len(samples)} images, broken: {broken}" if len(samples) != NUM_PREPARED or broken else ""


# train ---------------------------------------------------------------------------------------------------------------


def _go_on_training(project: Project) -> list[Sequence[str]]:
    """Resumes the run, as the README says; where the kill came before its settings were written, begins anew."""
    runs = project.runs_of("train")
    if runs and (project.folder / "scratch" / "runs" / runs[-1] / "config.yaml").is_file():
        return [("train", "nuclei", "--resume", runs[-1])]
    return [TRAIN]


def _trained_problem(project: Project, done: Done) -> str:
    states = project.run_states()
    last = project.runs_of("train")[-1]
    found = [path for path in project.folder.rglob("network.onnx") if "models" not in path.parts[:1]]
    if states[last] != "FINISHED":
        return f"the run is {states[last]}"
    return "" if found else "no model was logged"


# tune ----------------------------------------------------------------------------------------------------------------


def _searched_problem(project: Project, done: Done) -> str:
    best = project.folder / "scratch" / "tune" / "s" / "best.yaml"
    if not best.is_file():
        found = list((project.folder / "scratch" / "tune").rglob("*.yaml"))
        return f"no recipe of the best trial, but {found}"
    return "" if isinstance(yaml.safe_load(best.read_text(encoding="utf-8")), dict) else "the recipe is broken"


# promote -------------------------------------------------------------------------------------------------------------


def _promoted_problem(project: Project, done: Done) -> str:
    import contextlib
    import sqlite3

    with contextlib.closing(sqlite3.connect(project.folder / "mlflow.db")) as database:
        versions = database.execute("select version from model_versions where name = 'nuclei'").fetchall()
        aliases = dict(database.execute("select alias, version from registered_model_aliases").fetchall())
    if len(versions) != 1:
        return f"{len(versions)} versions of one model"
    return "" if str(aliases.get("champion")) == str(versions[0][0]) else f"aliases {aliases}"


# predict -------------------------------------------------------------------------------------------------------------


def _write_images(project: Project) -> None:
    (project.folder / "images").mkdir()
    for seed in range(6):
        cv2.imwrite(str(project.folder / "images" / f"{seed}.png"), disc_sample("x", seed=seed, shape=(96, 96)).image)


def _go_on_predicting(project: Project) -> list[Sequence[str]]:
    return [(*PREDICT, "--resume")]


def _predicted_problem(project: Project, done: Done) -> str:
    labels = sorted(path.name for path in (project.folder / "found" / "labels").glob("*.png"))
    rows = (project.folder / "found" / "images.csv").read_text(encoding="utf-8").splitlines()
    return "" if len(labels) == 6 and len(rows) == 7 else f"{labels}, {len(rows)} lines"


# fetch ---------------------------------------------------------------------------------------------------------------


def _write_archives(project: Project) -> None:
    old = {name: content for name, content in parts().items() if name.startswith("a/")}
    target = project.folder / TARGET
    target.parent.mkdir(parents=True)
    target.write_bytes(zip_of(old))
    (project.folder / "new.zip").write_bytes(zip_of(parts()))


def _archive_whole(project: Project) -> str:
    """The data set is the old one or the new one at any moment."""
    import zipfile

    path = project.folder / TARGET
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name for name in archive.namelist() if archive.read(name)}
    except (OSError, zipfile.BadZipFile) as error:
        return f"the data set is broken: {error}"
    kinds = [{name for name in parts() if name.startswith("a/")}, set(parts())]
    return "" if names in kinds else f"the data set is neither the old one nor the new one: {sorted(names)}"


def _fetched_problem(project: Project, done: Done) -> str:
    digest = hashlib.sha256((project.folder / TARGET).read_bytes()).hexdigest()
    told = re.search(r"sha256 ([0-9a-f]{12})", done.output)
    return "" if told and digest.startswith(told.group(1)) else f"the data set has {digest[:12]}: {done.output[-200:]}"


SCENARIOS = {
    one.name: one
    for one in (
        Scenario(
            "prepare",
            False,
            _write_data_set,
            lambda project: ("prepare", "nuclei"),
            lambda project: [("prepare", "nuclei")],
            _prepared_problem,
        ),
        Scenario("train", False, _nothing, lambda project: TRAIN, _go_on_training, _trained_problem),
        Scenario(
            "evaluate",
            True,
            _nothing,
            lambda project: ("evaluate", "--run", _trained(project)),
            lambda project: [("evaluate", "--run", _trained(project))],
            _no_problem,
        ),
        Scenario(
            "promote",
            False,
            _nothing,
            lambda project: ("promote", "nuclei", "--model", "nuclei"),
            lambda project: [("promote", "nuclei", "--model", "nuclei")],
            _promoted_problem,
        ),
        Scenario("tune", False, _nothing, lambda project: TUNE, lambda project: [TUNE], _searched_problem),
        Scenario("predict", False, _write_images, lambda project: PREDICT, _go_on_predicting, _predicted_problem),
        Scenario(
            "fetch",
            False,
            _write_archives,
            lambda project: FETCH,
            lambda project: [FETCH],
            _fetched_problem,
            whole=_archive_whole,
        ),
    )
}
