"""Files in PyTorch's legacy format, written here by hand from its description."""

from __future__ import annotations

import collections
import io
import pickle
import struct
import sys
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nanonuclei.errors import ConfigError
from nanonuclei.models.torch_file import MAGIC_NUMBER, PROTOCOL_VERSION, read_torch_file

KERNEL = np.arange(24, dtype="<f4").reshape(2, 3, 2, 2)
COUNT = np.array(7, dtype="<i8")


class Reference(tuple[Any, ...]):
    """What is pickled as a reference to a storage."""


class Rebuilt:
    """What is pickled as a call of `torch._utils._rebuild_tensor_v2`."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return sys.modules["torch._utils"]._rebuild_tensor_v2, self.arguments


class Pickler(pickle.Pickler):
    def persistent_id(self, value: object) -> object:
        return tuple(value) if isinstance(value, Reference) else None


@pytest.fixture(autouse=True)
def torch_names(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """The names that PyTorch's files refer to, and nothing behind them."""
    torch, inner = types.ModuleType("torch"), types.ModuleType("torch._utils")
    torch._utils = inner  # type: ignore[attr-defined]
    for name in ("FloatStorage", "LongStorage"):
        setattr(torch, name, type(name, (), {"__module__": "torch", "__qualname__": name}))

    def rebuild(*arguments: Any) -> None:
        raise AssertionError("a file of weights must not call PyTorch")

    rebuild.__module__, rebuild.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    inner._rebuild_tensor_v2 = rebuild  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", inner)
    return torch


def tensor(key: str, array: np.ndarray, *, size: int | None = None, strides: tuple[int, ...] | None = None) -> Rebuilt:
    kind = getattr(sys.modules["torch"], "FloatStorage" if array.dtype == np.float32 else "LongStorage")
    reference = Reference(("storage", kind, key, "cpu", array.size if size is None else size, None))
    steps = tuple(step // array.itemsize for step in array.strides) if strides is None else strides
    return Rebuilt(reference, 0, array.shape, steps, False, collections.OrderedDict())


def legacy(tensors: object, storages: Mapping[str, np.ndarray], **header: object) -> bytes:
    stream = io.BytesIO()
    start = {"magic": MAGIC_NUMBER, "version": PROTOCOL_VERSION, "sizes": {"little_endian": True}, **header}
    for value in (*start.values(), tensors, list(storages)):
        Pickler(stream, protocol=2).dump(value)
    for array in storages.values():
        stream.write(struct.pack("<q", array.size) + array.tobytes())
    return stream.getvalue()


def of_size(size: int) -> bytes:
    """A file that says of its storage that it has so many elements."""
    whole = legacy({"a": tensor("1", KERNEL, size=size)}, {"1": KERNEL})
    return whole[: -KERNEL.nbytes - 8] + struct.pack("<q", size) + KERNEL.tobytes()


def test_tensors_are_read_with_their_names_shapes_and_types(tmp_path: Path) -> None:
    path = tmp_path / "small.pth"
    state = collections.OrderedDict({"kernel": tensor("1", KERNEL), "count": tensor("2", COUNT)})
    path.write_bytes(legacy(state, {"2": COUNT, "1": KERNEL}))
    read = read_torch_file(path)
    assert list(read) == ["kernel", "count"]
    np.testing.assert_array_equal(read["kernel"], KERNEL)
    assert read["kernel"].dtype == np.float32
    assert (read["count"].shape, int(read["count"]), read["count"].dtype) == ((), 7, np.int64)


def test_strides_say_where_the_elements_of_a_tensor_lie(tmp_path: Path) -> None:
    path = tmp_path / "strided.pth"
    stored = np.ascontiguousarray(KERNEL.transpose(3, 2, 1, 0))
    path.write_bytes(legacy({"kernel": tensor("1", KERNEL, strides=(1, 2, 6, 12))}, {"1": stored}))
    np.testing.assert_array_equal(read_torch_file(path)["kernel"], KERNEL)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda: b"", "Ran out of input"),
        (lambda: b"PK\x03\x04 a zip, as PyTorch writes since 1.6", "legacy format"),
        (lambda: legacy({}, {}, magic=3), "magic number"),
        (lambda: legacy({}, {}, version=3), "version 3"),
        (lambda: legacy({}, {}, sizes={"little_endian": False}), "big endian"),
        (lambda: legacy({}, {}, sizes={}), "little_endian"),
        (lambda: of_size(2**62), "ends within the storage 1"),
        (lambda: of_size(2**40), "ends within the storage 1"),
        (lambda: legacy([1], {}), "holds a list"),
        (lambda: legacy({"a": 1}, {}), "not a dictionary of tensors"),
        (lambda: legacy({"a": Path("x")}, {}), "the class pathlib.PosixPath is not allowed"),
        (lambda: legacy({"a": print}, {}), "print is not allowed"),
        (lambda: legacy({"a": tensor("1", KERNEL)}, {}), "the storage 1 is missing"),
        (lambda: legacy({"a": tensor("1", KERNEL)}, {"1": KERNEL})[:-4], "ends within the storage 1"),
        (lambda: legacy({"a": tensor("1", KERNEL, size=23)}, {"1": KERNEL}), "has 24 elements, not 23"),
        (lambda: legacy({"a": tensor("1", KERNEL, strides=(12, 4, 2, 9))}, {"1": KERNEL}), "exceeds its storage"),
        (lambda: legacy({"a": tensor("1", KERNEL, strides=(12, 4, 2, -1))}, {"1": KERNEL}), "exceeds its storage"),
    ],
)
def test_file_that_is_broken_or_asks_for_other_classes_is_refused(tmp_path: Path, content: Any, message: str) -> None:
    path = tmp_path / "wrong.pth"
    path.write_bytes(content())
    with pytest.raises(ConfigError, match=message) as caught:
        read_torch_file(path)
    assert "\n" not in str(caught.value)


def test_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.pth must be a file of weights"):
        read_torch_file(tmp_path / "nowhere.pth")
