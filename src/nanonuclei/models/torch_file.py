"""Reads files of weights in PyTorch's format before version 1.6, without PyTorch and without running their code.

Such a file is five pickles (a magic number, a version, sizes of types, the object, the keys of the storages) and then
every storage: its number of elements as 8 bytes, little endian, and its elements. Later files are zips.
"""

from __future__ import annotations

import collections
import os
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from nanonuclei.errors import ConfigError

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
PROTOCOL_VERSION = 1001

DTYPES: dict[str, np.dtype[Any]] = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "HalfStorage": np.dtype("<f2"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
}
"""Type of the elements of each class of storage."""

_DAMAGED = (
    *(OSError, EOFError, ValueError, pickle.UnpicklingError, AttributeError, TypeError, LookupError),
    *(ArithmeticError, MemoryError, RecursionError),
)
"""What a broken file raises."""


def read_torch_file(path: Path) -> dict[str, NDArray[Any]]:
    """Reads a stored dictionary of tensors.

    Args:
        path: A file that `torch.save` wrote in its legacy format.

    Returns:
        A contiguous array of its own for each tensor, by name.

    Raises:
        ConfigError: The file is missing or broken, has another format, or asks for classes that tensors do not need.
    """
    try:
        with path.open("rb") as stream:
            return _read(stream)
    except _DAMAGED as error:
        told = " ".join(str(error).split())[:200] or type(error).__name__
        raise ConfigError(
            f"{path} must be a file of weights in PyTorch's legacy format, but: {told}. "
            "Fetch it again, or take another file"
        ) from error


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: np.dtype[Any]
    size: int


@dataclass(frozen=True)
class _Tensor:
    """A view of a storage, which follows in the file only after all tensors are known.

    Attributes:
        storage: What it is a view of.
        offset: Of its first element, in elements.
        shape: Elements along each axis.
        strides: From an element to the next along each axis, in elements.
    """

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self, storages: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        elements = storages[self.storage.key]
        last = self.offset + sum((n - 1) * step for n, step in zip(self.shape, self.strides, strict=True))
        if min((self.offset, *self.shape, *self.strides)) < 0 or last >= len(elements):
            raise ValueError(f"a tensor of shape {self.shape} exceeds its storage of {len(elements)} elements")
        strides = tuple(step * elements.itemsize for step in self.strides)
        view = np.lib.stride_tricks.as_strided(elements[self.offset :], self.shape, strides, writeable=False)
        return np.array(view, order="C")


class _DtypeName(str):
    """Stands for a class of storage such as `torch.FloatStorage`."""


class _Unpickler(pickle.Unpickler):
    """Knows dictionaries, numbers and tensors, and refuses every other class, which could run code."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild
        if module == "torch" and name in DTYPES:
            return _DtypeName(name)
        raise pickle.UnpicklingError(f"the class {module}.{name} is not allowed in a file of weights")

    def persistent_load(self, reference: Any) -> _Storage:
        kind, dtype, key, _, size, view = reference
        if kind != "storage" or not isinstance(dtype, _DtypeName) or view is not None:
            raise pickle.UnpicklingError(f"{str(reference)[:80]} is no reference to a storage")
        return _Storage(str(key), DTYPES[dtype], int(size))


def _rebuild(storage: _Storage, offset: int, shape: Any, strides: Any, *_: Any) -> _Tensor:
    """Takes the place of `torch._utils._rebuild_tensor_v2`; gradients and hooks are left out."""
    return _Tensor(storage, int(offset), tuple(map(int, shape)), tuple(map(int, strides)))


def _read(stream: IO[bytes]) -> dict[str, NDArray[Any]]:
    if (magic := _Unpickler(stream).load()) != MAGIC_NUMBER:
        raise ValueError(f"it begins with {str(magic)[:40]}, not with the magic number {MAGIC_NUMBER}")
    if (version := _Unpickler(stream).load()) != PROTOCOL_VERSION:
        raise ValueError(f"it has version {str(version)[:40]}, not {PROTOCOL_VERSION}")
    if not (sizes := _Unpickler(stream).load())["little_endian"]:
        raise ValueError(f"its numbers are big endian: {str(sizes)[:80]}")
    tensors = _Unpickler(stream).load()
    if not isinstance(tensors, dict) or not all(isinstance(tensor, _Tensor) for tensor in tensors.values()):
        raise ValueError(f"it holds a {type(tensors).__name__}, not a dictionary of tensors")
    declared = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    storages: dict[str, NDArray[Any]] = {}
    for key in _Unpickler(stream).load():
        if key not in declared:
            raise ValueError(f"no tensor uses the storage {str(key)[:40]}")
        storages[key] = _elements(stream, declared[key])
    if missing := declared.keys() - storages.keys():
        raise ValueError(f"the storage {min(missing)} is missing")
    return {name: tensor.array(storages) for name, tensor in tensors.items()}


def _elements(stream: IO[bytes], storage: _Storage) -> NDArray[Any]:
    size = int.from_bytes(stream.read(8), "little")
    if size != storage.size:
        raise ValueError(f"the storage {storage.key} has {size} elements, not {storage.size}")
    num_bytes = size * storage.dtype.itemsize
    if num_bytes > os.fstat(stream.fileno()).st_size - stream.tell():
        raise EOFError(f"the file ends within the storage {storage.key}")
    return np.frombuffer(stream.read(num_bytes), storage.dtype)
