"""What Keras does not find while a command loads it, and everything else does."""

from __future__ import annotations

import subprocess
import sys

LOADED = """
import sys
from nanonuclei.heavy import heavy_imports
with heavy_imports():
    import keras
    print("sklearn" in sys.modules, "jax" in sys.modules, "scipy.stats" in sys.modules)
    import sklearn
print(sklearn.__name__, keras.backend.backend(), [finder for finder in sys.meta_path if "heavy" in repr(finder)])
"""


def test_keras_does_not_load_what_it_has_no_use_for_and_others_do() -> None:
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["False False False", "sklearn tensorflow []"]
