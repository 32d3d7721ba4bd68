"""What commands do not load before they need it, and what Keras does not find while a command loads it."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

LOADED = """
import gc, sys
from nanonuclei.heavy import heavy_imports
with heavy_imports():
    import keras
    print("sklearn" in sys.modules, "jax" in sys.modules, "scipy.stats" in sys.modules, gc.isenabled())
    import sklearn
frozen = gc.get_freeze_count()
with heavy_imports():
    own = [[]]
print(gc.isenabled(), frozen > 100_000, gc.get_freeze_count() <= frozen)  # what is made later is looked through
print(sklearn.__name__, keras.backend.backend(), [finder for finder in sys.meta_path if "heavy" in repr(finder)])
"""


def test_keras_does_not_load_what_it_has_no_use_for_and_others_do() -> None:
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["False False False False", "True True True", "sklearn tensorflow []"]


EARLY = """
import sys
from nanonuclei.tasks import dataset_type, task_names
from nanonuclei.config.experiment import experiment_model
import nanonuclei.stages.predict.request, nanonuclei.stages.settings, nanonuclei.stages.correct.correct
for task in task_names():
    dataset_type(task), experiment_model(task)
slow = ("scipy.", "skimage.", "sklearn", "mlflow", "keras", "matplotlib", "onnxruntime")
own = {name for name in sys.modules if name.startswith(slow) and not name.startswith(("scipy._", "skimage._"))}
print(*sorted(own - {"scipy.__config__", "scipy.version"}))
"""


def test_what_looks_at_arguments_and_files_loads_no_slow_package() -> None:
    done = subprocess.run([sys.executable, "-c", EARLY], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


ONEDNN = """
import os, sys
import nanonuclei
if sys.argv[1:]:
    from nanonuclei.heavy import heavy_imports
    with heavy_imports():
        import tensorflow
    from tensorflow.python.util._pywrap_util_port import IsMklEnabled
    print(IsMklEnabled())
print(os.environ["TF_ENABLE_ONEDNN_OPTS"])
"""


def _onednn(*words: str, **environment: str) -> list[str]:
    clean = {name: value for name, value in os.environ.items() if name != "TF_ENABLE_ONEDNN_OPTS"} | environment
    command = [sys.executable, "-c", ONEDNN, *words]
    done = subprocess.run(command, env=clean, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="TensorFlow has oneDNN on x86 processors")
def test_tensorflow_trains_with_onednn_on_processors_where_it_would_leave_it_off() -> None:
    assert _onednn("load") == ["True", "1"]


def test_who_switches_onednn_off_is_heard() -> None:
    assert _onednn(TF_ENABLE_ONEDNN_OPTS="0") == ["0"]
