"""Layers of the image networks by name, and their strides: Keras knows them too, but takes seconds to tell."""

from __future__ import annotations

from collections.abc import Iterator

EXAMPLES = {
    "vgg16": "block4_conv3",
    "mobilenetv2": "block_6_expand_relu",
    "resnet50": "conv3_block4_out",
    "efficientnetlite0": "block3b_add",
}
"""A layer to cut a network at, by `network.kind`."""


def trunk_strides(kind: str) -> dict[str, int]:
    """Returns the stride, px, of what each layer answers, by the names that Keras gives the layers.

    Args:
        kind: Of `EXAMPLES`.
    """
    return dict(_LAYERS[kind]())


def _vgg16() -> Iterator[tuple[str, int]]:
    for block, number in enumerate((2, 2, 3, 3, 3), start=1):
        for place in range(1, number + 1):
            yield f"block{block}_conv{place}", 2 ** (block - 1)
        yield f"block{block}_pool", 2**block


def _resnet50() -> Iterator[tuple[str, int]]:
    yield from (("conv1_pad", 1), ("conv1_conv", 2), ("conv1_bn", 2), ("conv1_relu", 2))
    yield from (("pool1_pad", 2), ("pool1_pool", 4))
    for level, number in enumerate((3, 4, 6, 3), start=2):
        for block in range(1, number + 1):
            parts = ["1_conv", "1_bn", "1_relu", "2_conv", "2_bn", "2_relu", "3_conv", "3_bn", "add", "out"]
            for part in [*parts, *(["0_conv", "0_bn"] if block == 1 else [])]:
                yield f"conv{level}_block{block}_{part}", 2**level


def _mobilenetv2() -> Iterator[tuple[str, int]]:
    shrinking, widening = (1, 3, 6, 13), (10, 16)
    yield from ((name, 2) for name in ("Conv1", "bn_Conv1", "Conv1_relu"))
    later = ("depthwise", "depthwise_BN", "depthwise_relu", "project", "project_BN")
    yield from ((f"expanded_conv_{part}", 2) for part in later)
    stride = 2
    for block in range(1, 17):
        parts = ("expand", "expand_BN", "expand_relu", *(["pad"] if block in shrinking else []))
        yield from ((f"block_{block}_{part}", stride) for part in parts)
        stride *= 2 if block in shrinking else 1
        parts = (*later, *([] if block in (*shrinking, *widening) else ["add"]))
        yield from ((f"block_{block}_{part}", stride) for part in parts)
    yield from ((name, stride) for name in ("Conv_1", "Conv_1_bn", "out_relu"))


def _efficientnetlite0() -> Iterator[tuple[str, int]]:
    yield from ((f"stem_{part}", 2) for part in ("conv", "bn", "activation"))
    stride = 2
    for level, number in enumerate((1, 2, 2, 3, 3, 4, 1), start=1):
        for place in range(number):
            name = f"block{level}{'abcd'[place]}"
            if level > 1:
                yield from ((f"{name}_expand_{part}", stride) for part in ("conv", "bn", "activation"))
            stride *= 2 if place == 0 and level in (2, 3, 4, 6) else 1
            parts = ("dwconv", "bn", "activation", "project_conv", "project_bn", *(["add"] if place else []))
            yield from ((f"{name}_{part}", stride) for part in parts)


_LAYERS = {"vgg16": _vgg16, "resnet50": _resnet50, "mobilenetv2": _mobilenetv2, "efficientnetlite0": _efficientnetlite0}
