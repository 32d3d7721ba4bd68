from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.conftest import ROOT

from nanonuclei.config.gate import GateConfig, check_metrics, load_gate
from nanonuclei.config.params import load_experiment
from nanonuclei.errors import ConfigError
from nanonuclei.tasks import create_task, task_names
from nanonuclei.tracking.gate import Candidate, Champion, Gain, Parent, decide

GATE = GateConfig(
    least={"iou": 0.8},
    most={"count_error": 0.2},
    where_known=[],
    compared="map_pooled",
    min_gain=0.0,
    min_gain_low=-0.01,
    max_loss=0.02,
    min_images=10,
    bootstrap=100,
    max_cpu_seconds_per_megapixel=2.0,
    max_megabytes=50.0,
)
GOOD = Candidate(
    dataset="dsb2018",
    real=True,
    metrics={"iou": 0.8, "count_error": 0.2},
    cpu_seconds_per_megapixel=2.0,
    megabytes=50.0,
    signature="(image) -> (object)",
    problem="",
)


def gain(group: str, value: float, low: float, *, num_images: int = 100) -> Gain:
    return Gain(group, value, low, value + 0.05, num_images)


BEATEN = Champion("3", "(image) -> (object)", (gain("all", 0.0, -0.01), gain("stained", -0.02, -0.1)))


def refused(candidate: Candidate = GOOD, champion: Champion | None = BEATEN, **options: Any) -> list[str]:
    return [criterion.name for criterion in decide(candidate, champion, GATE, **options).criteria if not criterion.held]


def test_challenger_on_every_bound_is_promoted_with_and_without_a_champion() -> None:
    for champion in (None, BEATEN):
        decision = decide(GOOD, champion, GATE)
        assert decision.promoted
        assert decision.reasons == ()


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"metrics": {"iou": 0.79, "count_error": 0.2}}, ["least.iou"]),
        ({"metrics": {"iou": 0.8, "count_error": 0.21}}, ["most.count_error"]),
        ({"metrics": {"iou": float("nan")}}, ["least.iou", "most.count_error"]),
        ({"metrics": {"iou": 0.9, "count_error": float("nan")}}, ["most.count_error"]),
        ({"cpu_seconds_per_megapixel": float("nan")}, ["cpu_seconds_per_megapixel"]),
        ({"cpu_seconds_per_megapixel": 2.1}, ["cpu_seconds_per_megapixel"]),
        ({"megabytes": 51.0}, ["megabytes"]),
        ({"real": False, "dataset": "simulated"}, ["data"]),
        ({"problem": "its server ended before it answered"}, ["serves"]),
        ({"signature": "(picture) -> (object)"}, ["signature"]),
    ],
)
def test_what_is_beyond_a_bound_is_refused(change: dict[str, object], names: list[str]) -> None:
    assert refused(replace(GOOD, **change)) == names


@pytest.mark.parametrize(
    ("gains", "names"),
    [
        ([gain("all", -0.001, -0.009)], ["gain"]),
        ([gain("all", 0.02, -0.011)], ["gain_low"]),
        ([gain("all", float("nan"), float("nan"))], ["gain", "gain_low"]),
        ([gain("all", 0.05, float("nan"))], ["gain_low"]),
        ([gain("all", 0.05, 0.01), gain("stained", -0.021, -0.1)], ["loss.stained"]),
        ([gain("all", 0.05, 0.01), gain("stained", float("nan"), float("nan"))], ["loss.stained"]),
        ([gain("all", 0.05, 0.01), gain("brightfield", -0.3, -0.5, num_images=9)], []),
        ([gain("stained", 0.05, 0.01)], ["gain"]),
    ],
)
def test_challenger_must_not_lose_against_the_champion(gains: list[Gain], names: list[str]) -> None:
    assert refused(champion=replace(BEATEN, gains=tuple(gains))) == names


