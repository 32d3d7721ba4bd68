"""What patches are cut from: grey images with the centre lines of their nanotubes, prepared or simulated. No Keras."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass

import numpy as np

from nanonuclei.config.shared import NormalizeConfig
from nanonuclei.data.catalog import SampleRef
from nanonuclei.errors import DataError
from nanonuclei.imaging.normalize import grey_limits, normalize
from nanonuclei.imaging.types import Float32Array, Image
from nanonuclei.tasks.nanotubes.data_config import SimulatedNanotubesConfig
from nanonuclei.tasks.nanotubes.lines.light import brightest_channel
from nanonuclei.tasks.nanotubes.lines.line import Line
from nanonuclei.tasks.nanotubes.lines.rules import width_across
from nanonuclei.tasks.nanotubes.simulate.images import MEMBRANE, NanotubeSettings, simulate_nanotube
from nanonuclei.tasks.nanotubes.sources.samples import tube_truth

KEPT_IMAGES = 400
"""Images held in memory, about a megabyte each."""

USUAL_WIDTH = 2.0
"""Full width at half maximum of nanotubes, px, that is taken for images without any."""


@dataclass(frozen=True)
class Shown:
    """One image that patches are cut from.

    Attributes:
        grey: ``(height, width)`` float32 in 0..1, scaled as the whole image is in a scan.
        sure: Centre lines of the nanotubes.
        doubtful: Centre lines of what may be nanotubes.
        width: Full width at half maximum of the nanotubes, median, px.
    """

    grey: Float32Array
    sure: tuple[Line, ...]
    doubtful: tuple[Line, ...]
    width: float


def of_sample(sample: SampleRef, config: NormalizeConfig) -> Shown:
    """Reads a prepared sample.

    Raises:
        DataError: Its files are missing or broken, or the lines of its nanotubes are not known.
    """
    truth, grey = tube_truth(sample), scaled(sample.image(), config)
    if truth.kind != "mask":
        raise DataError(
            f"a network that marks lines learns from masks or centre lines, but {sample.sample_id} is marked by "
            f"{'boxes' if truth.kind == 'boxes' else 'whole patches'}. Take network.answer=window"
        )
    widths = [width_across(grey, line.points) for line in truth.lines if len(line.points) > 1]
    return Shown(grey, truth.lines, truth.doubtful, max(1.0, float(np.median(widths))) if widths else USUAL_WIDTH)


@functools.lru_cache(maxsize=KEPT_IMAGES)
def simulated(index: int, config: SimulatedNanotubesConfig, *, normalize_by: NormalizeConfig, seed: int) -> Shown:
    """Draws a simulated image of cells of another size, density, noise and stitching each time.

    Args:
        index: Number of the image.
        config: `size` and `faint` are kept; the other settings are varied.
        normalize_by: How grey values are scaled.
        seed: Seed of all randomness; the image depends on it and the index alone.
    """
    rng = np.random.default_rng([seed, index, 23])
    settings = NanotubeSettings(**{name: getattr(config, name) for name in NanotubeSettings.__dataclass_fields__})
    settings = dataclasses.replace(
        settings,
        cell_radius=float(rng.uniform(18.0, 55.0)),
        coverage=float(rng.uniform(0.08, 0.5)),
        tubes_per_cell=float(rng.choice([0.0, 0.3, 0.8])),
        distractors=float(rng.choice([0.3, 1.0, 1.5])),
        noise=float(rng.choice([0.0, 0.4, 1.0])),
        tile=int(rng.choice([0, 0, 256])),
    )
    drawn = simulate_nanotube(index, settings=settings, seed=seed)
    lines = tuple(tube.line for tube in drawn.tubes)
    widths = [line.width for line in lines]
    grey = scaled(np.ascontiguousarray(drawn.image[..., MEMBRANE]), normalize_by)
    return Shown(grey, lines, (), max(1.0, float(np.median(widths))) if widths else USUAL_WIDTH)


def scaled(image: Image, config: NormalizeConfig) -> Float32Array:
    """Returns an image as the network is shown it: one grey value per pixel, ``(height, width)`` in 0..1."""
    grey = brightest_channel(image)
    return np.ascontiguousarray(normalize(grey, grey_limits(grey, config))[..., 0])
