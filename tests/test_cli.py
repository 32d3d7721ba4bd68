from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from nanonuclei import cli

ROOT = Path(__file__).parents[1]


def run(*words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONWARNINGS": "default"}
    return subprocess.run(
        [sys.executable, "-m", "nanonuclei", *words],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_help_names_every_stage_and_loads_nothing_heavy() -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    code = (
        "import sys\nfrom nanonuclei.cli import main\ntry:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'keras', 'tensorflow', 'mlflow', 'numpy', 'pydantic', 'cv2'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    for stage in ("fetch", "explore", "train", "evaluate"):
        assert stage in done.stdout
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.7


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("train", "nuclei", "--set", "train.epoch=3"), "Did you mean train.epochs"),
        (("train", "nuclei", "--set", "train.epochs=0"), "greater than or equal to 1"),
        (("train", "nuclei", "--set", "train.epochs"), "must read PATH=VALUE"),
        (("train", "nuclei", "--recipe", "recipes/simulatd.yaml"), "Did you mean recipes/simulated.yaml"),
        (("train", "nuclei", "--dataset", "dsb"), "unknown dataset 'dsb'. Did you mean dsb2018"),
        (("train", "nucleus"), "Did you mean nuclei"),
        (("train", "nuclei", "--resume", "x", "--set", "train.epochs=3"), "keeps its own settings"),
        (("explore", "nuclei", "--set", "seed=one"), "seed=one"),
    ],
)
def test_wrong_input_is_one_message_and_exit_code_2(
    words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert cli.main(words) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith("Error: ")
    assert message in shown.err
    assert "Traceback" not in shown.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("evaluate", "--run", "nonsense"), "no run 'nonsense'"),
        (("train", "nuclei", "--resume", "nonsense"), "no run 'nonsense'"),
        (("fetch", "dsb2017"), "unknown dataset 'dsb2017'. Did you mean dsb2018"),
        (("fetch", "dsb2018", "--source", "nowhere.zip"), "nowhere.zip"),
    ],
)
@pytest.mark.usefixtures("project")
def test_what_is_not_there_is_one_message_and_exit_code_2(
    words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert "Traceback" not in shown.err


def test_version_is_printed() -> None:
    assert run("--version").stdout.strip() == "0.1.0"


def test_no_stage_is_an_error_with_the_usage() -> None:
    done = run()
    assert done.returncode == 2
    assert "usage:" in done.stderr


def test_the_folder_of_the_package_starts_it_from_anywhere_for_child_processes_too(tmp_path: Path) -> None:
    code = (
        "import runpy, subprocess, sys\nsys.argv = ['nanonuclei', '--version']\n"
        f"try:\n    runpy.run_path({str(ROOT / 'src' / 'nanonuclei')!r}, run_name='__main__')\n"
        "except SystemExit:\n    pass\n"
        "subprocess.run([sys.executable, '-m', 'nanonuclei', '--version'], check=True)"
    )
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=kept, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["0.1.0", "0.1.0"], done.stderr


def test_package_that_is_not_installed_is_named_with_a_remedy(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def needs_mlflow(options: object) -> None:
        raise ModuleNotFoundError("No module named 'mlflow'", name="mlflow")

    monkeypatch.setattr("nanonuclei.commands.pipeline.run_repro", needs_mlflow)
    assert cli.main(["repro"]) == 2
    assert "needs the package mlflow" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("number", "remedy"),
    [(errno.ENOSPC, "Free space"), (errno.EACCES, "Give yourself the right to"), (errno.EROFS, "Write elsewhere")],
)
def test_what_a_library_cannot_write_is_one_message_and_other_errors_are_not_hidden(
    number: int, remedy: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(error: Exception) -> int:
        def fail(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr("nanonuclei.stages.clean.clean.clean", fail)
        return cli.main(["clean"])

    assert run(OSError(number, os.strerror(number), "some/file")) == 2
    assert capsys.readouterr().err == f"Error: cannot use some/file: {os.strerror(number)}. {remedy}\n"
    with pytest.raises(OSError, match="Broken pipe"):
        run(OSError(errno.EPIPE, os.strerror(errno.EPIPE)))
    with pytest.raises(RuntimeError, match="a fault of ours"):
        run(RuntimeError("a fault of ours"))


@pytest.mark.parametrize("stage", ["train", "tune", "explore"])
def test_a_package_that_is_missing_is_told_before_anything_is_said_of_data(stage: str, tmp_path: Path) -> None:
    light = (
        "import sys; sys.modules.update(dict.fromkeys(['keras', 'matplotlib', 'mlflow', 'tensorflow'])); "
        f"from nanonuclei.cli import main; sys.exit(main(['{stage}', 'nuclei']))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, "-c", light],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert "this command needs the package" in done.stderr


def test_a_backend_that_is_none_is_told_by_its_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jaxx")
    assert cli.main(["clean"]) == 2
    said = "Error: KERAS_BACKEND must be tensorflow, jax or torch, got 'jaxx'. Did you mean jax?\n"
    assert capsys.readouterr().err == said


def test_a_backend_that_is_not_installed_is_told_by_its_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lacking(options: object) -> None:
        raise ModuleNotFoundError("No module named 'torch'", name="torch.nn")

    monkeypatch.setattr("nanonuclei.commands.records.run_clean", lacking)
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    assert cli.main(["clean"]) == 2
    assert "KERAS_BACKEND=torch needs the package torch, which is not installed" in capsys.readouterr().err


def test_a_python_without_the_packages_is_told_how_to_get_them(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-S", "-E", str(Path(__file__).parents[1] / "src" / "nanonuclei"), "clean"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"Error: {sys.executable} lacks the package ")
    assert "requirements.txt` into its environment" in done.stderr
    assert "Traceback" not in done.stderr
