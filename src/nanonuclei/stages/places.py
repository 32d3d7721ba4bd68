"""Where things lie in a project's folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

PARAMS = Path("params.yaml")
RECIPES = Path("recipes")
DATA = Path("data")
SCRATCH = Path("scratch")
BUILD = Path("build")
DATA_POINTER = Path("data.dvc")
DVC_LOCK = Path("dvc.lock")
PIPELINE = Path("dvc.yaml")
PIPELINES = Path("pipelines")
"""The main pipeline, and the folder below which a task may have one of its own."""
LOCK = Path("requirements.txt")


def prepared_folder(name: str, key: str) -> Path:
    """Where an ad-hoc prepared dataset lies; the key changes with the data and the settings that shape it."""
    return SCRATCH / "prepared" / f"{name}-{key}"


def run_folder(run_id: str) -> Path:
    """Where checkpoints, event files and figures of a run lie."""
    return SCRATCH / "runs" / run_id


def problems_file(dataset: str) -> Path:
    """Where the samples of a fetched dataset are listed that cannot be used."""
    return SCRATCH / "fetch" / f"{dataset}-problems.csv"


def study_folder(study: str) -> Path:
    """Where this machine keeps the files of a search."""
    return SCRATCH / "tune" / study


@dataclass(frozen=True)
class Build:
    """What the stages of `dvc.yaml` write for one task."""

    task: str
    STAGES: ClassVar[tuple[str, ...]] = ("prepare", "train", "evaluate")
    NETWORK: ClassVar[str] = "network.keras"
    CONFIG: ClassVar[str] = "config.yaml"

    @property
    def folder(self) -> Path:
        """All of it."""
        return BUILD / self.task

    @property
    def prepared(self) -> Path:
        """Images, label maps, catalog."""
        return self.folder / "prepared"

    @property
    def network(self) -> Path:
        """The trained network and its config."""
        return self.folder / "network"

    @property
    def cached(self) -> tuple[Path, ...]:
        """What DVC's cache holds; metrics and plots are in git."""
        return (self.prepared, self.network, *(self.report(stage) for stage in self.STAGES))

    def report(self, stage: str) -> Path:
        """Which run a stage's files come from, and what it knew."""
        return self.folder / "reports" / f"{stage}.json"

    def metrics(self, stage: str) -> Path:
        """A stage's numbers."""
        return self.folder / "metrics" / f"{stage}.json"

    def plot(self, name: str) -> Path:
        """A table that `dvc plots` draws."""
        return self.folder / "plots" / f"{name}.csv"
