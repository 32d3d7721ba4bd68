"""Metrics on their way to the tracking server: queued, sent by a thread, kept while the server is away."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from mlflow.entities import Metric
from mlflow.tracking import MlflowClient

_logger = logging.getLogger(__name__)

RETRY_SECONDS = 2.0
PATIENCE_SECONDS = 600.0
"""How long the end of a run waits for a server that is away."""


class MetricSender:
    """Sends metrics of one run in order without ever making the training wait; a context manager.

    Args:
        run_id: The run.
        patience: Seconds that leaving the context waits for the server; what is not sent then is reported.
        retry: Seconds between two tries.
    """

    def __init__(self, run_id: str, *, patience: float = PATIENCE_SECONDS, retry: float = RETRY_SECONDS) -> None:
        self._run_id = run_id
        self._patience = patience
        self._retry = retry
        self._client = MlflowClient()
        self._queue: queue.Queue[list[Metric] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._work, name="metrics", daemon=True)

    def __enter__(self) -> Self:
        """Starts the thread."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Waits until everything is sent; not long when an error is on its way up."""
        self._queue.put(None)
        self._thread.join(self._patience if error is None else min(self._patience, 10.0))
        if self._thread.is_alive():
            _logger.warning("metrics of run %s could not all be sent; resume the run to send them", self._run_id)

    def send(self, step: int, metrics: Mapping[str, float]) -> None:
        """Queues the metrics of one step, stamped with the present time."""
        now = int(time.time() * 1000)
        self._queue.put([Metric(name, value, now, step) for name, value in metrics.items()])

    def _work(self) -> None:
        while (batch := self._queue.get()) is not None:
            told = False
            while True:
                try:
                    self._client.log_batch(self._run_id, metrics=batch)
                    break
                except Exception as error:  # whatever the server or the network does, the training goes on
                    if not told:
                        _logger.warning("tracking server does not answer, keeping metrics until it does: %s", error)
                        told = True
                    time.sleep(self._retry)


def steps_logged(run_id: str, metric: str) -> set[int]:
    """Returns the steps for which a run already has a metric."""
    return {entry.step for entry in MlflowClient().get_metric_history(run_id, metric)}
