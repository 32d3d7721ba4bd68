"""The files that `dvc.yaml` lists by hand are those that a stage imports and that decide its result."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "nanonuclei"
ROOTS = {
    "prepare": ["stages/prepare.py"],
    "train": ["engine/train.py", "stages/samples.py", "tasks/nuclei.py"],
    "evaluate": ["engine/evaluate.py", "engine/readout.py", "stages/samples.py", "tasks/nuclei.py"],
}
"""Where a stage's own work begins; logging, figures and the command line decide no result."""
TEXT_ONLY = {
    "errors.py",
    "config/experiment.py",
    "config/nanotubes.py",
    "config/section.py",
    "config/shared.py",
    "imaging/types.py",
    "tasks/base.py",
    "tasks/__init__.py",
}
"""Messages, schemas and types: what they hold is tracked as parameters, or decides nothing."""
NOT_FOR = {
    "prepare": {"data/simulate", "stages/new_folder.py", "stages/places.py"},
    "train": {"imaging/instances.py", "imaging/matching.py", "imaging/postprocess.py"},
    "evaluate": {"data/batches.py", "data/augment.py", "models", "engine/devices.py", "engine/scan.py"},
}
"""Imported by a stage's modules, but not used by that stage: simulation, read-out, training."""
NANOTUBES_ONLY = {
    "data/files/masks.py",
    "imaging/binned_scores.py",
    "imaging/cell_bodies.py",
    "imaging/cutting.py",
    "imaging/line_following.py",
    "imaging/line_matching.py",
    "imaging/lines.py",
    "imaging/ridges.py",
    "imaging/tube_objects.py",
    "imaging/tube_read_out.py",
    "imaging/window_geometry.py",
    "models/receptive_field.py",
    "models/scanner.py",
    "models/window_classifier.py",
}
"""In a folder that a stage lists, but not for nuclei: a change runs that stage once too often."""


def imported(file: str) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse((PACKAGE / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("nanonuclei."):
            path = node.module.removeprefix("nanonuclei.").replace(".", "/")
            found.add(f"{path}.py" if (PACKAGE / f"{path}.py").is_file() else f"{path}/__init__.py")
    return found


def closure(files: list[str], without: set[str]) -> set[str]:
    waiting, seen = list(files), set()
    while waiting:
        file = waiting.pop()
        if file not in seen and not any(file == name or file.startswith(f"{name}/") for name in without):
            seen.add(file)
            waiting += imported(file)
    return seen


@pytest.mark.parametrize("stage", ["prepare", "train", "evaluate"])
def test_listed_files_are_those_that_decide_the_result(stage: str) -> None:
    listed = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"][stage]["do"]["deps"]
    code = [name.replace("${item}", "nuclei") for name in listed if name.startswith("src/nanonuclei/")]
    files = {
        path.relative_to(PACKAGE).as_posix()
        for name in code
        for path in ((ROOT / name).rglob("*.py") if (ROOT / name).is_dir() else [ROOT / name])
        if path.name != "__init__.py"
    }
    needed = closure(ROOTS[stage], TEXT_ONLY | NOT_FOR[stage])
    assert {name for name in needed if not name.endswith("__init__.py")} == files - TEXT_ONLY - NANOTUBES_ONLY


TUBE_ROOTS = {
    "prepare": ["stages/prepare_nanotubes.py"],
    "train": ["engine/train.py", "stages/samples.py", "tasks/nanotubes.py"],
    "evaluate": ["engine/decide.py", "engine/evaluate.py", "stages/samples.py", "tasks/nanotubes.py"],
}
TUBE_TEXT_ONLY = TEXT_ONLY | {"config/nanotube_data.py", "config/params.py", "config/tune.py"}
NOT_FOR_TUBES = {
    "prepare": {  # the pipeline draws its images: no archive, no label file, no other image format
        *("data/annotations.py", "data/archives.py", "data/files", "data/label_studio.py"),
        *(
            "data/overlaps.py",
            "data/mask_files.py",
            "data/sample_files.py",
            "data/sources.py",
            "data/tube_layout.py",
        ),
        *("imaging/instances.py", "imaging/windows.py", "stages/new_folder.py", "stages/places.py"),
        "stages/prepare.py",
    },
    "train": {
        *("imaging/cell_bodies.py", "imaging/instances.py", "imaging/line_matching.py", "imaging/lines.py"),
        *("imaging/binned_scores.py", "imaging/matching.py", "imaging/ridges.py", "imaging/tube_objects.py"),
        "imaging/tube_read_out.py",
    },
    "evaluate": {
        *("data/augment.py", "data/batches.py", "data/window_batches.py", "engine/devices.py"),
        *("models/encoders.py", "models/optimizers.py", "models/phases.py"),
    },
}
"""Imported by a stage's modules, but not used by that stage on simulated images, or of no influence on its result."""


@pytest.mark.parametrize("stage", ["prepare", "train", "evaluate"])
def test_pipeline_of_nanotubes_lists_the_files_that_decide_its_results(stage: str) -> None:
    listed = yaml.safe_load((ROOT / "pipelines/nanotubes/dvc.yaml").read_text())["stages"][stage]["do"]["deps"]
    names = [name.replace("${item}", "nanotubes").removeprefix("src/nanonuclei/") for name in listed]
    code = [name for name in names if not name.startswith("build/")]
    assert all((PACKAGE / name).exists() for name in code)
    needed = closure(TUBE_ROOTS[stage], TUBE_TEXT_ONLY | NOT_FOR_TUBES[stage])
    lacking = {
        file
        for file in needed
        if not file.endswith("__init__.py") and not any(file == name or file.startswith(f"{name}/") for name in code)
    }
    assert lacking == set()
