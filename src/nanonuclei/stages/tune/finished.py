"""A search that is finished: what it left to be told again, without the libraries that searched and without its run."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.config.recipes import DEFAULT
from nanonuclei.counted import counted
from nanonuclei.invocation import command, option
from nanonuclei.stages.tune.plan import TuneOptions, comparison
from nanonuclei.tracking.database import ui_link
from nanonuclei.tracking.early.runs import beside, status_of
from nanonuclei.tune.base import Search, another_study
from nanonuclei.tune.notes import ended_in_files
from nanonuclei.tune.reaching import ended_in_database
from nanonuclei.writing import write_text

BEST = "best.yaml"
FINISHED = "finished.json"
"""File of a study's folder, written once its run has ended."""


@dataclass(frozen=True)
class Finished:
    """What a search that has ended tells.

    Attributes:
        run: Id of its run.
        trials: As many as were asked for.
        table: How they ended, and the best of them.
        searched: Settings of the best one that the search chose.
        view: Address of the table of the trials, below that of the user interface.
    """

    run: str
    trials: int
    table: str
    searched: Sequence[str]
    view: str


def remember(finished: Finished, search: Search, *, tuner: str) -> None:
    """Keeps what a search tells in the folder of its study."""
    kept = {"identity": _identity(search, tuner), **asdict(finished)}
    write_text(search.folder / FINISHED, json.dumps(kept, indent=2) + "\n")


def closing(config: ExperimentConfig, options: TuneOptions, finished: Finished, *, folder: Path) -> str:
    """Returns the commands that come after a search.

    Args:
        config: What the trials' settings went on top of.
        options: Of the search; its recipe is compared with the best one.
        finished: What it tells.
        folder: Of the study.
    """
    task, dataset, best = config.task, config.data.dataset, folder / BEST
    recipes = (options.recipe or DEFAULT, str(best))
    train = beside(command("train", task=task, dataset=dataset, recipe=best), finished.run)
    compare = beside(comparison(task, dataset, recipes, searched=finished.searched), finished.run)
    return f"Train it: {train}\nCompare:  {compare}\nTrials:   {ui_link(finished.view)}"


def finished_search(config: ExperimentConfig, options: TuneOptions, search: Search) -> str:
    """Returns what is told where a search has as many trials as asked for; empty where there is work left.

    Args:
        config: What the trials' settings go on top of.
        options: Of the search.
        search: The same, checked.
    """
    found = _remembered(search, options.tuner)
    if found is None or found.trials < search.trials or not (search.folder / BEST).is_file():
        return ""
    if status_of(found.run) not in ("FINISHED", None):  # None: a server, which MLflow alone can ask
        return ""
    ended = ended_in_files(search) if options.tuner == "keras-tuner" else ended_in_database(search)
    if ended is None or ended < search.trials:
        return ""
    trials = counted(found.trials, "trial")
    more, other = option("trials", str(2 * found.trials)), another_study(search.study)
    return (
        f"Search {search.study} is finished with {trials}: nothing was changed. Its run is {found.run}. "
        f"`{more}` goes on with it, `{other}` begins another.\n"
        f"{found.table}\n\n{closing(config, options, found, folder=search.folder)}"
    )


def _identity(search: Search, tuner: str) -> Any:
    own = {"tuner": tuner, "tune.keras_tuner.oracle": search.config.keras_tuner.oracle}
    return json.loads(json.dumps({**own, **search.identity}))


def _remembered(search: Search, tuner: str) -> Finished | None:
    with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):  # none, or of another version
        kept = json.loads((search.folder / FINISHED).read_text(encoding="utf-8"))
        return Finished(**kept) if kept.pop("identity", None) == _identity(search, tuner) else None
    return None
