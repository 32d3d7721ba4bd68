"""A command that gets a SIGTERM while it loads libraries, or later, ends at once and leaves no run RUNNING."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from tests.faults.project import Project
from tests.faults.scenarios import TRAIN

pytestmark = [pytest.mark.slow]

INTERRUPTED = (130, -signal.SIGINT)
"""Exit codes; Python ends itself by the signal where a library's C code was interrupted, which shells show as 130."""
LONGEST = 15.0
"""Seconds within which a command ends after its SIGTERM; a step of a training is finished first."""


def test_a_terminated_training_ends_and_its_run_with_it(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    for after in (0.4, 1.0, 2.0, 3.5, 5.0):
        done = project.run(TRAIN, terminate_after=after)
        assert "Traceback" not in done.output, done.output
        assert done.output.strip().splitlines()[-1] == "Interrupted.", (after, done)
        assert done.code in INTERRUPTED, (after, done)
        assert done.seconds < after + LONGEST
        assert "RUNNING" not in project.run_states().values(), after
    assert project.leftovers() == []
