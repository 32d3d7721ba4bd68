"""What a comparison leaves on its run and on the terminal."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

import mlflow
import pandas as pd

from nanonuclei.config.params import flatten
from nanonuclei.config.section import Role, paths_of
from nanonuclei.report.compare import NOTHING, Arm, Bootstrap, compare_arms
from nanonuclei.report.compare_tables import (
    PANELS,
    as_markdown,
    as_text,
    compared_curves,
    cost_rows,
    score_rows,
    verdicts,
)
from nanonuclei.stages.compare.plan import same_runs, shared_runs, told_twice
from nanonuclei.stages.compare.runs import ComparedRun
from nanonuclei.tasks import create_task
from nanonuclei.tasks.base import Task
from nanonuclei.tracking.database import ui_link
from nanonuclei.tracking.runs import existing_run
from nanonuclei.tracking.views import View, of_runs, share_view, side_by_side

Compared = Mapping[str, Sequence[ComparedRun]]


def log_comparison(arms: Compared, *, parent: str, say: Callable[[str], None]) -> pd.DataFrame:
    """Compares runs, logs report, tables and figure to the active run, and prints the report.

    Args:
        arms: Runs by recipe; the first recipe is what the others are compared with.
        parent: Id of the active run.
        say: Told the report.

    Returns:
        The table of `report.compare.compare_arms`.

    Raises:
        DataError: See `report.compare.compare_arms`.
    """
    task = create_task(next(iter(arms.values()))[0].config)
    bootstrap = Bootstrap(task.config.evaluate.bootstrap, task.config.seed)
    sides = [Arm(name, tuple(r.seed for r in runs), tuple(r.per_image for r in runs)) for name, runs in arms.items()]
    comparison = compare_arms(sides, task.score, bootstrap=bootstrap)
    runs = _runs_table(arms)
    ids = {name: [run.run_id for run in own] for name, own in arms.items()}
    twice, same = shared_runs(ids), same_runs(ids)
    sentences = _sentences(verdicts(comparison, task, without=same), unequal(runs), len(twice))
    sentences += [
        f"No difference can be shown between {next(iter(arms))} and {name}: they are the same runs" for name in same
    ]
    remarks = [*notes(arms), *([told_twice(twice)] if twice else [])]
    report = "\n\n".join(
        [
            f"# {' against '.join(arms)}",
            "\n".join(f"* **{sentence}**" for sentence in sentences),
            as_markdown(score_rows(comparison, task.metric_names)),
            f"Mean ± standard deviation over runs. Differences are paired; intervals from {bootstrap.resamplings} "
            "resamplings of fields of view and runs.",
            as_markdown(cost_rows(runs)),
            *(["\n".join(f"* {remark}" for remark in remarks)] if remarks else []),
        ]
    )
    mlflow.log_text(report + "\n", "comparison.md")
    mlflow.log_text(comparison.to_csv(index=False), "comparison.csv")
    mlflow.log_text(runs.to_csv(index=False), "runs.csv")
    curves = {name: [run.curves for run in own] for name, own in arms.items()}
    mlflow.log_figure(compared_curves(curves, one_loss=_of_one_loss(arms)), "curves.png")
    mlflow.log_metrics(_headline(comparison, task))
    shown = _link(task, runs["run_id"].tolist(), parent=parent)
    mlflow.set_tags(
        {
            "verdict": sentences[0] if sentences else "",
            "split.fingerprint": " ".join(dict.fromkeys(run.split for own in arms.values() for run in own)),
            "mlflow.note.content": f"{report}\n\n[Scores and curves]({shown}), [all runs side by side]"
            f"({side_by_side(runs['run_id'].tolist())})",
        }
    )
    say("")
    say(as_text(score_rows(comparison, task.metric_names)))
    say("")
    say(as_text(cost_rows(runs)))
    say("\n" + "\n".join([*sentences, *(f"Note: {remark}" for remark in remarks)]))
    say(f"\nRun {parent}: comparison.md, comparison.csv, runs.csv, curves.png")
    say(f"Side by side: {ui_link(shown)}")
    return comparison


def unequal(runs: pd.DataFrame) -> str:
    """Returns in what the recipes differ that alone can decide a comparison: training budget and size of the network.

    Args:
        runs: One row per run: ``arm, epochs, steps_per_epoch, batch_size, num_params``.

    Returns:
        Such as ``networks: default 1,084,731 parameters, tuned 121,195``; empty where they do not differ.
    """
    budgets, sizes = {}, {}
    for arm, own in runs.groupby("arm", sort=False):
        triples = own[["epochs", "steps_per_epoch", "batch_size"]].drop_duplicates().itertuples(index=False)
        budgets[arm] = " or ".join(f"{epochs} x {steps} x {batch}" for epochs, steps, batch in triples)
        sizes[arm] = " or ".join(f"{count:,}" for count in dict.fromkeys(own["num_params"]))
    found = [
        f"{title} ({', '.join(f'{arm} {told}' for arm, told in values.items())})"
        for title, values in (("epochs x steps x batch", budgets), ("parameters of the networks", sizes))
        if len(set(values.values())) > 1
    ]
    return " and ".join(found)


def _sentences(found: Sequence[str], differing: str, num_shared: int) -> list[str]:
    """Returns verdicts as sentences; the first says what limits them all. Names of recipes keep their spelling."""
    caveats = [f"different {differing}"] if differing else []
    if num_shared:
        caveats.append(f"{num_shared} {'run that stands' if num_shared == 1 else 'runs that stand'} in several recipes")
    limited = f"With {' and with '.join(caveats)}: " if caveats else ""
    told = [f"{'' if place else limited}{sentence}" for place, sentence in enumerate(found)]
    return [one[0].upper() + one[1:] if one.startswith(NOTHING) else one for one in told]


def notes(arms: Compared) -> list[str]:
    """Returns what a reader of the comparison has to know: where the runs differ in more than their recipes."""
    runs = [run for own in arms.values() for run in own]
    found = []
    if len({run.split for run in runs}) > 1:
        found.append("The runs have different splits; only the test images that all share are compared.")
    seeds = [sorted(run.seed for run in own) for own in arms.values()]
    if any(own != seeds[0] for own in seeds):
        found.append("The arms have different seeds, which are drawn apart; intervals are wider than with equal ones.")
    if (fewest := min(map(len, seeds))) < 3:
        hold = "hold for these trainings alone, not for other seeds" if fewest == 1 else "say little about other seeds"
        found.append(f"With fewer than three runs an arm, intervals {hold}.")
    if len({(run.config.train.epochs, run.config.train.steps_per_epoch) for run in runs}) > 1:
        found.append("The runs were not trained for equally many epochs and steps.")
    if not _of_one_loss(arms):
        found.append("The losses of training and validation are not of one kind; their curves cannot be compared.")
    if len(commits := sorted({run.commit[:8] for run in runs})) > 1:
        found.append(
            f"The runs were made by different commits: {', '.join(commit or 'unknown' for commit in commits)}."
        )
    return found


def _link(task: Task, run_ids: Sequence[str], *, parent: str) -> str:
    """Returns the address of the trainings in MLflow's interface, whose views show the runs of one experiment alone."""
    if len({existing_run(run_id).info.experiment_id for run_id in run_ids}) > 1:
        return side_by_side(run_ids)
    return share_view(run_ids[0], _view(task, run_ids), key=parent, charts=True)


