"""Does what a model that comes along tells of itself hold: its files, settings, data, code, and its answers here."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nanonuclei.data.versions import content_md5
from nanonuclei.errors import NanonucleiError
from nanonuclei.serving.folder import CONFIG, load_folder
from nanonuclei.serving.shipped.answers import differences
from nanonuclei.serving.shipped.provenance import (
    REMEDY,
    Provenance,
    file_sha256,
    folder_sha256,
    problems,
    read_provenance,
    settings_digest,
)
from nanonuclei.tracking.origin.restoring import remedy_of_data

Verdict = Literal["holds", "broken", "differs", "not here"]


@dataclass(frozen=True)
class Check:
    """One comparison.

    Attributes:
        subject: What was compared, in a word.
        verdict: ``not here`` where there is nothing to compare with, ``differs`` where this place has another version
            than the training had; neither breaks anything.
        detail: What was seen, and the remedy.
    """

    subject: str
    verdict: Verdict
    detail: str


def check_shipped(folder: Path, *, data: Path, lock: Path, params: Path) -> tuple[Provenance, list[Check]]:
    """Compares the provenance of a folder with what can be seen here.

    Args:
        folder: Of the model.
        data: Folder of the datasets.
        lock: `requirements.txt` of this place.
        params: `params.yaml` of this place, for settings that are younger than the model.

    Raises:
        DataError: The provenance is missing, not valid, or of a newer format.
    """
    made = read_provenance(folder)
    checks = {
        "files": lambda: _files(folder, made),
        "settings": lambda: _settings(folder, made),
        "data": lambda: _data(made, data),
        "code": lambda: _code(made),
        "environment": lambda: _environment(made, lock),
        "answers": lambda: _answers(folder, params),
    }
    return made, [check for subject, compare in checks.items() for check in _guarded(subject, compare)]


def _guarded(subject: str, compare: Callable[[], tuple[Verdict, str]]) -> Iterator[Check]:
    try:
        verdict, detail = compare()
    except (NanonucleiError, OSError, ValueError) as error:
        verdict, detail = "broken", " ".join(str(error).split())
    yield Check(subject, verdict, detail)


def _files(folder: Path, made: Provenance) -> tuple[Verdict, str]:
    wrong = problems(folder, made.files)
    wrong += [f"{name} was added" for name in folder_sha256(folder) if name not in made.files]
    if wrong:
        return "broken", f"{', '.join(wrong)}. {REMEDY.format(folder=folder)}"
    return "holds", f"all {len(made.files)} files are as they were shipped"


def _settings(folder: Path, made: Provenance) -> tuple[Verdict, str]:
    found = settings_digest(folder / CONFIG)
    if found != made.settings:
        return "broken", f"{CONFIG} has other settings, digest {found[:12]}, recorded {made.settings[:12]}"
    return "holds", f"{CONFIG} has digest {found[:12]}"


def _data(made: Provenance, data: Path) -> tuple[Verdict, str]:
    if not made.data.md5:
        return "holds", f"{made.data.name}: made by the code from its seed"
    folder = data / made.data.name
    found = content_md5(folder) if folder.exists() else None
    if found != made.data.md5:  # others here say nothing against a model that was made elsewhere
        state = f"has md5 {found}" if found else "is missing"
        remedy = remedy_of_data(here=False, committed=False)
        return "not here", f"{folder} {state}, recorded {made.data.md5}. {remedy}"
    return "holds", f"{folder} has md5 {found}"


def _code(made: Provenance) -> tuple[Verdict, str]:
    commit = made.training.commit
    if not commit:
        return "not here", "made outside of a git repository"
    known = _git("cat-file", "-e", f"{commit}^{{commit}}")
    beside = ", with changes that it does not hold" if made.training.dirty else ""
    if not known:
        remedy = "`git fetch` it" if _git("rev-parse", "--git-dir") else "A clone of the project has it"
        return "not here", f"made at commit {commit[:12]}{beside}, which is not here. {remedy}"
    return "holds", f"made at commit {commit[:12]}{beside}"


def _git(*arguments: str) -> bool:
    """Tells whether git is here and does what it is asked."""
    try:
        return subprocess.run(["git", *arguments], check=False, capture_output=True).returncode == 0
    except OSError:
        return False


def _environment(made: Provenance, lock: Path) -> tuple[Verdict, str]:
    recorded = made.training.lock
    if not recorded or not lock.is_file():
        return "not here", f"{lock} to compare with is missing"
    if file_sha256(lock) != recorded:
        return "differs", f"{lock} is another one than that of the training, sha256 {recorded[:12]}"
    return "holds", f"{lock} is that of the training"


def _answers(folder: Path, params: Path) -> tuple[Verdict, str]:
    config, network = load_folder(folder, name=str(folder), missing_from=params)
    wrong = differences(folder, config, network)
    if wrong:
        return "broken", f"{'; '.join(wrong)}. Install the locked versions, or ship the model anew"
    return "holds", "the network answers its examples here as it did where it was shipped"
