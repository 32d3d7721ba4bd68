"""What the gate asks of a fine-tuned model beside its new images: that it still knows the old ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pandas as pd

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.engine.evaluate import evaluate_network
from nanonuclei.imaging.networks import Network
from nanonuclei.stages.finetune.start import old_catalog
from nanonuclei.tasks import create_task
from nanonuclei.tracking.gate import Gain

Served = tuple[ExperimentConfig, Network]
"""A model as it is served."""


def gain_on_old(
    name: str,
    champion: Served,
    challenger: Served,
    *,
    compare: Callable[[pd.DataFrame, pd.DataFrame], tuple[Gain, ...]],
    say: Callable[[str], None] = print,
) -> tuple[Gain, ...]:
    """Compares a fine-tuned model with the champion on the test images of the dataset that it knew before.

    Args:
        name: Of the dataset.
        champion: The champion.
        challenger: The fine-tuned model.
        compare: From statistics per image, champion's and challenger's, to gains, the one over all images first.
        say: Told where the old images are not at hand.

    Returns:
        The gain over all old images, a group of its own; nothing where they are not at hand.
    """
    catalog = old_catalog(challenger[0], name, say=say)
    if catalog is None:
        say(f"The test images of {name}, which the model knew before, are not here: what it forgot is not known.")
        return ()
    samples = catalog.split("test")
    before, after = (
        evaluate_network(create_task(config), net, samples).per_image for config, net in (champion, challenger)
    )
    overall = next(gain for gain in compare(before, after) if gain.group == "all")
    return (dataclasses.replace(overall, group=f"old images of {name}"),)
