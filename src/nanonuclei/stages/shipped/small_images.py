"""Small images of known look, to show a model that was not trained on them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.config.params import with_settings
from nanonuclei.imaging.types import Image, UInt8Array
from nanonuclei.tasks import create_dataset, create_reader
from nanonuclei.tasks.dataset import SIMULATED

NUM_EXAMPLES = 3
"""Simulated images whose answers are stored beside the task's own example."""

LARGEST_EXAMPLE = 256
"""Side that simulated images are cut to, px."""


def small_images(config: ExperimentConfig) -> Mapping[str, Image]:
    """Returns small images of known look: the task's own example, and the first ones that its simulator draws."""
    simulated = create_dataset(with_settings(config, {"data.dataset": SIMULATED})).samples(None)
    drawn = (sample.image[:LARGEST_EXAMPLE, :LARGEST_EXAMPLE] for sample in itertools.islice(simulated, NUM_EXAMPLES))
    images: dict[str, UInt8Array] = {"example": create_reader(config).example()}
    return images | {f"simulated-{number}": image for number, image in enumerate(drawn, start=1)}
