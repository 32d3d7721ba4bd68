"""The commands that bring the code and the data of a run back, as a lineage prints them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest
from tests.tracking.conftest import git

from nanonuclei.data.versions import dataset_md5
from nanonuclei.tracking.facts import Facts, log_facts
from nanonuclei.tracking.origin.data import compare_data
from nanonuclei.tracking.origin.lineage import Lineage, describe, trace
from nanonuclei.tracking.origin.restoring import pinned_in, restoring
from nanonuclei.tracking.runs import git_tags, stage_run


@pytest.mark.slow
def test_printed_commands_bring_code_and_data_back_in_a_clone(repository: Path, runs: dict[str, str]) -> None:
    def run(*words: str) -> None:
        subprocess.run(words, check=True, timeout=120, capture_output=True)

    tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", tools)
        old = repository / "data" / "old" / "images.zip"
        old.parent.mkdir()
        old.write_bytes(b"old discs")
        run("dvc", "init", "--quiet")
        (repository / ".gitignore").write_text("/mlruns/\nmlflow.db*\n/scratch/\n")
        run("dvc", "add", "--quiet", "data")
        git("add", ".")
        git("commit", "--quiet", "--message", "data")
        wanted, with_data = dataset_md5(Path("data"), "discs"), git_tags()["git.commit"]
        replayed = {"replayed": "old", "replayed_md5": dataset_md5(Path("data"), "old")}
        recorded = dict(trace(runs["prepare"]).chain[0], **{"git.commit": with_data, **replayed})
        (repository / "note.txt").write_text("later")
        (repository / "data" / "discs" / "images.zip").write_bytes(b"other discs, not saved anywhere")
        shutil.rmtree(old.parent)
        git("add", "note.txt")
        git("commit", "--quiet", "--message", "later")

        (repository / "params.yaml").write_text((repository / "params.yaml").read_text() + "# a note of mine\n")

        def git_says(*words: str) -> str:
            return subprocess.run(["git", *words], check=True, capture_output=True, text=True, timeout=20).stdout

        pin, cache = pinned_in(with_data, git=git_says), Path(".dvc/cache")
        verdict, detail = compare_data("discs", wanted, data=Path("no/data"), cache=cache, committed=pin)
        assert verdict == "unknown"
        assert "DVC's cache holds it, as data.dvc of that commit pins it" in detail
        found = restoring(recorded, data=Path("data"), cache=cache, git=git_says)
        commands = found.commands
        assert (commands[0], commands[-1]) == ("git stash", "dvc checkout data.dvc")
        assert found.notes == ("`git stash` puts your uncommitted changes aside; `git stash pop` brings them back.",)
        for command in commands:
            subprocess.run(command, shell=True, check=True, timeout=120)
        assert not (repository / "note.txt").exists()
        assert dataset_md5(Path("data"), "discs") == wanted
        assert old.read_bytes() == b"old discs"
        (kept,) = (repository / "scratch").rglob("images.zip")
        assert kept.read_bytes() == b"other discs, not saved anywhere"
        again = restoring(recorded, data=Path("data"), cache=Path(".dvc/cache"), git=git_says)
        assert again.commands == (f"git checkout {with_data}",)
        git("stash", "pop", "--quiet")
        assert (repository / "params.yaml").read_text().endswith("# a note of mine\n")


@pytest.mark.slow
def test_data_that_are_pinned_here_alone_are_brought_back_before_git_forgets_them(
    repository: Path, runs: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def git_says(*words: str) -> str:
        return subprocess.run(["git", *words], check=True, capture_output=True, text=True, timeout=20).stdout

    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    subprocess.run(["dvc", "init", "--quiet"], check=True, timeout=120)
    (repository / ".gitignore").write_text("/mlruns/\nmlflow.db*\n/scratch/\n/data\n")
    (repository / "data.dvc").write_text("outs:\n- md5: 00000000000000000000000000000000.dir\n  path: data\n")
    git("add", ".")
    git("commit", "--quiet", "--message", "data that are not here")
    subprocess.run(["dvc", "add", "--quiet", "data"], check=True, timeout=120)
    wanted, commit = dataset_md5(Path("data"), "discs"), git_tags()["git.commit"]
    assert git_tags()["git.dirty"] == "false"
    recorded = dict(trace(runs["prepare"]).chain[0], **{"git.commit": commit})
    (repository / "data" / "discs" / "images.zip").write_bytes(b"other discs")
    found = restoring(recorded, data=Path("data"), cache=Path(".dvc/cache"), git=git_says)
    assert found.commands[1:] == ("dvc checkout data.dvc", "git stash", f"git checkout {commit}")
    for command in found.commands:
        subprocess.run(command, shell=True, check=True, timeout=120)
    assert dataset_md5(Path("data"), "discs") == wanted


@pytest.mark.parametrize(("dataset", "fetched"), [("dsb2018", True), ("mine", False)])
def test_data_that_nothing_here_holds_are_told_beside_the_commands(
    repository: Path, dataset: str, fetched: bool
) -> None:
    recorded = {"task": "nuclei", "stage": "train", "dataset": dataset, "dataset_md5": "5" * 32, "git.commit": "abc"}
    found = restoring(recorded, data=Path("data"), cache=Path(".dvc/cache"), git=lambda *_: None)
    fetch = [f"mlflow run . -e fetch --env-manager local -P dataset={dataset}"] if fetched else []
    assert list(found.commands) == ["git checkout abc", "mkdir -p scratch && mv data scratch/data-before-abc", *fetch]
    (note,) = found.notes
    Path("scratch/data-before-abc").mkdir(parents=True)
    again = restoring(recorded, data=Path("data"), cache=Path(".dvc/cache"), git=lambda *_: None).commands
    assert again[1] == "mkdir -p scratch && mv data scratch/data-before-abc-2", "what was put aside before stays"
    assert note.endswith(f"where the run was made, or fetch its source again; its md5 must be {'5' * 32}.")
    assert describe(Lineage((recorded | {"run_id": "r"},), (), found)).endswith(f"\n{note}")


@pytest.mark.parametrize(
    ("lacking", "replayed", "between"),
    [
        ("discs", "dsb2018", ["mkdir -p data && cp -rn scratch/data-before-abc/dsb2018 data/"]),
        (
            "dsb2018",
            "dsb2018",
            [
                "mlflow run . -e fetch --env-manager local -P dataset=dsb2018",
                "mkdir -p data && cp -rn scratch/data-before-abc/discs data/",
            ],
        ),
        ("", "dsb2018", []),
        ("discs", "simulated", []),
    ],
)
def test_images_that_were_shown_again_are_brought_back_too(
    repository: Path, lacking: str, replayed: str, between: list[str]
) -> None:
    old = repository / "data" / "dsb2018" / "images.zip"
    old.parent.mkdir()
    old.write_bytes(b"old discs")
    md5s = {name: dataset_md5(Path("data"), name) for name in ("discs", "dsb2018")}
    recorded = {"task": "nuclei", "stage": "train", "git.commit": "abc", "replayed": replayed}
    recorded |= {"dataset": "discs", "dataset_md5": md5s["discs"]}
    recorded |= {"replayed_md5": md5s[replayed]} if replayed in md5s else {}
    if lacking:
        (repository / "data" / lacking / "images.zip").write_bytes(b"others")
    found = restoring(recorded, data=Path("data"), cache=Path(".dvc/cache"), git=lambda *_: None)
    moved = ["mkdir -p scratch && mv data scratch/data-before-abc"] if lacking else []
    assert list(found.commands) == ["git checkout abc", *moved, *between]
    assert [f"holds data/{lacking} as it was" in note for note in found.notes] == [True] * bool(lacking)
    for command in [*moved, *(words for words in between if words.startswith("mkdir"))]:
        subprocess.run(command, shell=True, check=True, timeout=20)
    if lacking and replayed in md5s:
        (kept,) = {"discs", "dsb2018"} - {lacking}
        assert dataset_md5(Path("data"), kept) == md5s[kept]


def test_simulated_images_need_the_code_alone(repository: Path) -> None:
    with stage_run("train", name="train", tags={"dataset.name": "simulated"}) as run_id:
        mlflow.set_tag("split.fingerprint", "f")
        log_facts(Facts("prepare", "nuclei", "simulated", "", "f"))
    commit = git_tags()["git.commit"]
    (command,) = trace(run_id).restoring.commands
    assert command == f"git checkout {commit}"
    git("commit", "--quiet", "--allow-empty", "--message", "later")
    subprocess.run(command, shell=True, check=True, timeout=120, capture_output=True)
    assert git_tags()["git.commit"] == commit
