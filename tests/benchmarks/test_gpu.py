"""The benchmark of the accelerator runs on a CPU too: steps and the training are timed, in the words of its table."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import gpu
import pytest

from nanonuclei.data.catalog import Catalog, save_catalog

ROOT = Path(__file__).parents[2]
SMALL = (
    "train.patch_size=32",
    "network.base_filters=2",
    "network.depth=1",
    "train.epochs=1",
    "train.steps_per_epoch=2",
)


@pytest.mark.slow
def test_bare_and_fed_steps_first_steps_and_the_training_are_timed(
    disc_catalog: Catalog,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    save_catalog(dataclasses.replace(disc_catalog, name="dsb2018"), tmp_path / "prepared")
    monkeypatch.chdir(ROOT)
    asked: list[list[str]] = []

    def here(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        """Times a first step in this process, for the first of two calls."""
        asked.append(command)
        if len(asked) > 1:
            return subprocess.CompletedProcess(command, 0, "0.5\n")
        capsys.readouterr()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", command[1:])
            gpu.main()
        return subprocess.CompletedProcess(command, 0, capsys.readouterr().out)

    monkeypatch.setattr(gpu.subprocess, "run", here)
    words = ["--batches", "2", "--steps", "2", "--rounds", "1", "--set", *SMALL]
    monkeypatch.setattr(sys, "argv", ["gpu.py", str(tmp_path / "prepared"), *words])
    gpu.main()
    told = capsys.readouterr().out
    (row,) = re.findall(r"^ +2 .*$", told, re.M)
    bare, bare_rate, fed, fed_rate, ratio, first, again = map(float, row.split()[1:])
    assert min(bare, fed, first) > 0
    assert again == 0.5
    assert bare_rate == pytest.approx(2000 / bare, rel=0.2)
    assert fed_rate == pytest.approx(2000 / fed, rel=0.2)
    assert ratio == pytest.approx(fed / bare, abs=0.05 + 0.05 / bare)
    assert re.search(r"^the default training: \d+ s of fit, 1 epochs at most$", told, re.M)
    assert len(asked) == 2
