"""Parts that the downsampling path and the decoders of a U-Net share: convolutions, normalisation, the last layer."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import layers, ops

from nanonuclei.config.pixels import NetworkConfig

RELU_GAIN = math.sqrt(2.0 / (1.0 - 1.0 / math.pi))
"""One over the standard deviation of ReLU(x) for x of mean 0 and variance 1."""


def filters_at(level: int, config: NetworkConfig) -> int:
    """Returns the filters where the image has been halved `level` times."""
    return config.base_filters * 2**level


def block(x: keras.KerasTensor, config: NetworkConfig, *, level: int, name: str) -> keras.KerasTensor:
    """Two 3 x 3 convolutions with normalisation and ReLU, and dropout at the two lowest levels."""
    convolution = StandardizedConv2D if config.normalisation == "weights" else layers.Conv2D
    for part in ("a", "b"):
        x = convolution(
            filters_at(level, config),
            3,
            padding="same",
            use_bias=config.normalisation in ("none", "weights"),
            kernel_initializer="he_normal",
            name=f"{name}{part}_conv",
        )(x)
        x = normalised(x, config, name=f"{name}{part}_norm")
        x = layers.ReLU(name=f"{name}{part}_relu")(x)
    if config.dropout > 0 and level >= config.depth - 1:
        x = Dropout(config.dropout, name=f"{name}_drop")(x)
    return x


def normalised(x: keras.KerasTensor, config: NetworkConfig, *, name: str) -> keras.KerasTensor:
    """Normalises activations over the batch or over groups of channels; as they are where weights or nothing is."""
    if config.normalisation == "batch":
        return layers.BatchNormalization(momentum=config.norm_momentum, name=name)(x)
    if config.normalisation == "group":
        groups = next(size for size in (8, 4, 2, 1) if x.shape[-1] % size == 0)
        return layers.GroupNormalization(groups, name=name)(x)
    return x


def score_options(num_classes: int) -> dict[str, Any]:
    """Returns what every last layer is given: a sigmoid for one score, a softmax for class probabilities.

    It stays in float32: probabilities near 0 and 1 do not fit into half precision.
    """
    return {"activation": "sigmoid" if num_classes == 1 else "softmax", "dtype": "float32", "name": "score"}


@keras.saving.register_keras_serializable(package="nanonuclei")
class StandardizedConv2D(layers.Conv2D):
    """A convolution whose kernels have mean 0 and a learnt gain: normalisation of weights, whatever the image's size.

    The kernel of each filter is ``RELU_GAIN * gain * (w - mean(w)) / (std(w) * sqrt(n))`` over its n weights (scaled
    weight standardization; Brock et al. 2021, arXiv 2101.08692, eq. 2), so that activations of variance 1 keep it
    through a ReLU. Nothing is computed per pixel and nothing depends on the batch.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{**options, "autocast": False})  # kernels are standardized in float32

    def build(self, input_shape: Any) -> None:
        """Adds the gain of each filter."""
        super().build(input_shape)
        self.gain = self.add_weight(name="gain", shape=(self.filters,), initializer="ones")

    def save_own_variables(self, store: Any) -> None:
        """Stores all variables; a plain convolution stores kernel and bias alone."""
        layers.Layer.save_own_variables(self, store)

    def load_own_variables(self, store: Any) -> None:
        """Reads what `save_own_variables` stored."""
        layers.Layer.load_own_variables(self, store)

    def call(self, inputs: Any) -> Any:
        """Convolves with the standardized kernel, in the precision of the layer."""
        inputs = ops.cast(inputs, self.compute_dtype)
        kernel = ops.cast(standardized(self.kernel, self.gain), self.compute_dtype)
        outputs = self.convolution_op(inputs, kernel)
        if self.use_bias:
            outputs = ops.add(outputs, ops.cast(ops.reshape(self.bias, (1, 1, 1, -1)), self.compute_dtype))
        return self.activation(outputs)


