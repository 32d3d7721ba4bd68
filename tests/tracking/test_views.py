"""Links into MLflow's user interface open it with the runs chosen; the page is read by a headless browser."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from mlflow.entities import Metric
from mlflow.tracking import MlflowClient
from tests.clones import environment

from nanonuclei.serving.probe import free_port
from nanonuclei.tracking.database import LOCAL_UI, ui_link
from nanonuclei.tracking.runs import PARENT
from nanonuclei.tracking.views import MOST_CHARACTERS, SHARED_STATE, View, share_view, side_by_side

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
STARTING_SECONDS = 240


@pytest.fixture
def compared(project: Path) -> tuple[str, list[str]]:
    """A comparison and its trainings, which are runs below it; and a run that is no part of it."""
    client = MlflowClient()
    parent = client.create_run("0", run_name="compare both").info.run_id
    client.set_terminated(parent)
    ids = []
    for recipe in ("untuned", "tuned"):
        tags = {"recipe": recipe, "compared_in": parent, PARENT: parent}
        run_id = client.create_run("0", run_name=f"train discs {recipe}", tags=tags).info.run_id
        curve = [Metric("val/loss", 1.0 / step, 0, step) for step in (1, 2, 3)]
        score = 0.25 if recipe == "untuned" else 0.75
        client.log_batch(run_id, metrics=[*curve, Metric("system/cpu", 99.0, 0, 0), Metric("test/iou", score, 0, 0)])
        client.set_terminated(run_id)
        ids.append(run_id)
    client.set_terminated(client.create_run("0", run_name="something else").info.run_id)
    return parent, ids


def view(parent: str, columns: tuple[str, ...] = ("tags.recipe", "metrics.test/iou")) -> View:
    return View(f"tags.compared_in = '{parent}'", "metrics.test/iou", False, columns, ("test/iou",), ("val/loss",))


def test_view_is_stored_in_a_tag_of_the_experiment_that_its_link_names(compared: tuple[str, list[str]]) -> None:
    parent, _ = compared
    link = share_view(parent, view(parent))
    assert link == f"#/experiments/0/runs?viewStateShareKey={parent}&compareRunsMode=TABLE"
    state = json.loads(MlflowClient().get_experiment("0").tags[f"{SHARED_STATE}{parent}"])
    assert (state["searchFilter"], state["orderByKey"]) == (f"tags.compared_in = '{parent}'", "metrics.`test/iou`")
    assert state["selectedColumns"] == ["tags.`recipe`", "metrics.`test/iou`"]
    assert [(card["type"], card["metricKey"]) for card in state["compareRunCharts"]] == [
        ("BAR", "test/iou"),
        ("LINE", "val/loss"),
    ]
    assert [section["uuid"] for section in state["compareRunSections"]] == ["scores", "curves"]


def test_columns_that_do_not_fit_into_the_tag_are_left_out_from_the_end(compared: tuple[str, list[str]]) -> None:
    parent, _ = compared
    columns = tuple(f"params.a.setting.with.a.long.name.{place}" for place in range(300))
    share_view(parent, view(parent, columns), key="long")
    text = MlflowClient().get_experiment("0").tags[f"{SHARED_STATE}long"]
    assert MOST_CHARACTERS - 60 < len(text) <= MOST_CHARACTERS
    assert json.loads(text)["selectedColumns"][0] == "params.`a.setting.with.a.long.name.0`"


def test_link_names_the_server_or_what_starts_the_user_interface(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ui_link("#/x") == (
        f"{LOCAL_UI}/#/x\n  after starting the user interface by `mlflow ui --backend-store-uri "
        f"{mlflow.get_tracking_uri()}`"
    )
    monkeypatch.setattr(mlflow, "get_tracking_uri", lambda: "https://me:SECRET@lab.example/")
    assert ui_link("#/x") == "https://me:***@lab.example/#/x"


@pytest.fixture
def ui(project: Path) -> Iterator[str]:
    """The address of MLflow's user interface over the runs of the test."""
    if BROWSER is None:
        pytest.skip("no chromium here to read the page with")
    port = free_port()
    words = ["mlflow", "server", "--backend-store-uri", mlflow.get_tracking_uri(), "--port", str(port)]
    process = subprocess.Popen(
        [sys.executable, "-m", *words, "--workers", "1"],
        env=environment(project),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + STARTING_SECONDS
        while not _answers(f"http://127.0.0.1:{port}/health"):
            assert process.poll() is None, "the user interface did not start"
            assert time.monotonic() < until, "the user interface does not answer"
            time.sleep(0.5)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=20)


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def page(address: str, profile: Path) -> str:
    """Returns a page as the browser shows it, once its scripts have run."""
    done = subprocess.run(
        [
            *(str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
            *(f"--user-data-dir={profile}", "--window-size=1800,900", "--virtual-time-budget=60000"),
            *("--dump-dom", address),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout


@pytest.mark.slow
def test_link_of_a_comparison_shows_its_runs_side_by_side_with_scores(
    compared: tuple[str, list[str]], ui: str, tmp_path: Path
) -> None:
    parent, ids = compared
    profile = tmp_path / "profile"
    shown = page(f"{ui}/{share_view(parent, view(parent))}", profile)
    assert all(run_id in shown for run_id in ids)
    assert all(text in shown for text in ("2</strong> matching runs", "0.75", "0.25", "tuned", "test/iou")), shown
    assert "something else" not in shown
    assert "does not exist" not in shown
    both = page(f"{ui}/{side_by_side(ids)}", profile)
    assert "Comparing 2 Runs" in both
    assert all(run_id in both for run_id in ids)
