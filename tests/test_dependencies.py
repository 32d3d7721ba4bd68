"""The files that `dvc.yaml` lists by hand are those that a stage imports and that decide its result."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "nanonuclei"
ROOTS = {
    "prepare": ["stages/prepare.py", "tasks/nuclei/dataset.py"],
    "train": ["engine/train.py", "stages/samples.py", "tasks/nuclei/network.py"],
    "evaluate": ["engine/evaluate.py", "stages/open_settings.py", "stages/samples.py", "tasks/nuclei/network.py"],
}
"""Where a stage's own work begins; logging, figures and the command line decide no result."""
TEXT_ONLY = {
    "config",
    "counted.py",
    "data/fingerprint",
    "data/problems.py",
    "drawing",
    "errors.py",
    "invocation.py",
    "writing.py",
    "imaging/outline_colours.py",
    "imaging/types.py",
    "stages/places.py",
    "tasks/base.py",
    "tasks/gathering.py",
    "tasks/values.py",
    "tasks/__init__.py",
    "tasks/nuclei/config.py",
    "tasks/nuclei/figures.py",
}
"""Messages, schemas, figures, types, looks, how files are written: it is tracked as parameters, or decides nothing."""
NOT_FOR = {
    "prepare": {
        *("stages/new_folder.py", "imaging", "tasks/nuclei/reader.py", "tasks/nuclei/sources/fetch.py"),
        *("tasks/nuclei/simulate", "tasks/nuclei/sources/corrected_files.py", "tasks/nuclei/sources/fetch_mine.py"),
        "data/corrected/held_out.py",  # splits of corrected images, which no pipeline prepares
    },
    "train": {
        *("imaging/instances.py", "imaging/matching.py", "imaging/networks.py", "imaging/postprocess.py"),
        *(
            "imaging/sizing/resizing.py",
            "imaging/score_maps.py",
            "tasks/nuclei/reader.py",
            "tasks/nuclei/score.py",
            "tasks/nuclei/thresholds.py",
        ),
    },
    "evaluate": {
        "data/files",  # the reader names the stains that `predict` prefers
        *(
            "data/augment",
            "data/batches.py",
            "data/patches.py",
            "data/workers.py",
            "engine/devices.py",
            "imaging/window_geometry.py",
        ),
        *(f"models/{name}.py" for name in ("blocks", "decoders", "encoders", "losses", "optimizers", "phases", "unet")),
    },
}
"""Imported by a stage's modules, but not used by that stage: simulation, reading, training."""
NANOTUBES_ONLY = {
    "imaging/scan.py",
    "imaging/seams/label_rows.py",
    "imaging/seams/stitching.py",
    "imaging/window_geometry.py",
    "models/receptive_field.py",
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
    code = [
        name.replace("${item}", "nuclei").replace("${key}", "nuclei")
        for name in listed
        if name.startswith("src/nanonuclei/")
    ]
    files = {
        path.relative_to(PACKAGE).as_posix()
        for name in code
        for path in ((ROOT / name).rglob("*.py") if (ROOT / name).is_dir() else [ROOT / name])
        if path.name != "__init__.py"
    }
    needed = closure(ROOTS[stage], TEXT_ONLY | NOT_FOR[stage])
    assert {name for name in needed if not name.endswith("__init__.py")} == files - TEXT_ONLY - NANOTUBES_ONLY


TUBES = "tasks/nanotubes"
TUBE_ROOTS = {
    "prepare": ["stages/prepare.py", f"{TUBES}/dataset.py"],
    "train": ["engine/train.py", "stages/samples.py", f"{TUBES}/network.py"],
    "evaluate": ["engine/evaluate.py", "stages/open_settings.py", "stages/samples.py", f"{TUBES}/network.py"],
}
TUBE_TEXT_ONLY = TEXT_ONLY | {f"{TUBES}/{name}" for name in ("config.py", "data_config.py", "figures")}
NOT_FOR_TUBES = {
    "prepare": {  # the pipeline draws its images: no archive, no label file, no other image format
        *("data/archives.py", "data/files"),
        *(f"{TUBES}/sources/{name}.py" for name in ("annotations", "centre_lines", "fetch")),
        *(f"{TUBES}/sources/{name}.py" for name in ("label_pictures", "label_studio", "layout", "masks", "names")),
        f"{TUBES}/sources/overlaps.py",
        *(f"{TUBES}/sources/drawn", "data/corrected"),  # corrected images
        *("stages/new_folder.py", "imaging", f"{TUBES}/reader.py"),
    },
    "train": {
        *(f"data/augment/{name}.py" for name in ("empty_fields", "geometry", "looks", "sizes")),
        *(f"{TUBES}/binned_scores.py", "imaging/instances.py", "imaging/networks.py", "imaging/scan.py"),
        *(f"{TUBES}/lines", f"{TUBES}/reader.py", f"{TUBES}/score.py"),
        *(f"{TUBES}/sources/{name}.py" for name in ("annotations", "centre_lines")),  # marks of real images
    },
    "evaluate": {
        "data/files",  # the reader takes the channel of the nuclei off files of `predict`
        *("data/augment", "data/batches.py", "data/patches.py", "data/workers.py", "engine/devices.py"),
        *("models/encoders.py", "models/optimizers.py", "models/phases.py"),
        *(f"{TUBES}/sources/{name}.py" for name in ("annotations", "centre_lines")),  # marks of real images
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