def _view(task: Task, run_ids: Sequence[str]) -> View:
    """Returns what MLflow shows of the trainings: recipe, seed and headline scores, the curves below."""
    scores = [f"test/{name}" for name in task.headlines]
    return View(
        filter=of_runs(run_ids),
        order=f"metrics.{scores[0]}",
        ascending=task.headlines[0] in task.lower_is_better,
        columns=("tags.recipe", "tags.seed", *(f"metrics.{name}" for name in scores), "metrics.train_seconds"),
        bars=scores,
        curves=tuple(PANELS),
    )


def _runs_table(arms: Compared) -> pd.DataFrame:
    rows = []
    sizes: dict[str, int] = {}
    for name, runs in arms.items():
        for run in runs:
            train, network = run.config.train, _settings(run, (Role.NETWORK, Role.LOSS, Role.TRAINING))
            if network not in sizes:
                sizes[network] = create_task(run.config).build_network().count_params()
            rows.append(
                {
                    "arm": name,
                    "seed": run.seed,
                    "run_id": run.run_id,
                    "commit": run.commit,
                    "split": run.split,
                    "epochs": train.epochs,
                    "steps_per_epoch": train.steps_per_epoch,
                    "batch_size": train.batch_size,
                    "train_seconds": run.train_seconds,
                    "num_params": sizes[network],
                    "inference_ms": run.inference_ms,
                }
            )
    return pd.DataFrame(rows)


def _of_one_loss(arms: Compared) -> bool:
    return len({_settings(run, (Role.LOSS,)) for own in arms.values() for run in own}) == 1


def _settings(run: ComparedRun, roles: Sequence[Role]) -> str:
    settings = flatten(run.config)
    return json.dumps([settings[path] for path in paths_of(run.config, roles)])


def _headline(comparison: pd.DataFrame, task: Task) -> dict[str, float]:
    rows = comparison[(comparison["group"] == "all") & comparison["metric"].isin(task.headlines)]
    found = {}
    for row in rows.to_dict("records"):
        found[f"{row['arm']}/{row['metric']}"] = float(row["mean"])
        for name in ("difference", "low", "high"):
            if row[name] == row[name]:
                found[f"{row['arm']}/{row['metric']}_{name}"] = float(row[name])
    return found
