"""An interrupt that a library turned into another error is still an interrupt."""

from __future__ import annotations

import contextlib
import gc
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nanonuclei import cli, commands, interrupts
from nanonuclei.data.catalog import Catalog
from nanonuclei.invocation import PARENT_VARIABLE
from nanonuclei.tasks.nuclei.config import NucleiExperiment
from nanonuclei.tracking.runs import existing_run, stage_run
from nanonuclei.tune import objective
from nanonuclei.tune.base import Proposal

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    kept = [signal.getsignal(each) for each in SIGNALS]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the tests may run in the background of a script
    yield
    interrupts.listen()
    for each, handler in zip(SIGNALS, kept, strict=True):
        signal.signal(each, handler)


def traced(*_: object, **__: object) -> None:
    """Does as TensorFlow does when it is interrupted while it traces a function."""
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        raise SystemError("bad argument to internal function") from None


@pytest.mark.parametrize("signum", SIGNALS)
def test_signal_is_a_keyboard_interrupt_and_so_is_every_error_after_it(signum: int) -> None:
    interrupts.listen()
    assert not interrupts.interrupted(ValueError())
    assert interrupts.interrupted(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signum)
    assert interrupts.interrupted(ValueError())
    interrupts.listen()
    assert not interrupts.interrupted(ValueError())


@pytest.mark.parametrize("signum", SIGNALS)
def test_signal_that_falls_where_python_ignores_errors_is_heard(signum: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)  # put back afterwards
    interrupts.listen()

    def once(*_: object) -> None:
        gc.callbacks.remove(once)
        signal.raise_signal(signum)

    gc.callbacks.append(once)
    gc.collect()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        threading.Event().wait(60)
    assert time.monotonic() - began < 30, "the main thread was not woken"


def test_signal_that_wakes_nobody_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    monkeypatch.setattr(interrupts, "_send", sent.append)  # as if it fell before the wait
    interrupts.listen()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)
    sender = threading.Thread(target=interrupts._send_until_heard, args=(signal.SIGTERM, 1))
    sender.start()
    until = time.monotonic() + 60
    while len(sent) < 2 and time.monotonic() < until:
        time.sleep(0.01)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)
    sender.join(60)
    assert not sender.is_alive()
    assert sent[:2] == [signal.SIGTERM, signal.SIGTERM]


def test_job_in_the_background_of_a_script_stays_deaf() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    interrupts.listen()
    signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_command_says_that_it_was_interrupted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands.training, "run_train", traced)
    assert cli.main(["train", "nuclei"]) == 130
    assert capsys.readouterr().err.strip() == "Interrupted."


def test_command_that_goes_on_says_so_and_one_that_another_started_leaves_it_to_that_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands.searching, "run_compare", traced)
    monkeypatch.setattr(commands.training, "run_train", traced)
    assert cli.main(["compare", "nuclei", "--runs", "a=b c=d"]) == 130
    assert capsys.readouterr().err.strip() == "Interrupted. The same command goes on; finished trainings are kept."
    monkeypatch.setenv(PARENT_VARIABLE, "0" * 32)
    assert cli.main(["train", "nuclei"]) == 130
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("project")
def test_run_ends_as_killed() -> None:
    interrupts.listen()
    seen = []
    with contextlib.suppress(SystemError), stage_run("train", name="a name", tags={}) as run_id:
        seen.append(run_id)
        traced()
    assert existing_run(seen[0]).info.status == "KILLED"


def test_search_does_not_go_on_after_a_failed_trial(
    experiment: Callable[..., NucleiExperiment],
    disc_catalog: Catalog,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(objective, "fit", traced)
    interrupts.listen()
    data = objective.TrialData(disc_catalog.split("train"), disc_catalog.split("val"))
    with pytest.raises(KeyboardInterrupt):
        objective.run_trial(
            experiment(),
            Proposal(0, {}),
            data,
            folder=tmp_path,
            report=lambda epoch, value: None,
            on_epoch=lambda epoch, metrics: None,
        )
