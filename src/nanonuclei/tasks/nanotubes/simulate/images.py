"""The embedded default data of the nanotubes task: fluorescence images of cells joined by thin bridges, from a seed.

What is drawn lies beside this file: cells in `cells.py` and `staining.py`, nanotubes in `bridges.py`, what fools a
classifier in `distractors.py`, tiles and noise in `stitching.py`. Here it comes together.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from nanonuclei.errors import DataError
from nanonuclei.imaging.types import Float32Array, UInt8Array, UInt16Array
from nanonuclei.tasks.nanotubes.simulate.bridges import Nanotube, build_bridges, paint_bridges
from nanonuclei.tasks.nanotubes.simulate.cells import Cells, Edge, free_edge, grow_cells
from nanonuclei.tasks.nanotubes.simulate.distractors import (
    draw_lint,
    draw_stress_fibres,
    grow_filopodia,
    grow_retraction_fibres,
    link_sisters,
    scatter_debris,
    scratch,
)
from nanonuclei.tasks.nanotubes.simulate.staining import stain_membranes, stain_nuclei
from nanonuclei.tasks.nanotubes.simulate.stitching import draw_sensor, expose, shade_tiles
from nanonuclei.tasks.nanotubes.simulate.strokes import join, render

MEMBRANE, NUCLEI = 0, 1
"""The channels of an image."""


@dataclass(frozen=True)
class NanotubeSettings:
    """What decides the simulated images, beside the seed; images vary about it.

    Attributes:
        size: Side of the square images, px, at least 128.
        cell_radius: Mean radius of spread cells, px, 12 to 60; at 30, an image is about 0.5 um/px.
        coverage: Share of the image that cells are to cover, above 0, at most 0.6.
        tubes_per_cell: Nanotubes per cell, 0 to 3, on average over images; 0 makes images without any.
        faint: Share of the nanotubes that are hardly above the noise, 0..1.
        distractors: Factor on the number of look-alikes, 0 (none) to 4; 1 is usual.
        noise: Factor on the noise, 0 (none) to 4; 1 is usual.
        tile: Side of the tiles that the image is stitched from, px, at least 64; 0 for an image taken at once.
    """

    size: int
    cell_radius: float
    coverage: float
    tubes_per_cell: float
    faint: float
    distractors: float
    noise: float
    tile: int


@dataclass(frozen=True)
class NanotubeImage:
    """One simulated image with all that is true of it.

    Attributes:
        sample_id: Name, unique in the dataset, safe as a file name.
        image: ``(size, size, 2)`` uint8: membranes and cytoplasm, then nuclei.
        cells: ``(size, size)`` uint16, 0 background, 1..n the cells.
        nuclei: ``(size, size)`` uint16, each nucleus with the label of its cell; a cell may lack one at the border.
        tubes: The nanotubes, in no order of meaning.
    """

    sample_id: str
    image: UInt8Array
    cells: UInt16Array
    nuclei: UInt16Array
    tubes: tuple[Nanotube, ...]

    def tube_labels(self) -> UInt16Array:
        """Returns ``(size, size)`` uint16: tube i as i + 1, 0 elsewhere; where tubes cross, the last has the pixel."""
        labels = np.zeros(self.cells.shape, np.uint16)
        for label, tube in enumerate(self.tubes, start=1):
            labels[tuple(tube.pixels.T)] = label
        return labels


def simulate_nanotubes(num_images: int, *, settings: NanotubeSettings, seed: int) -> Iterator[NanotubeImage]:
    """Draws images of cells joined by nanotubes, with much that looks like nanotubes.

    An image depends on the settings, the seed and its index alone, not on how many are drawn.

    Args:
        num_images: How many.
        settings: What they are like.
        seed: Seed of all randomness, 0 or more.

    Yields:
        ``nanotubes_0000``, ``nanotubes_0001``...

    Raises:
        DataError: A setting is out of its range, or `num_images` or `seed` is negative.
    """
    _check(settings)
    if num_images < 0 or seed < 0:
        raise DataError(
            f"num_images and seed must be 0 or more, got {num_images} and {seed}. Change data.simulated or seed"
        )
    return (_simulate(index, settings, seed) for index in range(num_images))


def simulate_nanotube(index: int, *, settings: NanotubeSettings, seed: int) -> NanotubeImage:
    """Draws one image of `simulate_nanotubes`.

    Raises:
        DataError: A setting is out of its range.
    """
    _check(settings)
    return _simulate(index, settings, seed)


def _check(settings: NanotubeSettings) -> None:
    ranges: dict[str, tuple[float, float]] = {
        "size": (128, 8192),
        "cell_radius": (12, 60),
        "coverage": (0.01, 0.6),
        "tubes_per_cell": (0, 3),
        "faint": (0, 1),
        "distractors": (0, 4),
        "noise": (0, 4),
    }
    for name, (low, high) in ranges.items():
        value = getattr(settings, name)
        if not low <= value <= high:
            raise DataError(
                f"{name} of simulated nanotubes must be in {low}..{high}, got {value}. Change data.simulated"
            )
    if settings.tile != 0 and settings.tile < 64:
        raise DataError(f"tile must be 0 or at least 64 px, got {settings.tile}. Change data.simulated.tile")


def _simulate(index: int, settings: NanotubeSettings, seed: int) -> NanotubeImage:
    rng = np.random.default_rng([seed, index, settings.size])
    radius = settings.cell_radius * rng.uniform(0.85, 1.15)
    coverage = min(settings.coverage * rng.uniform(0.6, 1.4), 0.7)
    cells = grow_cells(
        settings.size, radius=radius, coverage=coverage, dividing=min(0.35 * settings.distractors, 1.0), rng=rng
    )
    edge = free_edge(cells)
    wanted = rng.poisson(settings.tubes_per_cell * rng.uniform(0.6, 1.4) * len(cells))
    tubes = build_bridges(cells, edge, num=wanted, longest=4.5 * radius, faint=settings.faint, rng=rng)

    sensors = draw_sensor(rng), draw_sensor(rng)
    floor = sensors[MEMBRANE].floor
    contrast = rng.uniform(55.0, 150.0)
    membranes = stain_membranes(cells, radius=radius, contrast=contrast, rng=rng)
    nuclei = stain_nuclei(cells, radius=radius, contrast=rng.uniform(60.0, 170.0), rng=rng)
    membranes += render(paint_bridges(tubes, floor=floor, rng=rng), settings.size)
    membranes += render(link_sisters(cells, peak=0.6 * contrast, rng=rng), settings.size)
    membranes += _look_alikes(cells, edge, amount=settings.distractors, floor=floor, rng=rng)
    frames = (settings.size / 512.0) ** 2 * settings.distractors
    nuclei += render(scatter_debris(settings.size, num=rng.poisson(4.0 * frames), peak=20.0, rng=rng), settings.size)
    scratches = scratch(settings.size, num=rng.poisson(0.8 * frames**0.5), rng=rng)
    bleed = rng.uniform(0.0, 0.04)
    lights = scratches * (membranes + np.float32(0.5 * bleed) * nuclei), nuclei + np.float32(bleed) * membranes
    shading = shade_tiles(settings.size, settings.tile, rng)
    image = np.stack(
        [
            expose(light, sensor, shading=shading, noise=settings.noise, rng=rng)
            for light, sensor in zip(lights, sensors, strict=True)
        ],
        axis=-1,
    )
    return NanotubeImage(f"nanotubes_{index:04d}", image, cells.labels, cells.nuclei, tuple(tubes))


def _look_alikes(cells: Cells, edge: Edge, *, amount: float, floor: float, rng: np.random.Generator) -> Float32Array:
    """Draws what is no nanotube into the membrane channel; its light is that of nanotubes."""
    size = cells.labels.shape[0]
    frames = (size / 512.0) ** 2 * amount
    peak = floor * math.exp(rng.uniform(math.log(5.0), math.log(9.0)))
    inks = [
        grow_filopodia(cells, edge, amount=amount * rng.gamma(1.5, 0.3), peak=peak, rng=rng),
        grow_retraction_fibres(cells, edge, amount=amount * rng.gamma(1.2, 0.25), peak=peak, rng=rng),
        draw_stress_fibres(cells, amount=min(amount * rng.choice([0.1, 0.7]), 1.0), peak=1.6 * peak, rng=rng),
        scatter_debris(size, num=rng.poisson(18.0 * frames * rng.gamma(2.0, 0.5)), peak=1.5 * peak, rng=rng),
        draw_lint(size, num=rng.poisson(0.3 * frames**0.5), peak=peak, rng=rng),
    ]
    return render(join(inks), size)
