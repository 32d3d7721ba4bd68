"""Adam in one kernel takes the steps of Keras's, and is stored and read back."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from nanonuclei.models import optimizers


@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_steps_are_those_of_keras(name: str) -> None:
    rng = np.random.default_rng(0)
    begin, gradients = rng.normal(size=(3, 4)), rng.normal(size=(5, 3, 4))
    options = {"learning_rate": 0.01, "weight_decay": 0.1, "use_ema": True, "ema_momentum": 0.9, "global_clipnorm": 1.0}
    ends = []
    for kind in (getattr(optimizers, name), getattr(keras.optimizers, name)):
        variable = keras.Variable(begin.astype(np.float32))
        optimizer = kind(**options)
        for gradient in gradients:
            optimizer.apply([keras.ops.convert_to_tensor(gradient.astype(np.float32))], [variable])
        ends.append([np.asarray(value) for value in (variable, *optimizer.variables)])
    for found, expected in zip(*ends, strict=True):
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-6)


def test_a_stored_optimizer_is_read_back() -> None:
    stored = keras.saving.serialize_keras_object(optimizers.AdamW(0.01, weight_decay=0.1))
    read = keras.saving.deserialize_keras_object(stored)
    assert isinstance(read, optimizers.AdamW)
    assert read.weight_decay == 0.1
