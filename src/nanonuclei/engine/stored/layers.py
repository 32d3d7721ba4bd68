"""The layers of a network, one by one."""

from __future__ import annotations

from collections.abc import Iterator

import keras


def all_layers(model: keras.Model) -> Iterator[keras.Layer]:
    """Yields the layers of a network, those of networks within it in place of these."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from all_layers(layer)
        else:
            yield layer
