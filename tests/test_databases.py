"""Tests share a process, and so do the databases of MLflow that they use one after the other."""

from __future__ import annotations

import os
from pathlib import Path

import mlflow
from tests.databases import own_database


def test_what_one_test_has_mlflow_remember_is_gone_in_the_next(tmp_path: Path) -> None:
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        with own_database(folder):
            own = f"sqlite:///{folder / 'mlflow.db'}"
            assert mlflow.get_registry_uri() == own == mlflow.get_tracking_uri()
            assert mlflow.MlflowClient().search_registered_models() == []
            mlflow.set_registry_uri(own)  # as MLflow's own server does
            mlflow.set_experiment(name)
            assert mlflow.start_run().info.experiment_id == mlflow.get_experiment_by_name(name).experiment_id
            mlflow.MlflowClient().create_registered_model(name)
    assert "MLFLOW_REGISTRY_URI" not in os.environ
    assert "MLFLOW_EXPERIMENT_ID" not in os.environ
    assert mlflow.active_run() is None
