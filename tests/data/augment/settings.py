"""Settings of the augmentation in which nothing changes, and what a test changes of them."""

from __future__ import annotations

from nanonuclei.config.pixels import AugmentConfig

STILL = AugmentConfig(
    flip=False,
    turn=False,
    warp_probability=0.0,
    rotate=0.0,
    scale=0.0,
    elastic=0.0,
    intensity_probability=0.0,
    gain=0.0,
    offset=0.0,
    gamma=0.0,
    noise=0.0,
    invert=0.0,
    colour=0.0,
    size_probability=0.0,
    least_diameter=6.0,
    usual_diameter=24.0,
    largest_diameter=120.0,
    most_zoom=4.0,
    stain=0.0,
    tint=0.0,
    dim=0.0,
    blur=0.0,
    shade=0.0,
    camera=0.0,
    hot_pixels=0.0,
    compress=0.0,
    stretch=0.0,
    empty=0.0,
)


def changed(**settings: float | bool) -> AugmentConfig:
    return STILL.model_copy(update=settings)
