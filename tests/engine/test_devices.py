from __future__ import annotations

from collections.abc import Callable

import pytest

from nanonuclei.config.experiment import NucleiExperiment
from nanonuclei.engine import devices
from nanonuclei.engine.devices import detect

Experiment = Callable[..., NucleiExperiment]


@pytest.mark.parametrize(
    ("capability", "precision"), [((9, 0), "bfloat16"), ((8, 0), "bfloat16"), ((7, 5), "float16"), ((6, 1), "float32")]
)
def test_precision_follows_the_generation_of_the_gpu(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], precision: str
) -> None:
    monkeypatch.setattr(devices, "_gpus", lambda backend: [("a GPU", capability), ("another", (9, 0))])
    hardware = detect(experiment({"train.precision": "auto"}).train)
    assert (hardware.precision, hardware.device, hardware.num_devices) == (precision, "gpu", 2)


@pytest.mark.parametrize(("flags", "precision"), [("sse avx512_bf16", "bfloat16"), ("sse avx2", "float32")])
def test_precision_follows_the_instructions_of_the_cpu(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch, flags: str, precision: str
) -> None:
    monkeypatch.setattr(devices, "_gpus", lambda backend: [])
    monkeypatch.setattr(devices, "_cpu_entry", lambda key: flags if key == "flags" else "a CPU")
    hardware = detect(experiment({"train.precision": "auto"}).train)
    assert (hardware.precision, hardware.device, hardware.num_devices) == (precision, "cpu", 1)


def test_named_precision_is_taken_as_it_is(experiment: Experiment) -> None:
    assert detect(experiment({"train.precision": "float16"}).train).precision == "float16"
