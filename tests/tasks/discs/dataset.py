"""Simulated images of bright discs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import cv2
import numpy as np

from discs.config import DiscsExperiment
from discs.reader import NOUN
from nanonuclei.data.catalog import Sample
from nanonuclei.tasks.dataset import Dataset


class DiscsDataset(Dataset):
    """Drawn images; there are no real ones."""

    config: DiscsExperiment
    noun = NOUN

    def shaping(self) -> Mapping[str, object]:
        """Returns the settings that decide what is drawn."""
        data = self.config.data
        return {**super().shaping(), "data.num_images": data.num_images, "data.size": data.size}

    def samples(self, source: Path | None) -> Iterator[Sample]:
        """Draws discs that do not touch, on noise."""
        data = self.config.data
        for number in range(data.num_images):
            rng = np.random.default_rng([data.seed, number])
            labels = np.zeros((data.size, data.size), np.uint16)
            places = rng.permutation((data.size // 24) ** 2)[: 2 + number % 3]
            for label, place in enumerate(places, start=1):
                y, x = (int(24 * axis + 12) for axis in divmod(int(place), data.size // 24))
                labels = cv2.circle(labels, (x, y), int(rng.integers(5, 9)), label, -1)
            image = rng.normal(60, 8, labels.shape) + 120 * (labels > 0)
            yield Sample(f"discs{number:03}", np.clip(image, 0, 255).astype(np.uint8), labels)
