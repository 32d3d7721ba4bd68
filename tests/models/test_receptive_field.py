from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from nanonuclei.errors import ConfigError
from nanonuclei.models.receptive_field import ReceptiveField, receptive_field


def network(*parts: keras.layers.Layer) -> keras.Model:
    x = inputs = keras.Input((None, None, 1))
    for part in parts:
        x = part(x)
    return keras.Model(inputs, x)


def conv(size: int, **options: object) -> keras.layers.Layer:
    return layers.Conv2D(1, size, **options)


CASES = {
    "nothing": (lambda: [layers.ReLU()], ReceptiveField(1, 0, 0)),
    "one 3 x 3 convolution, padded": (lambda: [conv(3, padding="same")], ReceptiveField(1, -1, 1)),
    "one that is not padded": (lambda: [conv(3)], ReceptiveField(1, 0, 2)),
    "two": (lambda: [conv(3, padding="same"), conv(3, padding="same")], ReceptiveField(1, -2, 2)),
    "dilated": (lambda: [conv(3, padding="same", dilation_rate=2)], ReceptiveField(1, -2, 2)),
    "a pooling": (lambda: [layers.MaxPooling2D(2)], ReceptiveField(2, 0, 1)),
    "a convolution behind a pooling": (
        lambda: [layers.MaxPooling2D(2), conv(3, padding="same")],
        ReceptiveField(2, -2, 3),
    ),
    "a stride, padded as TensorFlow does": (lambda: [conv(3, strides=2, padding="same")], ReceptiveField(2, 0, 2)),
    "padding by hand": (lambda: [layers.ZeroPadding2D(3), conv(7, strides=2)], ReceptiveField(2, -3, 3)),
}


@pytest.mark.parametrize("case", CASES)
def test_receptive_field_is_that_known_by_hand(case: str) -> None:
    parts, expected = CASES[case]
    assert receptive_field(network(*parts())) == expected


@pytest.mark.parametrize("case", CASES)
def test_pixels_beyond_the_receptive_field_change_nothing_and_its_ends_do(case: str) -> None:
    parts, _ = CASES[case]
    model = network(*parts())
    for layer in model.layers:
        layer.set_weights([np.ones_like(weight) for weight in layer.get_weights()])
    field, feature = receptive_field(model), 6
    image = np.random.default_rng(0).random((1, 48, 48, 1)).astype(np.float32)
    before = model.predict_on_batch(image)[0, feature, feature, 0]
    first, last = feature * field.stride + field.first, feature * field.stride + field.last
    outside = image.copy()
    outside[:, : max(first, 0)] = outside[:, last + 1 :] = 9.0
    assert model.predict_on_batch(outside)[0, feature, feature, 0] == pytest.approx(before, rel=1e-5)
    for row in (first, last):
        touched = image.copy()
        touched[:, row] = 9.0
        assert model.predict_on_batch(touched)[0, feature, feature, 0] != pytest.approx(before, rel=1e-3)


def test_branches_see_what_either_sees() -> None:
    inputs = keras.Input((None, None, 1))
    wide, narrow = conv(5, padding="same")(inputs), conv(1)(inputs)
    model = keras.Model(inputs, layers.Add()([wide, narrow]))
    assert receptive_field(model) == ReceptiveField(1, -2, 2)


@pytest.mark.parametrize(
    ("field", "margin"),
    [
        (ReceptiveField(1, 0, 0), 0),
        (ReceptiveField(1, -1, 1), 1),
        (ReceptiveField(8, -42, 49), 48),
        (ReceptiveField(4, -18, 21), 20),
        (ReceptiveField(8, 0, 30), 24),
    ],
)
def test_margin_is_a_multiple_of_the_stride_and_holds_what_is_seen(field: ReceptiveField, margin: int) -> None:
    assert field.margin == margin


def test_layer_that_sees_the_whole_image_is_refused() -> None:
    model = network(conv(3), layers.GlobalAveragePooling2D(name="whole"))
    with pytest.raises(ConfigError, match="whole, a GlobalAveragePooling2D"):
        receptive_field(model)
