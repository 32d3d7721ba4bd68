"""What must hold of the files of the project themselves."""

from __future__ import annotations

import ast
import itertools
import re
import runpy
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from nanonuclei.serving.store import REQUIREMENTS

ROOT = Path(__file__).parents[1]
LOCK = (ROOT / "requirements.txt").read_text().splitlines()
PINS = dict(line.split("==") for line in LOCK if "==" in line)


def tracked_files() -> list[Path]:
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in done.stdout.splitlines()]


def test_lock_holds_nothing_but_exact_pins() -> None:
    assert all(re.fullmatch(r"[a-z0-9.\-]+==[^\s;]+", line) for line in LOCK)


def test_lock_meets_every_dependency_that_is_named() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for text in [*project["dependencies"], *itertools.chain(*project["optional-dependencies"].values())]:
        requirement = Requirement(text)
        assert requirement.specifier.contains(PINS[requirement.name]), text


def test_required_packages_are_there_and_their_rivals_are_not() -> None:
    assert set(PINS) >= {"mlflow", "tensorflow", "keras-tuner", "optuna", "numpy", "pandas", "scikit-learn", "dvc"}
    assert set(PINS) >= {"matplotlib", "opencv-python-headless", "tensorboard", "psutil", "nvidia-ml-py"}
    assert not set(PINS) & {"opencv-python", "tensorflow-cpu"}


def test_served_model_asks_for_packages_of_the_lock() -> None:
    assert set(REQUIREMENTS) <= set(PINS)


def test_environments_refer_to_the_one_lock() -> None:
    conda = yaml.safe_load((ROOT / "conda.yaml").read_text())
    assert conda["dependencies"] == ["python=3.11", "pip", {"pip": ["-r requirements.txt"]}]
    gpu = [line for line in (ROOT / "requirements-gpu.txt").read_text().splitlines() if not line.startswith("#")]
    assert gpu == ["-r requirements.txt", "tensorflow[and-cuda]"]
    assert f"mlflow=={PINS['mlflow']}" in (ROOT / "README.md").read_text()


def test_pages_tell_the_sizes_that_the_model_which_comes_along_was_shown() -> None:
    shown = yaml.safe_load((ROOT / "models/nuclei/config.yaml").read_text())["nuclei"]["augment"]
    told = f"{shown['least_diameter']:g} to {shown['largest_diameter']:g} px"
    for page in ("README.md", "models/nuclei/README.md"):
        sizes = re.findall(r"[Nn]uclei of (?:about )?(\d+ to \d+ px)", (ROOT / page).read_text())
        assert sizes == [told], page


def test_entry_points_call_stages_that_exist() -> None:
    from nanonuclei.cli import _parser

    project = yaml.safe_load((ROOT / "MLproject").read_text())
    for name, entry in project["entry_points"].items():
        words = entry["command"].replace("{task}", "nuclei").replace("{dataset}", "dsb2018")
        words = re.sub(r"\{(submission|resume|allow_simulated|rollback|apply|no_browser|wait)\}", "true", words)
        if name == "test":
            assert words == "python tests/check.py {options}"
        else:
            assert words.startswith("python src/nanonuclei ")
            _parser().parse_args(re.sub(r"\{\w+\}", "x", words).split("nanonuclei ", 1)[1].split())


UNIX_ONLY = {"crypt", "fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}


def test_no_module_of_the_package_imports_what_only_unix_has() -> None:
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not UNIX_ONLY & {name.split(".")[0] for name in names}, path


def test_nothing_is_tracked_that_a_run_makes_but_the_small_results_of_the_pipeline() -> None:
    for path in tracked_files():
        parts = path.relative_to(ROOT).parts
        assert not {"mlruns", "__pycache__", "scratch"} & set(parts)
        assert path.suffix not in (".pyc", ".db", ".keras", ".h5")
        if parts[0] == "build":
            assert path.name == ".gitignore" or parts[2] in ("metrics", "plots"), path
            assert path.stat().st_size < 50_000, path


@pytest.mark.parametrize("dead", ["file:./mlruns", "artifact_path=", "autolog(", "transition_model_version_stage"])
def test_dead_ways_of_mlflow_are_not_used(dead: str) -> None:
    for path in (ROOT / "src").rglob("*.py"):
        assert dead not in path.read_text(), path


def test_no_module_writes_by_a_function_that_only_answers_false_where_it_fails() -> None:
    for path in (ROOT / "src").rglob("*.py"):
        assert "cv2.imwrite" not in path.read_text(), path


def test_the_test_command_does_not_log_into_the_run_of_its_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    check, environments = runpy.run_path(str(ROOT / "tests" / "check.py")), []

    def record(*_: object, env: dict[str, str], **__: object) -> subprocess.CompletedProcess[str]:
        environments.append(env)
        return subprocess.CompletedProcess([], 0)

    monkeypatch.setattr(subprocess, "run", record)
    for name in check["RUN_OF_CALLER"]:
        monkeypatch.setenv(name, "x")
    assert check["main"]([]) == 0
    assert not [name for env in environments for name in env if name.startswith("MLFLOW_")]


@pytest.mark.parametrize("asked", ["", "1"], ids=["beside the source", "not beside the source"])
def test_the_processes_of_the_test_command_compile_python_once(monkeypatch: pytest.MonkeyPatch, asked: str) -> None:
    check, environments = runpy.run_path(str(ROOT / "tests" / "check.py")), []

    def record(*_: object, env: dict[str, str], **__: object) -> subprocess.CompletedProcess[str]:
        environments.append(env)
        return subprocess.CompletedProcess([], 0)

    monkeypatch.setattr(subprocess, "run", record)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", asked)
    monkeypatch.delenv("PYTHONPYCACHEPREFIX", raising=False)
    assert check["main"]([]) == 0
    assert not any(env.get("PYTHONDONTWRITEBYTECODE") for env in environments)
    assert len({env.get("PYTHONPYCACHEPREFIX") for env in environments}) == 1
    assert all(("PYTHONPYCACHEPREFIX" in env) == bool(asked) for env in environments)
