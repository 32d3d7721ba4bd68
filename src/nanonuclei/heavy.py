"""The slow imports of a command: quiet, and without what Keras and TensorFlow import for uses that nobody has here."""

from __future__ import annotations

import contextlib
import gc
import inspect
import os
import sys
from collections.abc import Iterator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from nanonuclei.quiet import native_messages_hidden

ASKING = ("keras", "tensorflow")
"""Packages that import others only for converters and wrappers of their own."""


@contextlib.contextmanager
def heavy_imports() -> Iterator[None]:
    """Within it, Keras and TensorFlow do not find scikit-learn and JAX, and what their libraries print is hidden.

    Keras imports scikit-learn for its wrappers, and TensorFlow JAX for its converters: with SciPy's statistics a fifth
    of the time that Keras takes to load. All other modules find both, and so does Keras where JAX is its backend.
    Python looks for no garbage meanwhile, and never again among the half a million objects that Keras brings: that
    takes another fifth.
    """
    unused = _Unused([name for name in ("sklearn", "jax") if name != os.environ.get("KERAS_BACKEND")])
    known, collects = ASKING[0] in sys.modules, gc.isenabled()
    sys.meta_path.insert(0, unused)
    gc.disable()
    try:
        with native_messages_hidden():
            yield
    finally:
        sys.meta_path.remove(unused)
        if ASKING[0] in sys.modules and not known:
            gc.freeze()
        if collects:
            gc.enable()


class _Unused(MetaPathFinder):
    """Hides packages from modules of `ASKING`."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def find_spec(self, name: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        """Returns None, so that others look for a module; raises where it is hidden from who asks."""
        if name in self._names and _importer().partition(".")[0] in ASKING:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None


def _importer() -> str:
    """Returns the name of the module whose import statement is at work."""
    frame = inspect.currentframe()
    names = []
    while frame is not None:
        names.append(str(frame.f_globals.get("__name__", "")))
        frame = frame.f_back
    return next((name for name in names if name != __name__ and not name.startswith("importlib")), "")
