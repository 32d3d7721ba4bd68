from __future__ import annotations

import keras
import numpy as np
import pytest
from tests.conftest import network

from nanonuclei.models.decoders import pix2pix, transpose
from nanonuclei.models.unet import unet

SMALL = network(depth=2, base_filters=1, decoder="pix2pix")


def inputs(*levels: int) -> dict[int, keras.KerasTensor]:
    return {level: keras.Input((16 // 2**level, 24 // 2**level, 2)) for level in levels}


@pytest.mark.parametrize("decode", [transpose, pix2pix])
@pytest.mark.parametrize("levels", [(0, 1, 2), (1, 2)], ids=["skip of full size", "none of full size"])
def test_scores_have_the_size_of_the_image_with_and_without_a_skip_of_that_size(
    decode: object, levels: tuple[int, ...]
) -> None:
    assert decode(inputs(*levels), SMALL, num_classes=3).shape == (None, 16, 24, 3)


@pytest.mark.parametrize(
    ("levels", "count"),
    [
        # 3 x 3: from 2 channels at the bottom to 2 at level 1; these and the skip's 2 to the scores' 3
        ((1, 2), (9 * 2 * 2 + 2) + (9 * 4 * 3 + 3)),
        # as before to level 1; from 4 channels to 1 at level 0; that and the skip's 2 to the scores' 3
        ((0, 1, 2), (9 * 2 * 2 + 2) + (9 * 4 * 1 + 1) + (9 * 3 * 3 + 3)),
    ],
)
def test_parameters_of_a_pix2pix_decoder_by_hand(levels: tuple[int, ...], count: int) -> None:
    features = inputs(*levels)
    scores = pix2pix(features, SMALL, num_classes=3)
    assert keras.Model(list(features.values()), scores).count_params() == count


def test_pix2pix_block_is_transpose_convolution_normalisation_dropout_and_relu() -> None:
    config = network(depth=2, decoder="pix2pix", normalisation="batch", dropout=0.5)
    features = inputs(1, 2)
    model = keras.Model(list(features.values()), pix2pix(features, config, num_classes=1))
    kinds = [type(layer).__name__ for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    assert kinds == ["Conv2DTranspose", "BatchNormalization", "Dropout", "ReLU", "Concatenate", "Conv2DTranspose"]


def test_pix2pix_decoder_serves_a_unet_from_scratch_too() -> None:
    model = unet(network(decoder="pix2pix", normalisation="group"), num_classes=2)
    answer = np.asarray(model(np.zeros((1, 8, 12, 3), np.float32)))
    assert answer.shape == (1, 8, 12, 2)
    np.testing.assert_allclose(answer.sum(axis=-1), 1.0, rtol=1e-5)
