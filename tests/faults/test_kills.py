"""A command that is killed at any moment is gone on with as documented; `run.py` kills all commands, many times."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.faults.kills import base_project, kill_once
from tests.faults.scenarios import SCENARIOS

pytestmark = [pytest.mark.slow]

USUAL_SECONDS = {"fetch": 6.0, "predict": 2.5}
"""About how long the commands take; a kill after their end harms nothing either."""


@pytest.mark.parametrize(("name", "seed"), [("fetch", 0), ("predict", 0), ("predict", 1)])
def test_a_killed_command_is_gone_on_with(name: str, seed: int, tmp_path: Path) -> None:
    scenario = SCENARIOS[name]
    base = base_project(scenario, tmp_path / "base")
    assert kill_once(scenario, base, seed=seed, usual=USUAL_SECONDS[name]).problem == ""
