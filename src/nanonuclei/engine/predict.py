"""From full images to score maps: windows of many images share the network's batches, answers are blended back."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import keras
import numpy as np

from nanonuclei.config.experiment import WindowsConfig
from nanonuclei.imaging.instances import Instances
from nanonuclei.imaging.types import Float32Array, Image
from nanonuclei.imaging.windows import Window, blend, cover, extract
from nanonuclei.tasks import Task

Network = Callable[[Float32Array], Float32Array]
"""``(batch, size, size, 3)`` float32 to ``(batch, size, size, channels)`` float32."""


@dataclass
class _Pending:
    shape: tuple[int, int]
    windows: tuple[Window, ...]
    answers: list[Float32Array]


def score_maps(network: Network, inputs: Iterable[Float32Array], *, config: WindowsConfig) -> Iterator[Float32Array]:
    """Runs a network over full images, in order.

    Args:
        network: Called with batches of exactly `config.batch_size` windows, so that it is compiled once.
        inputs: Normalised images ``(height, width, 3)`` float32 of any sizes; read as needed, not all at once.
        config: Size and stride of the windows, and the batch size.

    Yields:
        ``(height, width, channels)`` float32, one per image.
    """
    waiting: list[_Pending] = []
    for chunk in _batched(_cut(inputs, waiting, config), config.batch_size):
        batch = np.stack([window for _, window in chunk])
        padding = config.batch_size - len(chunk)
        if padding:
            batch = np.concatenate([batch, np.repeat(batch[-1:], padding, axis=0)])
        for (owner, _), answer in zip(chunk, network(batch), strict=False):
            owner.answers.append(answer)
        while waiting and len(waiting[0].answers) == len(waiting[0].windows):
            done = waiting.pop(0)
            yield blend(np.stack(done.answers), done.windows, done.shape)


def keras_network(model: keras.Model, *, num_views: int) -> Network:
    """Returns a model as a plain function on NumPy arrays.

    Args:
        model: The network.
        num_views: 1, or 8 for the mean answer over the flips and 90-degree turns of each window.
    """
    network: Network = model.predict_on_batch
    return network if num_views == 1 else _Views(network)


class _Views:
    """The mean answer over the eight symmetries of a square."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def __call__(self, batch: Float32Array) -> Float32Array:
        total = np.float32(0.0)
        for turns in range(4):
            for flip in (False, True):
                view = np.rot90(batch, turns, axes=(1, 2))
                answer = self._network(np.ascontiguousarray(view[:, :, ::-1] if flip else view))
                total = total + np.rot90(answer[:, :, ::-1] if flip else answer, -turns, axes=(1, 2))
        mean: Float32Array = np.asarray(total / np.float32(8.0), np.float32)
        return mean


def predict_instances(task: Task, model: keras.Model, image: Image) -> Instances:
    """Finds the objects of one full image.

    Args:
        task: The task that the model was trained for.
        model: Its network.
        image: ``(height, width)`` or ``(height, width, 3 or 4)``, uint8 or uint16.
    """
    network = keras_network(model, num_views=task.config.windows.num_views)
    score_map = next(score_maps(network, [task.network_input(image)], config=task.config.windows))
    return task.instances(score_map)


def _cut(
    inputs: Iterable[Float32Array], waiting: list[_Pending], config: WindowsConfig
) -> Iterator[tuple[_Pending, Float32Array]]:
    for image in inputs:
        shape = (image.shape[0], image.shape[1])
        pending = _Pending(shape, cover(shape, config.size, config.stride), [])
        waiting.append(pending)
        for window in pending.windows:
            yield pending, extract(image, [window])[0]


def _batched(
    windows: Iterator[tuple[_Pending, Float32Array]], size: int
) -> Iterator[list[tuple[_Pending, Float32Array]]]:
    while chunk := list(itertools.islice(windows, size)):
        yield chunk