def standardized(kernel: Any, gain: Any) -> Any:
    """Returns a kernel ``(height, width, channels, filters)`` float32 as `StandardizedConv2D` describes it.

    The gradient is written out: a backend that goes over a kernel once for each factor of the formula takes longer
    over it than over some of the convolutions. It follows from the formula by the quotient rule.

    Args:
        kernel: As it is learnt, of the same shape, float32.
        gain: Per filter, ``(filters,)`` float32.
    """
    number = math.prod(kernel.shape[:-1])
    ones = ops.ones((1, number))  # sums by products are fast, and precise enough for a gradient

    @ops.custom_gradient
    def formula(rows: Any, gain: Any) -> Any:
        centred = rows - ops.mean(rows, axis=0, keepdims=True)
        inverse = ops.rsqrt(ops.sum(ops.square(centred), axis=0, keepdims=True) + keras.config.epsilon())
        scale = RELU_GAIN * gain * inverse

        def gradient(*values: Any, upstream: Any = None) -> Any:
            change = values[-1] if upstream is None else upstream
            along = ops.matmul(ones, change * centred)
            mean = ops.matmul(ones, change) / number
            by_rows = scale * change - (centred * (scale * ops.square(inverse) * along) + scale * mean)
            return by_rows, RELU_GAIN * inverse * along

        return centred * scale, gradient

    found = formula(ops.reshape(kernel, (number, -1)), ops.reshape(gain, (1, -1)))
    return ops.reshape(found, kernel.shape)


@keras.saving.register_keras_serializable(package="nanonuclei")
class Pointwise(layers.Conv2D):
    """A last layer of 1 x 1 kernels, which answers in float32 and in training multiplies in the precision of its input.

    Bias and activation are always computed in float32, as Keras advises for mixed precision. In training the gradients
    of an input of full size need not be carried in float32.
    """

    def __init__(self, filters: int, kernel_size: Any = 1, **options: Any) -> None:
        super().__init__(filters, kernel_size, **{**options, "dtype": "float32", "autocast": False})

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Returns ``(batch, height, width, filters)`` float32."""
        rough = inputs if training else ops.cast(inputs, "float32")
        found = ops.conv(rough, ops.cast(self.kernel, rough.dtype), padding=self.padding, data_format=self.data_format)
        found = ops.cast(found, "float32") + self.bias
        if training and self.activation is keras.activations.softmax and _is_on_cpu():
            return _softmax(found)
        return self.activation(found)


def _softmax(logits: Any) -> Any:
    """Returns what Keras's softmax does, with the logits where Keras leaves them for its losses.

    TensorFlow's kernel goes over the pixels one by one; few classes are summed faster by products with ones. The mean
    of the logits is taken off, which changes no probability, and what is further than 80 from it counts as 80: beyond,
    an exponential does not fit into float32.
    """
    import tensorflow as tf

    number = logits.shape[-1]
    ones = tf.ones((number, number))
    rows = tf.reshape(logits, (-1, number))
    powers = tf.exp(tf.clip_by_value(rows - tf.matmul(rows, ones / number), -80.0, 80.0))
    answer = tf.reshape(powers / tf.matmul(powers, ones), tf.shape(logits))
    answer.set_shape(logits.shape)
    answer._keras_logits = logits
    return answer


def _is_on_cpu() -> bool:
    """Whether TensorFlow computes, and without a GPU."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return not tf.config.list_logical_devices("GPU")


