from __future__ import annotations

import logging

import pytest
from mlflow.tracking import MlflowClient

from nanonuclei.tracking.metrics import MetricSender, steps_logged

pytestmark = pytest.mark.usefixtures("project")


def history(run_id: str, name: str) -> list[tuple[int, float]]:
    return [(entry.step, entry.value) for entry in MlflowClient().get_metric_history(run_id, name)]


def test_metrics_arrive_in_order() -> None:
    run_id = MlflowClient().create_run("0").info.run_id
    with MetricSender(run_id) as sender:
        for step in (1, 2, 3):
            sender.send(step, {"train/loss": 1 / step, "val/loss": 2 / step})
    assert history(run_id, "train/loss") == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    assert steps_logged(run_id, "val/loss") == {1, 2, 3}


def test_metrics_of_a_time_without_server_arrive_when_it_is_back(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run_id = MlflowClient().create_run("0").info.run_id
    log_batch, away = MlflowClient.log_batch, [True, True, True, False]

    def unsteady(self: MlflowClient, *args: object, **kwargs: object) -> object:
        if away.pop(0) if away else False:
            raise ConnectionError("refused")
        return log_batch(self, *args, **kwargs)

    monkeypatch.setattr(MlflowClient, "log_batch", unsteady)
    with caplog.at_level(logging.WARNING), MetricSender(run_id, retry=0.01) as sender:
        sender.send(1, {"train/loss": 1.0})
        sender.send(2, {"train/loss": 0.5})
    assert history(run_id, "train/loss") == [(1, 1.0), (2, 0.5)]
    assert len([record for record in caplog.records if "does not answer" in record.message]) == 1


def test_server_that_stays_away_is_reported_and_not_waited_for_for_ever(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise ConnectionError("refused")

    sender = MetricSender("some-run", patience=0.05, retry=0.01)
    monkeypatch.setattr(sender._client, "log_batch", refuse)
    with sender:
        sender.send(1, {"train/loss": 1.0})
    assert "could not all be sent" in caplog.text
    monkeypatch.setattr(sender._client, "log_batch", lambda *args, **kwargs: None)
    sender._thread.join(5)
