"""Blocks that a process of its own does while Ray and its workers start on this machine, which takes seconds."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping

from nanonuclei.errors import NanonucleiError
from nanonuclei.packaged import with_sources
from nanonuclei.stages.predict.many.blocks import Answer, Block, Job, predict_block


class Meanwhile:
    """Does blocks, one after the other, until it is told to stop.

    A process, since a block may take down whoever does it; Ray then does it again. A thread hands it the blocks.

    Args:
        job: What is asked for.
        model: Files of the model by name.
        waiting: Blocks to be done; it takes them from the front, and others may take of them too.
    """

    def __init__(self, job: Job, model: Mapping[str, bytes], waiting: deque[Block]) -> None:
        self._waiting = waiting
        self._taken: list[Block] = []
        self._answers: list[Answer] = []
        """Of the blocks that it took, in order; the last one may lack."""
        self._stopped = threading.Event()
        self._process = subprocess.Popen(
            [sys.executable, "-c", f"from {__name__} import serve; serve()"],
            env=with_sources(os.environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # what goes wrong here goes wrong again with Ray, which tells it
        )
        self._thread = threading.Thread(target=self._hand_out, args=((job, dict(model)),), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Lets it take no further block."""
        self._stopped.set()

    def finish(self) -> tuple[list[Answer], list[Block]]:
        """Waits for the block that it is at; returns its answers, and what it took and gave none of."""
        self._stopped.set()
        self._thread.join()
        return self._answers, self._taken[len(self._answers) :]

    def close(self) -> None:
        """Ends the process, whatever it is at."""
        self._process.kill()
        self._thread.join()
        self._process.communicate()

    def _hand_out(self, first: tuple[Job, dict[str, bytes]]) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        said: object = first
        while True:
            try:
                pickle.dump(said, self._process.stdin)
                self._process.stdin.flush()
                if self._taken:
                    self._answers.append(pickle.load(self._process.stdout))
            except (OSError, EOFError, pickle.UnpicklingError, ValueError):
                return
            if self._stopped.is_set():
                return
            try:
                said = self._waiting.popleft()
            except IndexError:
                return
            self._taken.append(said)


def serve() -> None:
    """Does the blocks that it reads as pickles, behind job and model, and answers each with a pickle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started this process ends it
    heard, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    job, model = pickle.load(heard)
    while True:
        try:
            block = pickle.load(heard)
        except EOFError:
            return
        try:
            answer = predict_block(block, job, model)
        except NanonucleiError:
            return  # done again by a worker of Ray, whose error is told
        pickle.dump(answer, answers)
        answers.flush()
