"""The commands of the pages, walked as they stand there: each is parsed, and those of a first hour run, one by one.

They run in one process, in a copy of the project under git, with the smallest settings on simulated images. What is not
run says why.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.clones import environment
from tests.conftest import ROOT
from tests.test_pasting import of_mlflow, parsed

PAGES = ("README.md", "docs/nanotubes.md", "docs/tuning.md", "docs/comparing.md")
BEGINS = re.compile(r"(pip install \S+ uv && )?(mlflow run|PYTHONPATH=src python|python -m nanonuclei|nanonuclei) ")
"""How a command of this project begins; installing MLflow may come before it."""
VALUES = {"FOLDER": "my_images", "NEW": "counts", "RUN_ID": "0" * 32, "RUN": "0" * 32}
"""What a user puts in the place of a word of the pages."""
NOT_RUN = {
    r" -e test\b": "it is what runs this test",
    r"\b(page|serve)\b": "it answers until it is stopped; tests/page and tests/serving/live start it",
    r"\b(correct|finetune)\b|fetch mine|dataset=mine": "tests/stages/test_finetune.py goes through the loop",
    r"\b(export|clean)\b": "tests/stages/export and tests/stages/test_clean.py run it",
    r" -e fetch ": "it needs a network; tests/tasks/nuclei/sources walks it over a local server",
    r" -P resume=": "tests/test_project.py kills and resumes a training",
    r"recipes=": "it trains six networks; the comparison of runs is walked instead",
    r"task=nanotubes|experiment-name nanotubes|labelling2": "tests/stages/test_nanotubes.py trains nanotubes",
    r"recipe=scratch": "a training by the recipe of a search is a training; only its recipe differs",
    r"benchmarks/": "a measurement of hours",
    r"storage=postgresql": "it needs a database server; tests/tune starts one",
    r"run \.($| --env-manager)": "the pipeline takes real images; tests/test_pipeline.py runs it",
}
"""Pattern of a command to the reason why it is parsed only."""
TINY = (
    "network.depth=1 network.base_filters=4 train.patch_size=32 train.batch_size=2 train.steps_per_epoch=2 "
    "train.epochs=1 train.precision=float32 windows.size=64 windows.stride=64 windows.precision=float32 "
    "instances.tune=false evaluate.bootstrap=20 evaluate.num_panels=1 data.simulated.num_images=12 "
    "data.simulated.size=64 train.tensorboard=false tune.epochs=1"
)
SMALL = {"train": ["--set", TINY], "explore": ["--set", TINY], "tune": ["--set", TINY, "--trials", "1"]}
"""Words that make a stage small; the last value of an option counts."""
DRIVER = """
import contextlib, io, json, re, sys
from nanonuclei.cli import main
told = []
run = before = ""
for words in json.load(sys.stdin):
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = main([word.replace("0" * 32, run).replace("1" * 32, before) if run else word for word in words])
    found = re.search(r"^Run ([0-9a-f]{32})$", said.getvalue(), re.MULTILINE)
    run, before = (found.group(1), run) if found and words[0] == "train" else (run, before)
    told.append({"words": words, "code": code, "said": said.getvalue()})
