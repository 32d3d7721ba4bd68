"""What a search leaves: the best settings as a recipe, a table of its trials, figures on its run."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import mlflow
import pandas as pd
import yaml

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.config.params import flatten, load_experiment
from nanonuclei.drawing.tables import shortened
from nanonuclei.drawing.tables import table as text_table
from nanonuclei.invocation import command
from nanonuclei.report.search import parallel_coordinates, pareto, search_history, setting_importances, slices
from nanonuclei.stages.places import PARAMS
from nanonuclei.tracking.views import View
from nanonuclei.tune.base import Search, TrialRecord
from nanonuclei.tune.optuna_parts import importances

NUM_SHOWN = 5
"""Trials of the table on the terminal, at most; as many as its width has room for."""
WIDEST = 16
"""Characters of a value in that table."""
NUM_COLUMNS = 6
"""Settings that MLflow shows as columns, the most important ones: more push the first out of sight."""


def best_recipe(config: ExperimentConfig, best: TrialRecord, *, search: Search, path: Path) -> str:
    """Returns a recipe: how the search's config differs from `params.yaml`, and the best trial's settings on top.

    Args:
        config: What the trials' settings went on top of.
        best: The trial.
        search: What it was found by.
        path: Where the recipe goes, for its first comment.
    """
    defaults = flatten(load_experiment(config.task, path=PARAMS))
    changed = {
        name: value
        for name, value in flatten(config).items()
        if value != defaults[name] and name != "data.dataset" and not name.startswith("tune.")
    }
    tuned = {name: value for name, value in best.settings.items() if name != "train.epochs"}
    epochs = int(best.settings.get("train.epochs", search.config.epochs))
    return (
        f"# Trial {best.number} of study {search.study}: {search.config.metric} {best.outcome.value:.4f} at epoch "
        f"{best.outcome.figures.get('best_epoch', 0):.0f} of {epochs} on {config.data.dataset}.\n"
        f"#   {command('train', task=config.task, dataset=config.data.dataset, recipe=path.as_posix())}\n"
        + yaml.safe_dump({**changed, **tuned}, sort_keys=False)
    )


def trials_table(records: Sequence[TrialRecord]) -> pd.DataFrame:
    """Returns one row per trial: who it is, how it ended, its figures and settings."""
    rows = [
        {
            "number": record.number,
            "state": record.state,
            "value": record.outcome.value,
            "worker": record.worker,
            "error": record.outcome.error,
            "inference_ms": None,
            "num_params": None,
            **record.outcome.figures,
            **record.settings,
        }
        for record in records
    ]
    table = pd.DataFrame(rows)
    return table.astype(dict.fromkeys(("value", "inference_ms", "num_params"), float))


def log_search(
    config: ExperimentConfig, search: Search, *, records: Sequence[TrialRecord], best: TrialRecord
) -> Mapping[str, float]:
    """Logs table, figures and the best trial to the active run; returns the importances of the settings."""
    table, metric, up = trials_table(records), search.config.metric, search.greater_is_better
    space = search.config.space
    shares = importances(records, space, seed=config.seed)
    mlflow.log_text(table.to_csv(index=False), "trials.csv")
    figures = {
        "history": search_history(table, metric=metric, greater_is_better=up),
        "importances": setting_importances(shares),
        "parallel_coordinates": parallel_coordinates(table, space, metric=metric),
        "slices": slices(table, space, metric=metric),
        "pareto": pareto(table, metric=metric, greater_is_better=up),
    }
    for name, figure in figures.items():
        mlflow.log_figure(figure, f"figures/{name}.png")
    counts = table["state"].str.replace(" ", "_").value_counts()
    mlflow.log_metrics({"best_value": best.outcome.value, **{f"trials/{k}": float(v) for k, v in counts.items()}})
    mlflow.log_metrics({f"importance/{path}": share for path, share in shares.items()})
    mlflow.set_tags({"best.trial": str(best.number), **{f"best.{path}": str(v) for path, v in best.settings.items()}})
    return shares


def search_table(search: Search, records: Sequence[TrialRecord], *, best: TrialRecord) -> str:
    """Returns how many trials ended how, and the best few, as plain text: a column each, a row per setting."""
    table = trials_table(records)
    counts = ", ".join(f"{count} {state}" for state, count in table["state"].value_counts().items())
    complete = table[table["state"] == "complete"].sort_values("value", ascending=not search.greater_is_better)
    paths = list(search.config.space)
    room = shutil.get_terminal_size().columns - max(map(len, [search.config.metric, *paths]))
    shown = complete.head(min(NUM_SHOWN, max(2, room // (WIDEST + 2)))).to_dict("records")
    rows = [
        [search.config.metric, *(f"{row['value']:.4f}" for row in shown)],
        *([path, *(_short(row[path]) for row in shown)] for path in paths),
    ]
    header = ["trial", *(str(row["number"]) for row in shown)]
    return f"\nTrials: {counts}. Best: trial {best.number}.\n\n{text_table(rows, header=header)}"


def trials_view(search: Search, parent: str, shares: Mapping[str, float]) -> View:
    """Returns what MLflow shows of the trials: the best first, with value, cost, the most important settings and state.

    Args:
        search: What is searched.
        parent: Id of its run.
        shares: Importances of the settings by their paths; may lack some, or all.
    """
    paths = sorted(search.config.space, key=lambda path: -shares.get(path, 0.0))[:NUM_COLUMNS]
    value, metric = "value", search.config.metric
    return View(
        filter=f"tags.parent = '{parent}' AND tags.stage = 'trial'",
        order=f"metrics.{value}",
        ascending=not search.greater_is_better,
        columns=(
            *(f"metrics.{name}" for name in (value, "num_params", "inference_ms")),
            *(f"params.{path}" for path in paths),
            "tags.state",
        ),
        bars=(value,),
        curves=(metric, "train/loss"),
    )


def _short(value: object) -> str:
    return shortened(f"{value:.4g}" if isinstance(value, float) else str(value), WIDEST)
