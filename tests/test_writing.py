"""Files and folders appear whole or not at all."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from tests.conftest import ROOT

from nanonuclei.errors import DataError
from nanonuclei.writing import (
    WritingError,
    append_text,
    being_made,
    remove_leftovers,
    remove_partial,
    whole_file,
    whole_folder,
    write_bytes,
    write_text,
)


def break_off(target: Path, failure: BaseException) -> None:
    with whole_file(target) as temporary:
        temporary.write_bytes(b"half")
        raise failure


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "sub" / "x.bin"
    with whole_file(target) as temporary:
        temporary.write_bytes(b"old")
        assert not target.exists()
    for failure in (RuntimeError(), KeyboardInterrupt()):
        with pytest.raises(type(failure)):
            break_off(target, failure)
    assert [path.name for path in target.parent.iterdir()] == ["x.bin"]
    assert target.read_bytes() == b"old"


def test_a_full_disk_is_said_with_a_remedy_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"No space left on device\. Free space"):
        break_off(tmp_path / "x", OSError(errno.ENOSPC, "No space left on device"))
    assert list(tmp_path.iterdir()) == []


def test_a_file_where_a_folder_must_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(DataError, match=r"a/b/x: \S+/a is a file, not a folder\. Name another place"):
        write_text(tmp_path / "a" / "b" / "x", "")


def test_written_text_and_bytes_are_what_is_read(tmp_path: Path) -> None:
    write_text(tmp_path / "deep" / "a.txt", "\u00b5m\n")
    write_bytes(tmp_path / "deep" / "b.bin", b"\x00\xff")
    assert (tmp_path / "deep" / "a.txt").read_bytes() == b"\xc2\xb5m\n"
    assert (tmp_path / "deep" / "b.bin").read_bytes() == b"\x00\xff"


def test_temporary_name_keeps_the_suffix_by_which_libraries_choose_a_format(tmp_path: Path) -> None:
    with whole_file(tmp_path / "epoch1-state.keras") as partial:
        partial.touch()
        assert partial.suffix == ".keras"


def fill(target: Path, failure: BaseException | None = None) -> None:
    with whole_folder(target) as partial:
        (partial / "a.txt").write_text("a")
        assert list(target.parent.glob("result")) in ([], [target])
        if failure:
            raise failure


@pytest.mark.parametrize("empty_before", [False, True])
def test_a_folder_appears_whole(empty_before: bool, tmp_path: Path) -> None:
    if empty_before:
        (tmp_path / "result").mkdir()
    fill(tmp_path / "result")
    assert [path.name for path in tmp_path.iterdir()] == ["result"]
    assert (tmp_path / "result" / "a.txt").read_text() == "a"


@pytest.mark.parametrize(
    ("failure", "error"),
    [(KeyboardInterrupt(), KeyboardInterrupt), (OSError(errno.ENOSPC, "No space left on device"), DataError)],
)
def test_nothing_is_left_of_a_folder_that_failed(
    failure: BaseException, error: type[BaseException], tmp_path: Path
) -> None:
    with pytest.raises(error):
        fill(tmp_path / "result", failure)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_files_is_not_replaced(tmp_path: Path) -> None:
    fill(tmp_path / "result")
    with pytest.raises(DataError, match="cannot write"):
        fill(tmp_path / "result")
    assert [path.name for path in tmp_path.iterdir()] == ["result"]


def test_text_is_added_whole(tmp_path: Path) -> None:
    append_text(tmp_path / "log", "first\n")
    append_text(tmp_path / "log", "µm\n")
    assert (tmp_path / "log").read_text(encoding="utf-8") == "first\nµm\n"


LIMITED = """
import resource, sys
from pathlib import Path
from nanonuclei.errors import DataError
from nanonuclei.writing import append_text
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    append_text(Path(sys.argv[1]), "x" * 50)
except DataError as error:
    print(error)
"""


def test_text_that_does_not_fit_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("a" * 90)
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / "log")],
        env={"PYTHONPATH": str(Path(__file__).parents[1] / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "cannot write" in done.stdout
    assert (tmp_path / "log").read_text() == "a" * 90


def test_what_a_killed_process_left_half_done_is_removed(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("partial-12-a.png", "deep/partial-3-b.csv", "deep/b.csv"):
        (tmp_path / name).write_text("")
    remove_partial(tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["b.csv", "deep"]


def test_folders_of_killed_processes_are_removed_and_those_at_work_are_not(tmp_path: Path) -> None:
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom nanonuclei.writing import being_made\n"
        "with being_made(Path(sys.argv[1])) as partial:\n    (partial / 'x').write_text('x')\n    os._exit(9)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "dead")], env=environment, check=False)
    (left,) = tmp_path.iterdir()
    with being_made(tmp_path / "alive") as partial:
        assert remove_leftovers(tmp_path) == [left]
        assert partial.is_dir()
    assert list(tmp_path.iterdir()) == []


def test_folder_without_a_lock_is_removed_after_a_day(tmp_path: Path) -> None:
    old, new = tmp_path / "partial-old", tmp_path / "partial-new"
    for folder in (old, new):
        folder.mkdir()
    os.utime(old, (0, 0))
    assert remove_leftovers(tmp_path) == [old]
    assert new.is_dir()


def test_a_new_folder_whose_lock_is_being_taken_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "partial-new"
    own.mkdir()
    exists = Path.exists

    def looked(path: Path, **options: bool) -> bool:
        """The lock appears right after the first look, not yet held."""
        found = exists(path, **options)
        if path.name == "held":
            path.touch()
        return found

    monkeypatch.setattr(Path, "exists", looked)
    assert remove_leftovers(tmp_path) == []
    assert own.is_dir()


def test_results_that_are_only_called_like_temporary_files_stay(tmp_path: Path) -> None:
    kept = ["objects/partial-1.csv", "objects/partial-scan/2.csv", "partial-1.png"]
    for name in (*kept, "partial-abc12345/labels", "objects/partial-77-1.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    remove_partial(tmp_path)
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()) == sorted(
        kept
    )


def test_a_name_of_all_bytes_that_a_file_system_takes_is_written(tmp_path: Path) -> None:
    name = "ä" * 125 + ".csv"
    write_text(tmp_path / name, "text")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    with pytest.raises(WritingError, match="File name too long") as caught:
        write_text(tmp_path / f"a{name}x", "text")
    assert caught.value.is_of_name


def test_a_folder_that_was_removed_before_its_lock_was_held_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, made = tempfile.mkdtemp, []

    def make_and_lose(**words: object) -> str:
        made.append(make(**words))
        if len(made) == 1:
            Path(made[0]).rmdir()
        return made[-1]

    monkeypatch.setattr("nanonuclei.writing.tempfile.mkdtemp", make_and_lose)
    with being_made(tmp_path / "new") as partial:
        assert partial.is_dir()
        assert remove_leftovers(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
