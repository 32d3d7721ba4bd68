"""In words: what a model was trained on, and which images look unlike that. The same for predict, page and servers."""

from __future__ import annotations

from collections.abc import Sequence

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.tasks import dataset_type

SIMULATED = "Warning: trained on simulated images only. On images of a microscope its answers are guesses."
CHECK = "Check its outlines before you believe its count."
"""What to do about one image that looks unlike the training images."""


def trained_on(config: ExperimentConfig) -> list[str]:
    """Returns lines that tell what a model was trained on, with a warning where no microscope took the images."""
    name, dataset = config.data.dataset, dataset_type(config.task)
    real = name in dataset.locations
    licence = dataset.licences.get(name, "licence not known")
    first = f"trained on {name}, {'real' if real else 'simulated'} images ({licence})."
    return [first] if real else [first, SIMULATED]


def unlike_training(told: Sequence[str]) -> list[str]:
    """Returns a warning per image of a request that looks unlike the training images.

    Args:
        told: `Looks.unlike` of each image of a request, in order; empty where an image looks like one.
    """
    return [
        f"Warning: image {number} looks unlike those that the model was trained on: {text}. {CHECK}"
        for number, text in enumerate(told)
        if text
    ]
