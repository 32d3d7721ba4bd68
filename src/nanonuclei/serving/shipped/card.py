"""The card of a model that comes along: what somebody must know before using it, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nanonuclei.config.params import Scalar
from nanonuclei.report.card import weights_licence
from nanonuclei.serving.shipped.provenance import SCORED_IN, Provenance, Score, Training

READ_OUT = ("normalize.", "windows.", "instances.", "tubes.", "network.")
"""Heads of the settings that the card lists."""


def card(
    name: str,
    provenance: Provenance,
    *,
    settings: Mapping[str, Scalar],
    metric_names: Mapping[str, str],
    cautions: Sequence[str],
    choices: str,
) -> str:
    """Returns the card.

    Args:
        name: Of the model.
        provenance: What made it.
        settings: Of its experiment, by dotted path.
        metric_names: The metrics that are shown, in order, by what people call them.
        cautions: What a model of this task must not be trusted with.
        choices: On which images its settings were chosen.
    """
    data, training = provenance.data, provenance.training
    counts = ", ".join(f"{number} {split}" for split, number in data.images.items())
    simulated = "" if data.real else " **The images are simulated: on images of a microscope its answers are guesses.**"
    shown = {path: value for path, value in settings.items() if path.startswith(READ_OUT)}
    precision = training.hardware.get(SCORED_IN, "float32")
    parts = [
        f"# The model `{name}`",
        "This model comes along with the repository and needs no training, no data and no network:",
        f"```\npython src/nanonuclei predict --model {name} --input FOLDER --output NEW\n"
        f"python src/nanonuclei promote {provenance.task} --model {name}\n"
        f"python src/nanonuclei lineage {name}\n```",
        "It takes grey or colour images of 2D microscopy and tells each object with its pixels. The second command "
        "registers it for `mlflow models serve`; the third checks all that this page says against `provenance.json`.",
        "## Data and licence",
        f"Trained on {data.name}: {counts} images, split by field of view, fingerprint `{data.split}`."
        f"{simulated} {data.licence}.",
        "## Weights and licence",
        weights_licence(settings),
        "## How it was made",
        making(training, provenance.half_difference),
        "## Scores on the test images",
        f"By the network in {precision}, with 95 % bootstrap intervals over fields of view. {choices}",
        scores_table(provenance.scores, metric_names),
        "## Limits",
        "\n".join(f"* {line}" for line in cautions),
        "## Settings",
        "```\n" + "\n".join(f"{path}={value}" for path, value in shown.items()) + "\n```",
    ]
    return "\n\n".join(parts) + "\n"


def scores_table(scores: Sequence[Score], names: Mapping[str, str]) -> str:
    """Returns a Markdown table, one row per metric and one column per group, with intervals."""
    cells = {(score.metric, score.group): score for score in scores}
    groups = list(dict.fromkeys(score.group for score in scores))
    lines = [f"| | {' | '.join(groups)} |", "|---" * (len(groups) + 1) + "|"]
    for metric in (name for name in names if any((name, group) in cells for group in groups)):
        row = [_cell(cells.get((metric, group))) for group in groups]
        lines.append(f"| {names[metric]} | {' | '.join(row)} |")
    return "\n".join(lines)


def _cell(score: Score | None) -> str:
    if score is None:
        return ""
    if score.low is None or score.high is None:
        return f"{score.value:.3f}"
    return f"{score.value:.3f} ({score.low:.3f} to {score.high:.3f})"


def making(training: Training, half_difference: float) -> str:
    """Returns how weights came about, as sentences.

    Args:
        training: The training.
        half_difference: Largest difference of a score to the network in float32; not told where 0.
    """
    hardware = training.hardware
    where = f"{hardware.get('num_devices', '1')} {hardware.get('device', '')} ({hardware.get('name', 'not known')}"
    machine = f"{where}, {hardware.get('backend', '')}, {hardware.get('precision', '')})"
    commit = f"commit `{training.commit[:12]}`" if training.commit else "a commit that is not known"
    run = f"run `{training.run}` at {commit}"
    by = f"`benchmarks/train_here.py`; `adopt` made {run} of its weights" if training.elsewhere else f"`train`, {run}"
    halved = (
        f" Large arrays of weights are stored as float16 and computed with in float32: scores of pixels differ by "
        f"{half_difference:.1g} at most on the images that were compared. Written by `python src/nanonuclei ship`."
        if half_difference
        else ""
    )
    return (
        f"Trained in {training.seconds / 60:.1f} minutes and {training.epochs} epochs on {machine}, seed "
        f"{training.seed}, by {by}.{halved}"
    )
