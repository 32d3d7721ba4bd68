"""Kills a command at a random moment, goes on as documented, and says what is wrong afterwards."""

from __future__ import annotations

import random
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.faults.project import Project
from tests.faults.scenarios import TRAIN, Scenario


@dataclass(frozen=True)
class Outcome:
    """What came of one kill.

    Attributes:
        killed_after: Seconds; the command had ended by itself where it took less.
        problem: What is wrong; empty where nothing is.
    """

    killed_after: float
    problem: str


def base_project(scenario: Scenario, folder: Path) -> Project:
    """Makes the project that all kills of a scenario begin with."""
    project = Project(folder)
    if scenario.needs_run:
        done = project.run(TRAIN)
        if done.code:
            raise RuntimeError(f"the training before failed: {done.output[-500:]}")
    scenario.make_ready(project)
    return project


def usual_seconds(scenario: Scenario, base: Project) -> float:
    """Returns how long the command takes when nobody kills it.

    Raises:
        RuntimeError: It fails.
    """
    with tempfile.TemporaryDirectory() as name:
        project = base.copy(Path(name) / "project")
        done = project.run(scenario.words(project))
        problem = scenario.problem(project, done) if done.code in scenario.expected else f"exit code {done.code}"
        if problem:
            raise RuntimeError(f"{scenario.name} fails unkilled: {problem}: {done.output[-500:]}")
    return done.seconds


def kill_once(scenario: Scenario, base: Project, *, seed: int, usual: float) -> Outcome:
    """Kills the command at a moment drawn by the seed, then goes on.

    Args:
        scenario: The command.
        base: The project to begin with, which is copied.
        seed: Draws the moment.
        usual: Seconds that the command takes.
    """
    after = random.Random(f"{scenario.name} {seed}").uniform(0.05, 1.0) * usual
    with tempfile.TemporaryDirectory() as name:
        project = base.copy(Path(name) / "project")
        project.run(scenario.words(project), kill_after=after)
        return Outcome(after, scenario.whole(project) or _after_going_on(scenario, project))


def _after_going_on(scenario: Scenario, project: Project) -> str:
    for words in scenario.go_on(project):
        done = project.run(words)
        if "Traceback" in done.output:
            return f"a traceback of {' '.join(words)}: {done.output[-600:]}"
        if done.code not in scenario.expected:
            return f"{' '.join(words)} ends with {done.code}: {done.output[-400:]}"
    running = [run for run, state in project.run_states().items() if state == "RUNNING"]
    if running:
        return f"runs that nobody works on are RUNNING: {running}"
    return scenario.problem(project, done)
