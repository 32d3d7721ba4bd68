"""Commands that bring code and data back to the state in which a run was made; they overwrite no unsaved file."""

from __future__ import annotations

import configparser
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from nanonuclei.data.versions import content_md5, dataset_in_cache, pinned_md5
from nanonuclei.invocation import command
from nanonuclei.tasks import dataset_type

POINTER = "data.dvc"
ASIDE = "scratch/data-before-"
"""Where datasets of another state are moved to, in a folder that git ignores."""


@dataclass(frozen=True)
class Restoring:
    """How a state is brought back.

    Attributes:
        commands: Shell commands, for the folder of the project.
        notes: What a user must know of them.
    """

    commands: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def _free(folder: str) -> str:
    """Returns a folder that is not there yet: what was put aside before stays as it is."""
    others = (f"{folder}-{number}" for number in itertools.count(2))
    return next(one for one in itertools.chain([folder], others) if not Path(one).exists())


def restoring(recorded: Mapping[str, str], *, data: Path, cache: Path, git: Callable[..., str | None]) -> Restoring:
    """Returns how code and data of a run are brought back.

    Code comes from git; settings and code that were changed since the last commit are put aside by `git stash`.
    Simulated images are drawn again from their seed, by the code. A real dataset that is not here as it was comes from
    DVC's cache, by what its commit pins or else by what is pinned here, from a remote, or is fetched; another one that
    lies there is moved aside. So do the old images that a fine-tuning showed again. What a pipeline derived is derived
    again.

    Args:
        recorded: What the run recorded, see `tracking.facts`.
        data: Folder of the datasets.
        cache: DVC's cache.
        git: Returns what git prints with some arguments; None where it refuses.
    """
    commit = recorded.get("git.commit")
    wanted = {
        recorded[dataset]: recorded[f"{dataset}_md5"]
        for dataset in ("dataset", "replayed")
        if dataset in recorded and f"{dataset}_md5" in recorded
    }
    aside = _free(f"{ASIDE}{(commit or next(iter(wanted.values()), ''))[:8]}")
    ways = [
        _of_data(wanted, recorded["task"], data=data, cache=cache, pinned=pinned, aside=aside)
        for pinned in (pinned_in(commit, git=git), pinned_md5(Path(POINTER)))
    ]
    before = bool(ways[0].notes) and not ways[1].notes  # pinned here, and not in the commit: before git takes that back
    own = ways[before]
    found, notes = list(own.commands) if before else [], []
    if commit:
        if git("status", "--porcelain", "--untracked-files=no"):
            found.append("git stash")
            notes.append("`git stash` puts your uncommitted changes aside; `git stash pop` brings them back.")
        found.append(f"git checkout {commit}")
    found += () if before else own.commands
    notes += own.notes
    if any(key.startswith("upstream.") for key in recorded):
        found.append(command("repro", targets=f"{recorded['stage']}@{recorded['task']}"))
    return Restoring(tuple(found), tuple(notes))


def _of_data(
    wanted: Mapping[str, str], task: str, *, data: Path, cache: Path, pinned: str | None, aside: str
) -> Restoring:
    """Returns how datasets are brought back.

    Args:
        wanted: DVC's md5 of each, by its name.
        task: Whose datasets they are.
        data: Folder of the datasets.
        cache: DVC's cache.
        pinned: DVC's md5 of the folder in the commit of the run; None where it pins none.
        aside: Where the folder is moved to, as DVC overwrites nothing that it does not know.
    """
    lacking = [name for name, md5 in wanted.items() if not _is_here(data / name, md5)]
    if not lacking:
        return Restoring()
    moved = data.exists() and any(data.iterdir())
    found = [f"mkdir -p scratch && mv {data} {aside}"] if moved else []
    saved = [
        name
        for name, md5 in wanted.items()
        if pinned is not None and dataset_in_cache(name, md5, pinned=pinned, cache=cache)
    ]
    elsewhere = [name for name in lacking if name not in saved]
    notes = []
    if not elsewhere:
        found.append(f"dvc checkout {POINTER}")
    elif pinned is not None and has_remote():
        found.append(f"dvc pull {POINTER}")
    else:
        found += [f"dvc checkout {data / name}" for name in saved]
        for name in elsewhere:
            public = name in dataset_type(task).public
            found += [command("fetch", dataset=name)] if public else []
            got = "Where the data were your own, copy" if public else "Copy"
            notes.append(
                f"No cache or remote of DVC here holds {data / name} as it was. {got} the folder from where the run "
                f"was made, or fetch its source again; its md5 must be {wanted[name]}."
            )
    kept = [name for name in wanted if moved and name not in (*lacking, *saved)]
    found += [f"mkdir -p {data} && cp -rn {aside}/{name} {data}/" for name in kept]
    return Restoring(tuple(found), tuple(notes))


def remedy_of_data(*, here: bool, committed: bool) -> str:
    """Returns where data that are not here as they were can be had.

    Args:
        here: Whether DVC's cache holds them, by what is pinned here.
        committed: Whether it does, by what the commit of the run pins.
    """
    if here:
        return f"DVC's cache holds it: `dvc checkout {POINTER}`"
    if committed:
        return f"DVC's cache holds it, as {POINTER} of that commit pins it: the commands below bring it back"
    if has_remote():
        return f"`dvc pull {POINTER}`, or fetch it"
    return "No cache or remote of DVC here holds it: fetch it, or copy it from where the run was made"


def _is_here(folder: Path, wanted: str) -> bool:
    return folder.exists() and content_md5(folder) == wanted


def pinned_in(commit: str | None, *, git: Callable[..., str | None]) -> str | None:
    """Returns DVC's md5 of the folder of the datasets in a commit; None where it pins none, or is not here."""
    return _pinned(git("show", f"{commit}:{POINTER}") if commit else None)


def _pinned(text: str | None) -> str | None:
    try:
        return str(yaml.safe_load(text or "")["outs"][0]["md5"])
    except (yaml.YAMLError, KeyError, IndexError, TypeError):
        return None


def has_remote(settings: Path = Path(".dvc")) -> bool:
    """Tells whether DVC knows a remote."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read([settings / "config", settings / "config.local"], encoding="utf-8")
    return any("remote " in section for section in parser.sections())
