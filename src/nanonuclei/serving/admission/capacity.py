"""What a server can do: pixels and bytes of a request, by its memory and by its speed as measured at the start."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

import numpy as np

from nanonuclei.imaging.networks import Network, TileNetwork
from nanonuclei.tasks.base import Reader

TIMEOUT = "MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT"
"""Environment variable of MLflow: seconds after which its server answers 504, while the work goes on."""
USUAL_TIMEOUT = 60.0

SHARE_OF_TIME = 0.75
"""Part of the timeout after which we stop the work ourselves; steps that cannot be stopped need the rest."""

SHARE_OF_NETWORK = 0.25
"""Part of the timeout in which the network alone must be through the pixels of a request. Overlapping windows, a second
look in a better size and the read-out need three times as much."""

OWN_BYTES = 760_000_000
"""Resident memory of the process with a network at work: 330 MB, and 340 MB for a window of 1024 x 1024 px."""

BODY_COPIES = 3
"""Times the bytes of a body that a request holds: as it came, as text, and decoded from base64."""

BODIES_SHARE = 0.25
"""Part of the memory beside `OWN_BYTES` that bodies may take."""

BYTES_PER_PIXEL = 60
"""What one pixel of an image takes at the height of the work: image, network input, score map, labels. Measured: 60 at
2048 x 2048 px."""

SMALL = 2**19
"""px up to which a request is small: it does not wait for large ones."""

NUM_SMALL = 3
"""Small requests that are worked on at a time, beside one large one."""

LEAST_PIXELS = 2**20
"""px of a request that are accepted however little memory there is."""

_PROBE_SIDE = 256


@dataclass(frozen=True)
class Capacity:
    """What a server accepts.

    Attributes:
        num_pixels: Most px of the images of a request, and of one image as it is shown to the network.
        num_bytes: Most bytes of a body.
        body_bytes: Bytes of memory for all bodies at a time.
        seconds: Until which a request is answered.
        speed: px that the network answers per second.
    """

    num_pixels: int
    num_bytes: int
    body_bytes: int
    seconds: float
    speed: float


def measure(network: Network, reader: Reader, *, max_pixels: int, max_bytes: int, memory: int) -> Capacity:
    """Measures the network and returns what this server can do.

    Args:
        network: As the reader takes it.
        reader: Of the model's task.
        max_pixels: Most px of a request that were asked for.
        max_bytes: Most bytes of a body that were asked for.
        memory: Bytes that the process may take.
    """
    timeout = float(os.environ.get(TIMEOUT) or USUAL_TIMEOUT)
    speed = measured_speed(network, reader)
    free = max(0, memory - OWN_BYTES)
    body_bytes = int(BODIES_SHARE * free)
    by_memory = int((free - body_bytes) / BYTES_PER_PIXEL) - NUM_SMALL * SMALL
    by_time = int(speed * timeout * SHARE_OF_NETWORK)
    return Capacity(
        num_pixels=min(max_pixels, max(LEAST_PIXELS, min(by_memory, by_time))),
        num_bytes=min(max_bytes, max(LEAST_PIXELS, body_bytes // BODY_COPIES)),
        body_bytes=max(body_bytes, BODY_COPIES * LEAST_PIXELS),
        seconds=SHARE_OF_TIME * timeout,
        speed=speed,
    )


def measured_speed(network: Network, reader: Reader, *, num_calls: int = 2) -> float:
    """Returns the px per second that a network answers: its best call of a few."""
    timing = reader.timing(network)
    whole = isinstance(network, TileNetwork)
    side, settled = (timing.side, timing.settled) if whole else (min(timing.side, _PROBE_SIDE),) * 2
    batch = np.random.default_rng(0).random((1, side, side, 3), np.float32)
    best = float("inf")
    for _ in range(num_calls):
        started = time.perf_counter()
        timing.network(batch)
        best = min(best, time.perf_counter() - started)
    return settled**2 / max(best, 1e-6)
