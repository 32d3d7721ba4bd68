"""Commands that bring code and data back to the state in which a run was made; they overwrite no unsaved file."""

from __future__ import annotations

import configparser
from collections.abc import Callable, Mapping
from pathlib import Path

import yaml

from nanonuclei.data.versions import content_md5, dataset_in_cache
from nanonuclei.invocation import command

POINTER = "data.dvc"
ASIDE = "scratch/data-before-"
"""Where datasets of another state are moved to, in a folder that git ignores."""


def restore_commands(
    recorded: Mapping[str, str], *, data: Path, cache: Path, show: Callable[[str, str], str | None]
) -> tuple[str, ...]:
    """Returns shell commands, for the folder of the project.

    Code comes from git. Simulated images are drawn again from their seed, by the code. A real dataset that is not here
    as it was comes from DVC's cache, from a remote, or is fetched; another one that lies there is moved aside. What a
    pipeline derived is derived again.

    Args:
        recorded: What the run recorded, see `tracking.facts`.
        data: Folder of the datasets.
        cache: DVC's cache.
        show: Returns the text of a file in a commit, given commit and path; None where there is none.
    """
    commit, name, wanted = recorded.get("git.commit"), recorded["dataset"], recorded.get("dataset_md5")
    found = [f"git checkout {commit}"] if commit else []
    if wanted and not _is_here(data / name, wanted):
        pinned = _pinned(show(commit, POINTER) if commit else None)
        aside = f"mkdir -p scratch && mv {data} {ASIDE}{(commit or wanted)[:8]}"
        moved = [aside] if data.exists() and any(data.iterdir()) else []
        if pinned is not None and dataset_in_cache(name, wanted, pinned=pinned, cache=cache):
            found += [*moved, f"dvc checkout {POINTER}"]
        elif pinned is not None and _has_remote():
            found += [*moved, f"dvc pull {POINTER}"]
        else:
            found += [*moved, command("fetch", dataset=name)]
    if any(key.startswith("upstream.") for key in recorded):
        found.append(command("repro", targets=f"{recorded['stage']}@{recorded['task']}"))
    return tuple(found)


def _is_here(folder: Path, wanted: str) -> bool:
    return folder.exists() and content_md5(folder) == wanted


def _pinned(text: str | None) -> str | None:
    try:
        return str(yaml.safe_load(text or "")["outs"][0]["md5"])
    except (yaml.YAMLError, KeyError, IndexError, TypeError):
        return None


def _has_remote(settings: Path = Path(".dvc")) -> bool:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read([settings / "config", settings / "config.local"], encoding="utf-8")
    return any("remote " in section for section in parser.sections())
