"""The workers of a Ray cluster: the connection, and the blocks that they are handed."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping
from typing import Any

from nanonuclei.errors import ConfigError, DataError, NanonucleiError
from nanonuclei.invocation import option
from nanonuclei.stages.predict.many.blocks import Answer, Block, Job, predict_block
from nanonuclei.stages.predict.many.meanwhile import Meanwhile
from nanonuclei.stages.predict.progress import FILES, Progress

RETRIES = 5
"""Times that a block is done again after its worker died."""

MOST_CORES = 4
"""Cores of one worker at most; the network gains little from more, and measuring takes one."""

_OBJECT_STORE = 256 * 2**20
"""Bytes that Ray shares between the processes of this machine: the model and paths."""

_SECONDS = 5.0


class Work:
    """Hands blocks to workers, a few more than there are, and takes their answers as they come."""

    def __init__(self, ray: Any, job: Job, model: Mapping[str, bytes], progress: Progress) -> None:
        self._ray, self._job, self._progress = ray, job, progress
        self._model = ray.put(dict(model))
        self._task = ray.remote(predict_block).options(num_cpus=job.threads, max_retries=RETRIES)

    def run(self, waiting: deque[Block], meanwhile: Meanwhile | None) -> tuple[list[Answer], list[str]]:
        """Has blocks done.

        Args:
            waiting: Blocks to be done, in order.
            meanwhile: What takes of them too, until the first worker answers.

        Returns:
            The answers, and the images of blocks that took their workers down again and again.
        """
        try:
            answers, missing = self._by_workers(waiting, meanwhile)
            if meanwhile is not None:
                done, left = meanwhile.finish()
                for answer in done:
                    self._tell(answer)
                more, lost = self._by_workers(deque(left), None)
                answers, missing = [*done, *answers, *more], [*missing, *lost]
        except KeyboardInterrupt:
            num = f"{self._progress.num_done} of {FILES.count(self._progress.num_files)}"
            self._progress.once(
                "stopped", f"Stopped after {num} of this call: go on with `{option('resume', 'true')}`."
            )
            raise
        return answers, missing

    def _by_workers(self, waiting: deque[Block], meanwhile: Meanwhile | None) -> tuple[list[Answer], list[str]]:
        running: dict[Any, Block] = {}
        answers: list[Answer] = []
        missing: list[str] = []
        while waiting or running:
            while waiting and len(running) < 2 * self._workers() + 2:
                try:
                    block = waiting.popleft()
                except IndexError:  # taken meanwhile
                    break
                running[self._task.remote(block, self._job, self._model)] = block
            ready, _ = self._ray.wait(list(running), num_returns=1, timeout=_SECONDS) if running else ([], None)
            for reference in ready:
                if meanwhile is not None:
                    meanwhile.stop()
                block = running.pop(reference)
                answer = self._answer_of(reference, block)
                if answer is None:
                    missing += [name for name, _ in block.images]
                    for _ in block.images:
                        self._progress.advance()
                else:
                    answers.append(answer)
                    self._tell(answer)
        return answers, missing

    def _workers(self) -> int:
        return max(1, int(self._ray.cluster_resources().get("CPU", 1)) // self._job.threads)

    def _answer_of(self, reference: Any, block: Block) -> Answer | None:
        """Returns the answer of a block; None where its worker died each time."""
        try:
            answer: Answer = self._ray.get(reference)
        except NanonucleiError as error:
            stays = f"What was done stays; go on with `{option('resume', 'true')}`"
            raise DataError(f"{getattr(error, 'cause', error)}. {stays}") from None
        except self._ray.exceptions.RayTaskError as error:
            raise DataError(
                f"a worker cannot do {block.shard}: {error.cause!r}. Install the same version of nanonuclei on all "
                f"machines; what was done stays, go on with `{option('resume', 'true')}`"
            ) from error
        except self._ray.exceptions.RayError as error:
            num = FILES.count(len(block.images))
            self._progress.failed(f"No results of {num}, the worker died: {type(error).__name__}")
            return None
        return answer

    def _tell(self, answer: Answer) -> None:
        for line in answer.lines:
            self._progress.once(line.partition(": ")[2], line)
        for _, error in answer.failed:
            self._progress.failed(f"No result: {error}")
        for _ in range(answer.num_files):
            self._progress.advance()


def connect(ray: Any, address: str) -> None:
    """Connects to a cluster, or starts one on this machine.

    Args:
        ray: The package.
        address: Of the cluster; empty: this machine alone.

    Raises:
        ConfigError: The cluster does not answer.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "error", "ignore_reinit_error": True}
    if address:
        options["address"] = address
    else:
        options |= {"address": "local", "include_dashboard": False, "object_store_memory": _OBJECT_STORE}
    try:
        ray.init(**options)
    except (ConnectionError, OSError, ValueError, RuntimeError, TimeoutError) as error:
        why = " ".join(str(error).split())[:200]
        raise ConfigError(
            f"no Ray cluster answers at {address or 'this machine'}: {why}. Check the address, "
            "and set RAY_AUTH_MODE=token where the cluster asks for a token"
        ) from error


def cores_of_a_worker(ray: Any) -> int:
    """Returns how many cores a worker takes: all of the smallest machine, `MOST_CORES` at most."""
    alive = [node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]]
    return max(1, min([MOST_CORES, *(int(cpus) for cpus in alive if cpus)]))
