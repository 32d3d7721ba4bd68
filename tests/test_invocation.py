"""Commands in messages are written in the way in which the program was called."""

from __future__ import annotations

from pathlib import Path

import pytest

from nanonuclei.invocation import VARIABLE, command, environment_manager, option, remember


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", "mlflow run . -e compare --env-manager local -P task=nuclei -P recipes='default best.yaml'"),
        ("nanonuclei", "nanonuclei compare nuclei --recipes 'default best.yaml'"),
    ],
)
def test_command_is_written_as_the_user_called(words: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, words)
    assert command("compare", task="nuclei", recipes="default best.yaml", runs="", dataset=None) == expected


def test_option_is_written_as_the_user_called(monkeypatch: pytest.MonkeyPatch) -> None:
    assert option("allow_simulated", "true") == "-P allow_simulated=true"
    monkeypatch.setenv(VARIABLE, "nanonuclei")
    assert option("allow_simulated", "true") == "--allow-simulated true"


def test_stage_without_an_entry_point_is_called_by_its_folder() -> None:
    assert command("lineage", reference="abc") == "python src/nanonuclei lineage abc"


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("/usr/bin/nanonuclei", "nanonuclei"),
        ("/usr/lib/nanonuclei/__main__.py", "python -m nanonuclei"),
        ("src/nanonuclei", "python src/nanonuclei"),
        ("/usr/bin/pytest", None),
    ],
)
def test_program_is_recognised_by_its_first_word(
    program: str, expected: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "src" / "nanonuclei").mkdir(parents=True)
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, "x")
        patch.delenv(VARIABLE)
        remember([program])
        import os

        assert os.environ.get(VARIABLE) == expected
        os.environ.pop(VARIABLE, None)


def test_run_of_mlflow_is_recognised_and_children_inherit_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "x")
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setenv("MLFLOW_RUN_ID", "0" * 32)
    remember(["src/nanonuclei"])
    monkeypatch.delenv("MLFLOW_RUN_ID")
    remember(["/usr/bin/nanonuclei"])
    assert command("train").startswith("mlflow run . -e train")


def test_manager_of_the_environment_is_seen_in_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "mlflow-0123"
    folder.mkdir()
    assert environment_manager(folder) == "virtualenv"
    (folder / "pyvenv.cfg").write_text("home = /usr\nuv = 0.9\n")
    assert environment_manager(folder) == "uv"
    (folder / "conda-meta").mkdir()
    assert environment_manager(folder) == "conda"
    assert environment_manager(tmp_path) == "local"