@pytest.mark.parametrize(
    ("gains", "names"),
    [
        ([gain("all", 0.001, -0.2)], []),
        ([gain("all", 0.0, 0.0)], ["parent.gain"]),
        ([gain("all", -0.001, -0.2)], ["parent.gain"]),
        ([gain("all", float("nan"), float("nan"))], ["parent.gain"]),
        ([gain("all", 0.1, 0.0), gain("old images of dsb2018", -0.02, -0.1)], []),
        ([gain("all", 0.1, 0.0), gain("old images of dsb2018", -0.021, -0.1)], ["parent.loss.old images of dsb2018"]),
    ],
)
@pytest.mark.parametrize("champion", [None, BEATEN])
def test_a_fine_tuned_model_must_beat_the_one_that_it_began_with(
    gains: list[Gain], names: list[str], champion: Champion | None
) -> None:
    assert refused(champion=champion, parent=Parent("nuclei", gains)) == names


def test_simulated_data_pass_only_when_that_is_said() -> None:
    simulated = replace(GOOD, real=False, dataset="simulated")
    assert "-P allow_simulated=true" in decide(simulated, None, GATE).reasons[0]
    assert refused(simulated, allow_simulated=True) == []


def test_reasons_tell_bound_and_value() -> None:
    (reason,) = decide(replace(GOOD, metrics={"iou": 0.5, "count_error": 0.1}), None, GATE).reasons
    assert reason == "test iou must be at least 0.8, got 0.5000"


def test_a_model_that_is_equal_is_told_to_be() -> None:
    parent = Parent("nuclei", [Gain("all", 0.0, -0.00002, 0.0, 24)])
    (reason,) = decide(GOOD, None, GATE, parent=parent).reasons
    assert reason.endswith("which the training began with, got one that is equal (24 images)")


@pytest.mark.parametrize("task", task_names())
def test_project_has_a_gate_of_every_task_in_metrics_that_are_known(task: str) -> None:
    gate = load_gate(task, path=ROOT / "params.yaml")
    assert {gate.compared, *gate.least, *gate.most} <= set(
        create_task(load_experiment(task, path=ROOT / "params.yaml")).metric_names
    )
    assert gate.least
    assert gate.most


def test_gate_that_is_missing_or_wrong_is_told_with_its_path(tmp_path: object) -> None:
    path = tmp_path / "params.yaml"  # type: ignore[operator]
    path.write_text("nuclei: {}\n")
    with pytest.raises(ConfigError, match=r"params\.yaml must hold gate\.nuclei"):
        load_gate("nuclei", path=path)
    tree = {**GATE.model_dump(), "min_gian": 1.0, "least": {"iou": "high"}, "bootstrap": -1}
    del tree["min_gain"]
    path.write_text(yaml.safe_dump({"gate": {"nuclei": tree}}))
    with pytest.raises(ConfigError) as caught:
        load_gate("nuclei", path=path)
    assert str(caught.value).splitlines() == [
        f"{path}: gate.nuclei.least.iou=high: input should be a valid number",
        f"{path}: gate.nuclei: min_gain is missing",
        f"{path}: gate.nuclei.bootstrap=-1: input should be greater than or equal to 100",
        f"{path}: gate.nuclei: unknown bound 'min_gian'. Did you mean min_gain or min_gain_low or min_images?",
    ]


def test_a_gate_that_asks_for_a_metric_which_there_is_not_is_told() -> None:
    gate = GATE.model_copy(update={"least": {"iuo": 0.75}, "where_known": ["count_error"]})
    with pytest.raises(ConfigError, match=r"gate\.nuclei\.least names 'iuo', which is no metric .* Did you mean iou"):
        check_metrics(gate, {"iou", GATE.compared}, task="nuclei", path=Path("params.yaml"))
    check_metrics(GATE, {"iou", "count_error", GATE.compared}, task="nuclei", path=Path("params.yaml"))


def test_a_bound_that_is_asked_where_known_is_not_asked_of_images_that_cannot_tell() -> None:
    gate = GATE.model_copy(update={"where_known": ["count_error"]})
    unknown = replace(GOOD, metrics={"iou": 0.8, "count_error": float("nan")})
    assert not decide(unknown, None, GATE).promoted
    assert decide(unknown, None, gate).promoted
    assert not decide(replace(GOOD, metrics={"iou": 0.8, "count_error": 0.3}), None, gate).promoted