json.dump(told, sys.stdout)
"""
"""Calls the command line for each command; the run trained last takes the place of zeros, the one before of ones."""


def commands(page: str) -> list[str]:
    """Returns the commands of a page, in order, each on one line, without comments."""
    text = (ROOT / page).read_text(encoding="utf-8").replace("\\\n", " ")
    blocks = re.findall(r"^```\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    cells = re.findall(r"`([^`\n]+)`", re.sub(r"^```\n.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    spoken = [cell for cell in cells if "..." not in cell]
    return [re.sub(r"\s+#.*", "", line).strip() for line in (*lines, *spoken) if BEGINS.match(line)]


def words_of(text: str) -> list[str]:
    """Returns the words that the command line gets, placeholders filled in; nothing for a script of benchmarks."""
    words = shlex.split(BEGINS.sub(lambda found: found.group(0).partition("&& ")[2] or found.group(0), text))
    words = [re.sub(r"\b(FOLDER|NEW|RUN_ID|RUN)\b", lambda found: VALUES[found.group(0)], word) for word in words]
    if words[:2] == ["mlflow", "run"]:
        kept = [place for place, word in enumerate(words) if word == "--experiment-name"]
        for place in reversed(kept):
            del words[place : place + 2]
        return [] if words[3:5] == ["-e", "test"] else of_mlflow(words)
    if words[:2] == ["PYTHONPATH=src", "python"]:
        assert (ROOT / words[2]).is_file(), f"{words[2]} is not there"
        return []
    return words[3:] if words[:3] == ["python", "-m", "nanonuclei"] else words[1:]


def reason_not_to_run(text: str) -> str:
    return next((reason for pattern, reason in NOT_RUN.items() if re.search(pattern, text)), "")


ALL = [(page, text) for page in PAGES for text in commands(page)]


@pytest.mark.parametrize(("page", "text"), ALL, ids=lambda value: value)
def test_command_of_a_page_is_one_that_the_program_knows(page: str, text: str) -> None:
    words = words_of(text)
    if words:
        parsed(words)
    for recipe in re.findall(r"recipes/[\w.-]+\.yaml", text):
        assert (ROOT / recipe).is_file()


def test_pages_hold_the_commands_of_each_flow() -> None:
    stages = {page: [words[0] for text in commands(page) if (words := words_of(text))] for page in PAGES}
    for page, wanted in {
        "README.md": "predict promote lineage train fetch explore evaluate tune compare",
        "docs/nanotubes.md": "label fetch explore train predict promote",
        "docs/tuning.md": "compare",
        "docs/comparing.md": "tune train compare",
    }.items():
        assert set(wanted.split()) <= set(stages[page]), page


@pytest.mark.slow
def test_flows_of_the_pages_run_in_order_and_leave_nothing_behind(
    copy_project: Callable[[Path], Path], tmp_path: Path
) -> None:
    clone = copy_project(tmp_path / "clone")
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "All files"]):
        subprocess.run([*git, *words], cwd=clone, check=True, capture_output=True)
    (clone / "my_images").mkdir()
    y, x = np.mgrid[:96, :96]
    spots = sum(np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 60.0) for cy, cx in ((20, 30), (60, 40), (50, 80)))
    cv2.imwrite(str(clone / "my_images" / "01.png"), (20 + 180 * np.clip(spots, 0, 1)).astype(np.uint8))

    walked: dict[str, list[str]] = {}  # by what they ask for: a command that two pages spell differently runs once
    for text in (text for _, text in ALL if not reason_not_to_run(text)):
        words = words_of(text)
        small = [*words, *SMALL.get(words[0], [])] if words else []
        if small:
            walked.setdefault(str(vars(parsed(small))), small)
    done = subprocess.run(
        [sys.executable, "-c", DRIVER],
        input=json.dumps(_without_results(list(walked.values()))),
        cwd=clone,
        env=environment(clone),
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout)
    failed = [f"{shlex.join(step['words'])}\n{step['said'][-1500:]}" for step in told if step["code"] not in (0, 1)]
    assert failed == []
    assert {step["words"][0] for step in told} >= {"predict", "promote", "lineage", "explore", "train", "evaluate"}
    assert {step["words"][0] for step in told} >= {"tune", "compare", "label"}
    refused = [step["words"][0] for step in told if step["code"] == 1]
    assert set(refused) <= {"promote"}  # the gate, for a model of simulated images
    state = subprocess.run(["git", "status", "--porcelain"], cwd=clone, capture_output=True, text=True, check=True)
    assert state.stdout == ""


def _without_results(walked: list[list[str]]) -> list[list[str]]:
    """Gives each command that writes a folder one of its own, as users who repeat it do, and a comparison two runs."""
    found = []
    for number, words in enumerate(walked):
        own = list(words)
        if own[0] == "predict" and number:
            own += ["--output", f"scratch/counts{number}"]
        if own[0] == "compare":
            found.append(["train", "nuclei", "--set", f"{TINY} seed=8"])
            own = [*own[: own.index("--runs")], "--runs", f"untuned={'1' * 32} tuned={'0' * 32}", "--seeds", "1"]
        found.append(own)
    return found
