"""`provenance.json` of a model that comes along: what made it, and the hash of each of its files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import ValidationError

from nanonuclei.config.params import read_settings
from nanonuclei.config.section import Section
from nanonuclei.data.fingerprint.stored import FILE as FINGERPRINT
from nanonuclei.errors import DataError
from nanonuclei.serving.folder import CONFIG

FORMAT = 1
"""Version of the folder's format. A change that an older program would misread raises it."""

PROVENANCE, CARD, ANSWERS, EXAMPLES = "provenance.json", "README.md", "answers.json", "examples"
"""Files beside the network: this one, the model card, what the network answers to its examples, and these images."""

SCORED_IN = "scored_in"
"""Key in `Training.hardware`: the precision that the network had when it was scored, float32 where it is not told."""

NO_ANSWER_NEEDS = (CARD, ANSWERS, EXAMPLES, FINGERPRINT)
"""Files that change nothing of what the model answers."""

REMEDY = "Restore it with `git checkout {folder}`, or install the package again"


class DataMade(Section):
    """The images that a model was trained and scored on.

    Attributes:
        name: Of the dataset.
        real: Whether they were taken with a microscope, not simulated.
        md5: DVC's md5 of ``data/NAME``; empty where simulated.
        split: Fingerprint: which sample, with which content, is in which split.
        images: Split to number of images.
        licence: Origin and licence.
    """

    name: str
    real: bool
    md5: str
    split: str
    images: dict[str, int]
    licence: str


class Training(Section):
    """How the weights came about.

    Attributes:
        run: Id of the run that was shipped.
        commit: Of the code of that run; empty outside of git.
        dirty: Whether the working tree held more than that commit.
        lock: sha256 of the run's `requirements.txt`; empty where it logged none.
        hardware: Backend, device, name, number and precision; and by `SCORED_IN` the precision of the scores.
        seconds: Of the training.
        epochs: That it took.
        seed: Of the experiment.
        elsewhere: Whether another machine trained, and the run took up its weights.
    """

    run: str
    commit: str
    dirty: bool
    lock: str
    hardware: dict[str, str]
    seconds: float
    epochs: int
    seed: int
    elsewhere: bool


class Score(Section):
    """One metric on the test images.

    Attributes:
        group: ``all`` or a modality.
        metric: Its name.
        value: Its value.
        low: Lower end of the 95 % bootstrap interval over fields of view; None where there is none.
        high: The upper end.
    """

    group: str
    metric: str
    value: float
    low: float | None
    high: float | None


class Provenance(Section):
    """What made a model that comes along.

    Attributes:
        format: Version of the folder's format.
        task: Name of the task.
        files: sha256 of each file of the folder but `PROVENANCE`, by its path within the folder.
        settings: sha256 of the settings, see `settings_digest`.
        half_difference: Largest difference of a score to the network in float32, see `engine.halved`.
        data: The images.
        training: How the weights came about.
        scores: On the test images.
    """

    format: int
    task: str
    files: dict[str, str]
    settings: str
    half_difference: float
    data: DataMade
    training: Training
    scores: list[Score]


def read_provenance(folder: Path) -> Provenance:
    """Reads the provenance of a folder.

    Raises:
        DataError: It is missing, not valid, or of a newer format.
    """
    path = folder / PROVENANCE
    remedy = REMEDY.format(folder=folder)
    try:
        text = path.read_text(encoding="utf-8")
        version = json.loads(text)["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} must tell what made the model, but cannot be read ({type(error).__name__}). {remedy}"
        ) from error
    if isinstance(version, int) and version > FORMAT:
        raise DataError(
            f"{folder} has format {version}, but this version of nanonuclei reads formats up to {FORMAT}. Update "
            f"nanonuclei"
        )
    try:
        return Provenance.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise DataError(f"{path} is not valid: {place}: {first['msg']}. {remedy}") from error


def file_sha256(path: Path) -> str:
    """Returns 64 hex digits over a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_sha256(folder: Path) -> dict[str, str]:
    """Returns sha256 of each file of a folder but `PROVENANCE`, by its path within the folder, sorted."""
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: file_sha256(paths[name]) for name in sorted(paths) if name != PROVENANCE}


def settings_digest(path: Path) -> str:
    """Returns sha256 of the settings in a `config.yaml`, whatever their order and layout."""
    return hashlib.sha256(json.dumps(read_settings(path), sort_keys=True, default=str).encode()).hexdigest()


def problems(folder: Path, files: Mapping[str, str]) -> list[str]:
    """Returns what is wrong with files whose sha256 is known, one text each, such as ``network.onnx was changed``."""
    wrong = []
    for name, recorded in files.items():
        if not (folder / name).is_file():
            wrong.append(f"{name} is missing")
        elif file_sha256(folder / name) != recorded:
            wrong.append(f"{name} was changed")
    return wrong


def check_predicting_files(folder: Path, provenance: Provenance) -> None:
    """Makes sure that the files by which a model predicts are those that were shipped.

    Raises:
        DataError: One is missing or was changed.
    """
    needed = {CONFIG: "", **provenance.files}
    needed = {name: digest for name, digest in needed.items() if not starts_with(name, NO_ANSWER_NEEDS)}
    if wrong := problems(folder, needed):
        raise DataError(
            f"the files of a model that comes along must be as they were shipped, but in {folder} {', '.join(wrong)}. "
            f"{REMEDY.format(folder=folder)}"
        )


def starts_with(name: str, heads: Iterable[str]) -> bool:
    """Tells whether a file is one of `heads` or lies in one."""
    return any(name == head or name.startswith(f"{head}/") for head in heads)
