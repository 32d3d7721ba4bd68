"""How what lies here stands to `data.dvc` and `dvc.lock`, which pin its version."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml

from nanonuclei.counted import counted
from nanonuclei.data.versions import cache_folder, content_md5, lost_from_cache, pinned_md5
from nanonuclei.errors import DataError, NanonucleiError, nearest_name
from nanonuclei.stages.places import DATA, DATA_POINTER, DVC_LOCK, PIPELINE, Build
from nanonuclei.tasks import dataset_type


def pipeline_tasks() -> tuple[str, ...]:
    """Returns the tasks of the main pipeline, as its first stage lists them.

    Raises:
        DataError: The file of the pipeline is not there or holds no such stage.
    """
    if not PIPELINE.is_file():
        raise DataError(
            f"the pipeline is what {PIPELINE} tells, but there is none in {Path.cwd()}. Change to the folder of a clone"
        )
    try:
        stages = yaml.safe_load(PIPELINE.read_text("utf-8"))["stages"]
        return tuple(stages[Build.STAGES[0]]["foreach"])
    except (OSError, KeyError, TypeError, yaml.YAMLError) as error:
        raise DataError(
            f"{PIPELINE} must hold a stage {Build.STAGES[0]} for each task, but cannot be read so. Restore it from git"
        ) from error


def check_targets(targets: Sequence[str]) -> None:
    """Makes sure that the stages which are asked for exist; files, and stages of another file, are DVC's to find.

    Args:
        targets: Such as ``train@TASK``, or ``train`` for all tasks.

    Raises:
        NanonucleiError: There is no such stage.
    """
    known = [*Build.STAGES, *(f"{stage}@{task}" for task in pipeline_tasks() for stage in Build.STAGES)]
    for target in targets:
        if target not in known and not any(sign in target for sign in "/:."):
            raise NanonucleiError(f"the pipeline has no stage {target!r}. {nearest_name(target, known)}")
        file = Path(target.partition(":")[0])
        if file.suffix in (".dvc", ".yaml", ".yml") and not file.is_file():
            raise NanonucleiError(f"a target must be a stage or its file, but {file} is not there. Check the path")


def check_sources(tasks: Sequence[str]) -> None:
    """Makes sure that the pipeline has the data of tasks, whatever their version.

    Raises:
        DataError: That of one is missing.
    """
    for task in tasks:
        dataset = dataset_type(task)
        name = dataset.pipeline
        if name in dataset.locations and not (DATA / name).exists():
            raise DataError(
                f"the pipeline needs {DATA}/{name}, which is missing. Get it with "
                f"`{dataset.fetch_command(name)}`, or with `dvc pull` where a remote holds it"
            )


def check_prepared(task: str) -> None:
    """Makes sure that the pipeline has prepared the images of a task.

    Raises:
        DataError: It has not.
    """
    folder = Build(task).prepared
    if not folder.is_dir():
        raise DataError(f"{folder} must hold prepared images, but is missing. Run `dvc repro prepare@{task}` first")


def check_data() -> None:
    """Makes sure that the data of all tasks is there and is what `data.dvc` pins.

    Raises:
        DataError: It is missing or was changed.
    """
    check_sources(pipeline_tasks())
    pinned = pinned_md5(DATA_POINTER)
    if pinned is not None and (found := content_md5(DATA)) != pinned:
        raise DataError(
            f"{DATA}/ changed since {DATA_POINTER}: it has md5 {found}, pinned is {pinned}. Adopt it with `dvc add "
            f"{DATA}`, or restore it with `dvc checkout --force {DATA_POINTER}`; `dvc data status --granular` lists "
            "the files"
        )


def check_lock() -> None:
    """Makes sure that `dvc.lock` and `data.dvc` came out of the last merge whole.

    Raises:
        DataError: One holds conflict markers.
    """
    for path in (DVC_LOCK, DATA_POINTER):
        if path.is_file() and any(line.startswith("<<<<<<< ") for line in path.read_text("utf-8").splitlines()):
            raise DataError(
                f"{path} must not hold conflict markers, but a merge left some. Take either side, `git checkout --ours "
                f"{path}` or `--theirs`, and run the pipeline again: it brings {DVC_LOCK} up to date"
            )


def check_cache() -> None:
    """Makes sure that DVC's cache took in what the stages made: a full disk does not end `dvc repro`.

    Raises:
        DataError: Something is missing.
    """
    stages = yaml.safe_load(DVC_LOCK.read_text("utf-8"))["stages"] if DVC_LOCK.is_file() else {}
    kept = {str(path) for task in pipeline_tasks() for path in Build(task).cached}
    for out in (out for stage in stages.values() for out in stage.get("outs", []) if out["path"] in kept):
        if lost := lost_from_cache(out["md5"], cache=cache_folder()):
            raise DataError(
                f"DVC's cache must hold all of {out['path']}, but lacks {counted(len(lost), 'file')}, such as "
                f"{lost[0]}. Make sure that {cache_folder()} has room, then `dvc commit --force`"
            )


def data_state() -> str:
    """Returns in one line how `data/` stands to `data.dvc`; nothing outside of a repository of DVC."""
    pinned = pinned_md5(DATA_POINTER)
    if pinned is None:
        versioned = any((folder / ".dvc").is_dir() for folder in (Path.cwd(), *Path.cwd().parents))
        return f"{DATA}/ is not versioned yet: `dvc add {DATA}` pins it." if versioned else ""
    if pinned == content_md5(DATA):
        return f"{DATA}/ is what {DATA_POINTER} pins ({pinned})."
    return (
        f"{DATA}/ is not as {DATA_POINTER} pins it: images were fetched, changed or removed since. "
        f"`dvc add {DATA}` pins {DATA}/ as it is now."
    )
