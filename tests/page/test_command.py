"""The command `page`: starts without Keras and MLflow, ends clean, and tells what is wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests
from tests.conftest import ROOT
from tests.page.conftest import Client
from tests.stages.bright_model import bright_model, disc_image

from nanonuclei.cli import main
from nanonuclei.config.params import load_experiment
from nanonuclei.packaged import how_to_install
from nanonuclei.page import server
from nanonuclei.page.controls import shown_controls
from nanonuclei.page.server import Address, application, decoded_limits
from nanonuclei.page.workbench import Workbench
from nanonuclei.serving.named import NamedModel, OpenedModel
from nanonuclei.tasks import controls_of, create_reader, measure_meanings_of, measure_texts_of, task_names

HEAVY = "('keras', 'tensorflow', 'mlflow', 'jax', 'matplotlib')"


def test_page_imports_neither_keras_nor_mlflow() -> None:
    code = (
        "import sys, nanonuclei.page.opening, nanonuclei.page.server\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": "src"}, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--port", "x"], "port must be a whole number from 0 to 65535, got 'x'"),
        (["--port", "70000"], "port must be a whole number from 0 to 65535, got '70000'"),
        (["--model", "nucleus"], "no model 'nucleus'"),
        (["--set", "train.epochs=3"], "a trained model keeps its train.epochs; page can change"),
    ],
)
def test_mistakes_are_told(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["page", *words]) == 2
    assert sentence in capsys.readouterr().err


def test_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delitem(sys.modules, "nanonuclei.page.server")
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["page"]) == 2
    assert how_to_install("page") in capsys.readouterr().err


@pytest.mark.parametrize("task", ["nuclei", "nanotubes"])
def test_controls_are_of_parameters_that_the_reader_takes(task: str) -> None:
    reader = create_reader(load_experiment(task, path=ROOT / "params.yaml"))
    assert set(controls_of(task)) <= set(reader.parameters)
    assert measure_texts_of(task)
    for name, text in measure_texts_of(task).items():
        meaning = measure_meanings_of(task)[name]
        assert len(meaning) > len(text)
        assert not meaning.lower().startswith("enlarged")
    for control in controls_of(task).values():
        assert control.words or control.low < control.high
        assert control.meaning.endswith(".")


def test_task_without_controls_gets_sliders_of_its_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nanonuclei.page.controls.controls_of", lambda task: {})
    reader = create_reader(load_experiment(task_names()[0], path=ROOT / "params.yaml"))
    shown = {one["name"]: one for one in shown_controls(reader)}
    assert (shown["threshold"]["low"], shown["threshold"]["high"]) == (0.0, 1.0)
    assert shown["min_area"]["high"] >= 100
    assert shown["num_views"]["network"]
    assert not shown["min_area"]["network"]


def test_other_machines_may_come_only_where_that_was_asked_for(tmp_path: Path) -> None:
    config = load_experiment("nuclei", path=ROOT / "params.yaml")
    opened = OpenedModel(NamedModel("none", tmp_path), config, lambda batch: batch)
    bench = Workbench(opened, limits=decoded_limits())
    here, everywhere = (application(bench, one, folder=tmp_path) for one in (Address(), Address("0.0.0.0")))
    hosts = ["localhost:7860", "192.0.2.7:7860", "[2001:db8::1]:7860", "rebound.example:7860"]
    assert [here._is_own(host) for host in hosts] == [True, False, False, False]  # type: ignore[attr-defined]
    assert [everywhere._is_own(host) for host in hosts] == [True, True, True, False]  # type: ignore[attr-defined]


def test_page_may_be_opened_by_the_name_of_a_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_experiment("nuclei", path=ROOT / "params.yaml")
    opened = OpenedModel(NamedModel("none", tmp_path), config, lambda batch: batch)
    monkeypatch.setenv(server.NAMES, "Page.lab.example, other.example")
    door = application(Workbench(opened, limits=decoded_limits()), Address("0.0.0.0"), folder=tmp_path)
    hosts = ["page.lab.example", "page.lab.example:8443", "other.example", "lab.example", ""]
    assert [door._is_own(host) for host in hosts] == [True, True, True, False, False]  # type: ignore[attr-defined]


def test_warning_where_other_machines_may_come(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told: list[str] = []
    config = load_experiment("nuclei", path=ROOT / "params.yaml")
    opened = OpenedModel(NamedModel("none", tmp_path), config, lambda batch: batch)

    def ready(self: server._Server, **_: object) -> None:
        self._ready()

    monkeypatch.setattr(server._Server, "run", ready)
    monkeypatch.setattr(server, "application", lambda *_, **__: None)
    server.serve(opened, Address("0.0.0.0", 0), browser=False, say=told.append)
    assert "no password" in told[1]
    told.clear()
    server.serve(opened, Address(port=0), browser=False, say=told.append)
    assert told[1:] == ["The page is closed."]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="other processes cannot send SIGTERM on Windows")
@pytest.mark.parametrize(("sign", "deaf"), [(signal.SIGINT, False), (signal.SIGINT, True), (signal.SIGTERM, False)])
def test_page_of_a_folder_answers_and_deletes_what_was_dropped_when_it_ends(
    tmp_path: Path, sign: int, deaf: bool
) -> None:
    model = bright_model(tmp_path / "model")
    words = [sys.executable, "-u", "-m", "nanonuclei", "page", "--model", f"{model}/", "--port", "0", "--no-browser"]
    (tmp_path / "temporary").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "TMPDIR": str(tmp_path / "temporary")}
    if deaf:  # as a job in the background of a script is
        words = ["sh", "-c", "trap '' INT; exec \"$@\"", "sh", *words]
    started = subprocess.Popen(words, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
    with started as process:
        try:
            assert process.stdout is not None
            told = next(line for line in process.stdout if line.startswith("The page is at "))
            client = Client(told.split()[4])
            assert client.objects(client.upload(disc_image())["id"]).json()["count"] == 3
            assert len(list((tmp_path / "temporary").glob("nanonuclei-page-*/*"))) == 1
            process.send_signal(sign)
            assert process.wait(120) == 0
            assert process.stdout.read().strip() == "The page is closed."
        finally:
            process.kill()
    assert list((tmp_path / "temporary").glob("nanonuclei-page-*")) == []
    with pytest.raises(requests.ConnectionError):
        client.ask("GET", "/api/model")


@pytest.mark.slow
def test_first_answer_comes_within_two_seconds_and_a_slider_within_three_tenths(tmp_path: Path) -> None:
    import cv2
    import numpy as np
    from tests.page.conftest import running

    from nanonuclei.serving.named import open_model

    example = cv2.imread(str(ROOT / "models" / "nuclei" / "examples" / "simulated-3.png"), cv2.IMREAD_GRAYSCALE)
    image = np.tile(example, (2, 2))
    assert image.shape == (512, 512)
    first_seconds, moved = [], []  # of all processors, to which other programs of the machine add nothing
    with running(open_model("nuclei"), tmp_path / "uploads") as url:
        client = Client(url)
        for turn in range(3):
            started = time.process_time()
            key = client.upload(np.rot90(image, turn))["id"]
            first = client.objects(key).json()
            first_seconds.append(time.process_time() - started)
            assert first["network"]
            assert first["count"] > 100
            for threshold in (0.35, 0.45, 0.55, 0.65):
                started = time.process_time()
                answer = client.objects(key, threshold=threshold).json()
                moved.append(time.process_time() - started)
                assert not answer["network"]
    print(f"first answer {min(first_seconds):.2f} s, slider {min(moved):.3f} s, {first['count']} nuclei")
    assert min(first_seconds) < 4.0  # 2 s on two processors
    assert min(moved) < 0.3
