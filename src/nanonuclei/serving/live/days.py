"""What a server was sent and answered, in MLflow: one run per model and day, updated once a minute."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from nanonuclei.serving.live.follow import Follower
from nanonuclei.serving.live.totals import Totals
from nanonuclei.serving.live.versions import Served

_logger = logging.getLogger(__name__)

WRITE_SECONDS = 60.0
EXPERIMENT = "serving"
"""MLflow's experiment of these runs; an account that may only read others may make it and write to it."""
TAG = "serve.day"
"""Tag of a run: the model's name and the day in UTC."""


class Days:
    """Writes the totals of a server to the run of the day.

    Args:
        follower: Knows the version that answers.
        totals: What was counted since they were last taken.
        today: Returns the day; for tests.
    """

    def __init__(
        self,
        follower: Follower,
        totals: Totals,
        *,
        today: Callable[[], str] = lambda: datetime.now(UTC).strftime("%Y-%m-%d"),
    ) -> None:
        self._follower = follower
        self._totals = totals
        self._today = today
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._keep_writing, name="days", daemon=True)

    def start(self) -> None:
        """Starts to write once a minute."""
        self._thread.start()

    def stop(self) -> None:
        """Writes for the last time and ends the thread."""
        self._end.set()
        self._thread.join(timeout=30)

    def write(self) -> str:
        """Adds what was counted since the last call to the run of the day; returns its id, empty where nothing was."""
        served, sums = self._follower.current, self._totals.taken()
        if served is None or not sums.get("requests"):
            return ""
        client = MlflowClient()
        try:
            run_id = self._add(client, served, sums)
        except Exception:
            self._totals.put_back(sums)  # the next call writes them
            raise
        client.set_terminated(run_id)  # complete after every write, so that a killed server leaves no open run
        return run_id

    def _add(self, client: MlflowClient, served: Served, sums: Mapping[str, float]) -> str:
        """Adds sums to the run of the day; returns its id."""
        state = served.drift.state()
        run_id = self._run(client, served.name)
        logged = client.get_run(run_id).data.metrics
        now, step = int(time.time() * 1000), int(logged.get("serve/writes", 0)) + 1
        values = {name: logged.get(f"serve/{name}", 0.0) + value for name, value in sums.items()}
        if images := values.get("images"):
            values["objects_per_image"] = values["objects"] / images
        values["seconds_per_request"] = values["seconds"] / values["requests"]
        values |= {"writes": float(step), "drift_told": float(state.told)}
        if not math.isnan(state.value):
            values["drift"] = state.value
        client.log_batch(
            run_id,
            metrics=[Metric(f"serve/{name}", float(value), now, step) for name, value in values.items()],
            tags=[RunTag("serve.version", served.number), RunTag("serve.drift", state.sentence)],
        )
        return run_id

    def _run(self, client: MlflowClient, name: str) -> str:
        key = f"{name} {self._today()}"
        known = client.get_experiment_by_name(EXPERIMENT)
        experiment = str(known.experiment_id) if known else client.create_experiment(EXPERIMENT)
        found = client.search_runs([experiment], f"tags.`{TAG}` = '{key}'", max_results=1)
        if found:
            return str(found[0].info.run_id)
        tags = {"stage": "serve", "task": name, TAG: key, "mlflow.runName": f"serve {key}"}
        run = client.create_run(experiment, tags=tags)
        client.log_batch(run.info.run_id, params=[Param("model", str(self._follower.followed))])
        return str(run.info.run_id)

    def _keep_writing(self) -> None:
        ended = False
        while not ended:
            ended = self._end.wait(WRITE_SECONDS)
            try:
                self.write()
            except MlflowException as error:
                _logger.warning("the run of the day could not be written: %s", error.message)
            except Exception:
                _logger.exception("the run of the day could not be written")