@keras.saving.register_keras_serializable(package="nanonuclei")
class Rise(layers.Conv2DTranspose):
    """A transpose convolution; one of 2 x 2 kernels and stride 2 is a product per pixel in training on a CPU.

    Its kernels do not meet, so that each pixel becomes 2 x 2 of its own: a 1 x 1 convolution to four times the filters,
    whose answers are put beside and below each other. TensorFlow adds the bias in the same pass then, and finds the
    gradient of both in one.
    """

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Returns ``(batch, 2 * height, 2 * width, filters)`` for stride 2."""
        plain = self.kernel_size == self.strides == (2, 2) and self.dilation_rate == (1, 1) and self.use_bias
        if not (training and plain and _is_on_cpu()):
            return super().call(inputs)
        import tensorflow as tf

        kernel = tf.convert_to_tensor(self.kernel)  # (2, 2, filters, channels)
        kernel = tf.reshape(tf.transpose(kernel, (3, 0, 1, 2)), (1, 1, -1, 4 * self.filters))
        found = tf.nn.bias_add(tf.nn.conv2d(inputs, kernel, 1, "SAME"), tf.tile(tf.convert_to_tensor(self.bias), [4]))
        batch, height, width = (tf.shape(inputs)[axis] for axis in range(3))
        found = tf.reshape(found, (batch, height, width, 2, 2 * self.filters))
        found = tf.reshape(tf.transpose(found, (0, 1, 3, 2, 4)), (batch, 2 * height, 2 * width, self.filters))
        return self.activation(found)


@keras.saving.register_keras_serializable(package="nanonuclei")
class Dropout(layers.Dropout):
    """Dropout; under TensorFlow on a CPU, with 16 random bits for an activation in place of 32.

    The rate is right to 1 / 65,536.
    """

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Returns the inputs, in training with a share of zeros and the rest larger by as much."""
        if not training or self.rate == 0 or self.noise_shape is not None or inputs.shape[-1] % 2 or not _is_on_cpu():
            return super().call(inputs, training=training)
        import tensorflow as tf

        shape = tf.shape(inputs)
        pairs = tf.concat([shape[:-1], [inputs.shape[-1] // 2]], 0)
        seed = tf.cast(self.seed_generator.next(), tf.int32)
        bits = tf.random.stateless_uniform(pairs, seed, minval=None, maxval=None, dtype=tf.uint32)
        kept = tf.reshape(tf.bitcast(bits, tf.uint16), shape) >= round(self.rate * 2**16)
        return tf.where(kept, inputs, tf.zeros((), inputs.dtype)) * tf.cast(1.0 / (1.0 - self.rate), inputs.dtype)


@keras.saving.register_keras_serializable(package="nanonuclei")
class DepthwiseConv2D(layers.DepthwiseConv2D):
    """A depthwise convolution; under JAX, one with padding ``same`` and no bias is a sum of shifted products.

    XLA hands a depthwise convolution to cuDNN as one with as many groups as channels, whose gradient in bfloat16 takes
    a hundred times as long as what it has to read. The sum becomes one fused loop over the image. All other backends
    convolve as Keras does; the answers are the same but for rounding.
    """

    def call(self, inputs: Any) -> Any:
        """Returns ``(batch, height / stride, width / stride, channels)``."""
        if keras.backend.backend() != "jax" or not self._is_plain:
            return super().call(inputs)
        stride = self.strides[0]
        size = [-(-length // stride) for length in inputs.shape[1:3]]
        missing = [
            max((number - 1) * stride + kernel - length, 0)
            for number, kernel, length in zip(size, self.kernel_size, inputs.shape[1:3], strict=True)
        ]
        padded = ops.pad(inputs, [[0, 0], *([pad // 2, pad - pad // 2] for pad in missing), [0, 0]])
        kernel = ops.cast(self.kernel[..., 0], "float32")
        total: Any = 0.0
        for row in range(self.kernel_size[0]):
            for column in range(self.kernel_size[1]):
                rows = slice(row, row + (size[0] - 1) * stride + 1, stride)
                columns = slice(column, column + (size[1] - 1) * stride + 1, stride)
                total = total + ops.cast(padded[:, rows, columns], "float32") * kernel[row, column]
        return ops.cast(total, inputs.dtype)

    @property
    def _is_plain(self) -> bool:
        """Whether the sum of products is all that is asked for."""
        plain = self.padding == "same" and self.depth_multiplier == 1 and set(self.dilation_rate) == {1}
        linear = not self.use_bias and self.activation is keras.activations.linear
        return plain and linear and len(set(self.strides)) == 1 and self.data_format == "channels_last"
