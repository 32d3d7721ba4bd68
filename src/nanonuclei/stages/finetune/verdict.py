"""Is the fine-tuned model better: on the new held-out images and on the old test images, paired, in one sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from nanonuclei.config.gate import GateConfig
from nanonuclei.data.catalog import SampleRef
from nanonuclei.drawing.tables import table
from nanonuclei.engine.evaluate import evaluate_network
from nanonuclei.report.compare import Arm, Bootstrap, compare_arms, verdict
from nanonuclei.serving.named import open_model
from nanonuclei.stages.places import PARAMS
from nanonuclei.tasks import create_task

BEFORE, AFTER = "the model before", "the fine-tuned model"
UNDONE = (
    "The training made nothing better, so that it was undone: the model is as it was, and scores as before. Keep the "
    "model that you had; `promote` refuses this one."
)


@dataclass(frozen=True)
class Verdict:
    """What two models score on the same images.

    Attributes:
        rows: A row per set of images and headline metric: ``images, num_images, metric, before, after, difference, low,
            high``.
        table: The same as plain text.
        sentence: The first metric of every set in words, and whether the gate will take the model.
        better: Whether it gained in the metric of the gate on the first set, and lost no more than the gate allows on
            the others.
    """

    rows: pd.DataFrame
    table: str
    sentence: str
    better: bool


def is_it_better(before: str, after: str, sets: Mapping[str, Sequence[SampleRef]], *, gate: GateConfig) -> Verdict:
    """Scores two models on the same images, each as it is served.

    Args:
        before: The model that the training began with, see `serving.named.find_model`.
        after: The fine-tuned one.
        sets: What the images are called, and the images; the first are the new ones.
        gate: Whose metric and bounds decide.

    Raises:
        TrackingError: There is no such model.
    """
    opened = [open_model(reference, missing_from=PARAMS) for reference in (before, after)]
    tasks = [create_task(model.config) for model in opened]
    task, evaluation = tasks[1], opened[1].config.evaluate
    bootstrap = Bootstrap(evaluation.bootstrap, opened[1].config.seed)
    rows, sentences = [], []
    for name, samples in sets.items():
        tables = [
            evaluate_network(own, model.network, samples).per_image for own, model in zip(tasks, opened, strict=True)
        ]
        arms = [Arm(arm, (0,), (scores,)) for arm, scores in zip((BEFORE, AFTER), tables, strict=True)]
        compared = compare_arms(arms, task.score, bootstrap=bootstrap)
        compared = compared[(compared["group"] == "all")].set_index(["metric", "arm"])
        for place, metric in enumerate(dict.fromkeys((*task.headlines, gate.compared))):
            row = compared.loc[(metric, AFTER)].to_dict()
            rows.append(
                {
                    "images": name,
                    "num_images": len(samples),
                    "metric": metric,
                    "before": compared.loc[(metric, BEFORE)]["mean"],
                    "after": row["mean"],
                    **{key: row[key] for key in ("difference", "low", "high")},
                }
            )
            if place == 0:
                text = verdict(
                    {**row, "metric": metric, "arm": AFTER},
                    baseline=BEFORE,
                    names=task.metric_names,
                    lower_is_better=task.lower_is_better,
                )
                sentences.append(f"On {name} ({len(samples)}): {text}.")
    found = pd.DataFrame(rows)
    better, conclusion = _concluded(found, gate, task.metric_names.get(gate.compared, gate.compared))
    return Verdict(found, _shown(found, task.metric_names), " ".join((*sentences, conclusion)), better)


def _concluded(rows: pd.DataFrame, gate: GateConfig, metric: str) -> tuple[bool, str]:
    """Returns whether the model is worth having by the rules of the gate, and a sentence that says so."""
    new, *old = rows[rows["metric"] == gate.compared].to_dict("records")
    if not np.isfinite(new["difference"]):
        lacks = f"{metric} has no value on {new['images']}, which hold too few objects"
        return False, f"Whether it is better is not known: {lacks}. Correct more images that hold some."
    if not new["difference"] > 0.0:
        change = f"{metric} changed by {new['difference']:+.3f} on {new['images']}"
        return False, f"It is not better: {change}. Keep the model that you had; `promote` refuses this one."
    for row in old:
        if row["difference"] < -gate.max_loss:
            change = f"{row['difference']:+.3f} {metric} on {row['images']}, and {gate.max_loss:g} is the most"
            return False, f"It forgot too much: {change}. Keep the model that you had; `promote` refuses this one."
    change = (
        f"{metric} changed by {new['difference']:+.3f} ({new['low']:+.3f} to {new['high']:+.3f}) on {new['images']}"
    )
    if not new["low"] > 0.0:
        return True, f"It may be better: {change}. That may be chance, which more held-out images would tell."
    return True, f"It is better: {change}."


def _shown(rows: pd.DataFrame, names: Mapping[str, str]) -> str:
    head = ["images", "", "before", "after", "difference", "95 % interval"]
    lines = [
        [
            f"{row['images']} ({row['num_images']})",
            names.get(row["metric"], row["metric"]),
            f"{row['before']:.3f}",
            f"{row['after']:.3f}",
            f"{row['difference']:+.3f}",
            f"{row['low']:+.3f} to {row['high']:+.3f}",
        ]
        for row in rows.to_dict("records")
    ]
    return table(lines, header=head)
