"""Random changes of the grey values of a training patch: negative, gamma, contrast, brightness, noise."""

from __future__ import annotations

import math

import cv2
import numpy as np

from nanonuclei.config.pixels import AugmentConfig, JitterConfig
from nanonuclei.imaging.types import Float32Array


def jitter(image: Float32Array, *, config: JitterConfig, rng: np.random.Generator) -> Float32Array:
    """Changes the grey values of a normalised patch at random.

    With probability `config.colour` the channels of a colour image become random mixtures of themselves, rows of
    Dirichlet(1/2) shares: near the corners of their triangle that is a swap of channels, in its middle a grey image. A
    network then learns how nuclei differ from their surroundings, not which stain a laboratory uses.

    With probability `config.invert` the image is shown as its negative. Independently, with probability
    `config.intensity_probability`, follow a gamma curve, contrast (gain) about the mean with an offset, and Gaussian
    noise. A grey image (three equal channels) stays grey: it gets the same noise in all channels.

    Args:
        image: ``(height, width, 3)``, or ``(height, width)`` of a grey image, float32 in 0..1; left as it is.
        config: How strong the changes may be.
        rng: Source of all randomness; the same state gives the same image.

    Returns:
        An image of the same shape, float32, clipped to 0..1.
    """
    colour, invert = (config.colour, config.invert) if isinstance(config, AugmentConfig) else (0.0, 0.0)
    plane = image.ndim == 2
    grey = plane or bool((image[..., 0] == image[..., 1]).all() and (image[..., 0] == image[..., 2]).all())
    out: Float32Array = np.clip(image[..., 0] if grey and not plane else image, 0.0, 1.0)
    if not grey and rng.random() < colour:
        out = cv2.transform(out, rng.dirichlet((0.5, 0.5, 0.5), size=3).astype(np.float32))
    if rng.random() < invert:
        out = 1.0 - out
    if rng.random() < config.intensity_probability:
        if config.gamma > 0.0:
            limit = math.log1p(config.gamma)
            out = cv2.pow(out, math.exp(rng.uniform(-limit, limit)))
        gain = 1.0 + rng.uniform(-config.gain, config.gain)
        mean = float(out.mean())
        shift = mean * (1.0 - gain) + rng.uniform(-config.offset, config.offset)
        out *= np.float32(gain)
        out += np.float32(shift)
        if config.noise > 0.0:
            noise = rng.standard_normal(out.shape, dtype=np.float32)
            out = cv2.scaleAdd(noise, rng.uniform(0.0, config.noise), out)
    np.clip(out, 0.0, 1.0, out=out)
    return cv2.merge([out, out, out]) if grey and not plane else out
