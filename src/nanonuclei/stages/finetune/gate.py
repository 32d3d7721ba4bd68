"""What the gate asks of a fine-tuned model: that it beats the model it began with, and still knows the old images."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.data.catalog import SampleRef
from nanonuclei.engine.evaluate import evaluate_network
from nanonuclei.imaging.networks import Network
from nanonuclei.serving.named import open_model
from nanonuclei.stages.finetune.start import old_test_images
from nanonuclei.stages.places import PARAMS
from nanonuclei.tasks import create_task
from nanonuclei.tracking.facts import PARENT_MODEL, REPLAYED
from nanonuclei.tracking.gate import Champion, Gain, Parent

Served = tuple[ExperimentConfig, Network]
"""A model as it is served."""


@dataclass(frozen=True)
class Rivals:
    """Compares a challenger with other models.

    Attributes:
        challenger: The challenger.
        compare: From statistics per image, the other model's and the challenger's, to gains, the one over all images
            first.
        say: Told where the old images are not at hand.
    """

    challenger: Served
    compare: Callable[[pd.DataFrame, pd.DataFrame], tuple[Gain, ...]]
    say: Callable[[str], None] = print

    def on_old(self, name: str, other: Served) -> tuple[Gain, ...]:
        """Compares on the test images of the dataset that the challenger knew before it was fine-tuned.

        Args:
            name: Of the dataset.
            other: The other model.

        Returns:
            The gain over all old images, a group of its own; nothing where they are not at hand.
        """
        samples = old_test_images(self.challenger[0], name, say=self.say)
        if not samples:
            return ()
        before, after = (_per_image(served, samples) for served in (other, self.challenger))
        return (dataclasses.replace(_over_all(self.compare(before, after)), group=f"old images of {name}"),)

    def parent(
        self,
        tags: Mapping[str, str],
        samples: Sequence[SampleRef],
        per_image: pd.DataFrame,
        *,
        champion: tuple[str, Champion | None],
    ) -> Parent | None:
        """Compares with the model that the challenger's training began with.

        Args:
            tags: Of the run of the training.
            samples: Test images of the challenger.
            per_image: Its statistics on them.
            champion: URI of the champion, and what is known of it. Where it is the parent, it is not scored again.

        Returns:
            None where the training began anew.

        Raises:
            TrackingError: The parent is not there any more.
        """
        name = tags.get(PARENT_MODEL, "")
        if not name:
            return None
        uri, known = champion
        if known is not None and uri == name:
            return Parent(name, [gain for gain in known.gains if gain.group == "all"])
        opened = open_model(name, missing_from=PARAMS)
        served = (opened.config, opened.network)
        overall = _over_all(self.compare(_per_image(served, samples), per_image))
        old = tags.get(REPLAYED, "")
        more = self.on_old(old, served) if old and known is None else ()  # else the champion was the measure
        return Parent(name, (overall, *more))


def _per_image(served: Served, samples: Sequence[SampleRef]) -> pd.DataFrame:
    config, network = served
    return evaluate_network(create_task(config), network, samples).per_image


def _over_all(gains: Sequence[Gain]) -> Gain:
    return next(gain for gain in gains if gain.group == "all")
