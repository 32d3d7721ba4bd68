"""Several images are worked on at once: few are in memory, the order stays, failures come through."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.conftest import ROOT
from tests.stages.bright_model import bright_model, write_images

from nanonuclei.cli import main
from nanonuclei.stages.predict.flow import AHEAD, ReadAhead, in_order
from nanonuclei.stages.predict.progress import shown_progress

WAIT = 60.0
"""Seconds after which a thread that should have come has not."""


def test_answers_come_in_the_order_of_the_images_and_few_are_in_memory() -> None:
    started, finished, most, answers = [0], [0], [0], []
    lock = threading.Lock()

    def images() -> Iterator[int]:
        for number in range(60):
            with lock:
                started[0] += 1
                most[0] = max(most[0], started[0] - finished[0])
            yield number

    def work(number: int) -> int:
        time.sleep(0.003 if number % 3 else 0.008)
        return number

    def done(number: int) -> None:
        answers.append(number)
        with lock:
            finished[0] += 1

    with ReadAhead(images()) as ahead:
        in_order(ahead, work, workers=2, share=lambda number: 0.25, done=done)
    assert answers == list(range(60))
    assert most[0] <= AHEAD + 4 + 3


@pytest.mark.parametrize("station", ["reading", "working"])
def test_an_error_ends_the_flow_after_the_answers_before_it(station: str) -> None:
    answers: list[int] = []
    begun: list[int] = []

    def images() -> Iterator[int]:
        for number in range(1000):
            if number == 5 and station == "reading":
                raise OSError("reading")
            yield number

    def work(number: int) -> int:
        begun.append(number)
        if number == 5 and station == "working":
            raise OSError("working")
        return number

    with pytest.raises(OSError, match=station), ReadAhead(images()) as ahead:
        in_order(ahead, work, workers=2, share=lambda number: 0.2, done=answers.append)
    assert answers == sorted(set(begun) - {5})  # whatever was begun is kept, and nothing more is begun
    assert station == "reading" or answers[:5] == [0, 1, 2, 3, 4]
    assert max(begun) < 25
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("reading", "working"))]


def flow(work: Callable[[int], int], *, share: Callable[[int], float] = lambda item: 0.2) -> list[int]:
    found: list[int] = []
    with ReadAhead(range(10)) as items:
        in_order(items, work, workers=2, share=share, done=found.append)
    return found


def test_two_are_worked_on_at_a_time() -> None:
    both = threading.Barrier(2, timeout=WAIT)

    def work(item: int) -> int:
        both.wait()  # passes only where another item is worked on meanwhile
        return item

    assert flow(work) == list(range(10))


def test_a_large_item_is_worked_on_alone() -> None:
    at_work: set[int] = set()
    seen: list[set[int]] = []
    lock = threading.Lock()

    def work(item: int) -> int:
        with lock:
            at_work.add(item)
            seen.append(set(at_work))
        time.sleep(0.002)
        with lock:
            at_work.remove(item)
        return item

    assert flow(work, share=lambda item: 1.0 if item % 3 == 0 else 0.2) == list(range(10))
    assert all(len(together) == 1 for together in seen if any(item % 3 == 0 for item in together))


def test_sentences_are_told_once_and_the_log_holds_every_line(tmp_path: Path) -> None:
    said: list[str] = []
    log = tmp_path / "predict.log"
    with shown_progress(3, log=log, say=said.append) as progress:
        for number in range(3):
            progress.once("same", f"channel {number}")
            progress.once("", "nothing")
            progress.log(f"line {number}\nof it")
            progress.advance()
        for number in range(30):
            progress.failed(f"failure {number}")
    assert said == ["channel 0", *(f"failure {number}" for number in range(20)), f"More failures are in {log} alone."]
    assert progress.num_done == 3
    assert [line[20:] for line in log.read_text().splitlines()] == [f"line {number} of it" for number in range(3)]


def test_a_bar_is_shown_on_a_terminal_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    with shown_progress(2, log=tmp_path / "predict.log", say=print) as progress:
        progress.once("a", "Of [a].tif: channel 0")
        progress.advance()
        progress.advance()
    told = re.sub(r"\x1b\[[0-9;?]*[a-z]", "", capsys.readouterr().out)
    assert "Of [a].tif: channel 0" in told
    assert "2/2 files," in told


def test_a_prediction_imports_no_training_no_tracking_and_no_charts(tmp_path: Path) -> None:
    images = write_images(tmp_path / "images", ["a.png"])
    model = bright_model(tmp_path / "model")
    script = (
        "import sys\nfrom nanonuclei.cli import main\n"
        f"assert main(['predict', {str(images)!r}, '--model', '{model}/', '--formats', 'csv,roi,geojson,labels,overlay'"
        ", '--submission']) == 0\n"
        "print(sorted({'keras', 'tensorflow', 'mlflow', 'jax', 'torch', 'matplotlib', 'sklearn', 'dvc', 'rich'} & "
        "set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


SHARED = os.environ.get("NANONUCLEI_SHARED", "")


@pytest.mark.skipif(not SHARED, reason="NANONUCLEI_SHARED names no folder")
@pytest.mark.parametrize(
    ("name", "options", "code", "images"),
    [
        *(
            (name, "", 0, 1)
            for name in ("channels_cyx.ome.tif", "zstack_zyx.tif", "12bit_in_16.tif", "float32_0_1.tif")
        ),
        *((name, "", 0, 1) for name in ("float32_counts_nan.tif", "int16_negative.tif", "uint32.tif", "bool.tif")),
        *((name, "", 0, 1) for name in ("palette.png", "grey.jp2", "grey.webp", "grey.gif", "from_a_mac")),
        ("two_samples_yxc.tif", "", 3, 0),
        ("two_samples_yxc.tif", "--channel 1", 0, 1),
        ("hyperstack_tzcyx.tif", "--channel 1 --z max", 0, 2),
        ("timelapse_tyx.tif", "", 0, 3),
        ("plate", "", 0, 2),
        ("one_broken", "", 3, 2),
    ],
)
def test_files_that_people_bring_are_read(tmp_path: Path, name: str, options: str, code: int, images: int) -> None:
    place, model = Path(SHARED, "cases", name), bright_model(tmp_path / "model")
    words = ["predict", str(place), "--model", f"{model}/", "--output", str(tmp_path / "found"), *options.split()]
    assert main(words) == code
    table = pd.read_csv(tmp_path / "found" / "images.csv")
    assert table["error"].isna().sum() == images
    assert np.isfinite(table.loc[table["error"].isna(), "num_objects"]).all()
