"""Blocks that a process of its own does while Ray and its workers start on this machine, which takes seconds."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections import deque
from collections.abc import Mapping
from multiprocessing.connection import Connection

from nanonuclei.errors import NanonucleiError
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
        context = multiprocessing.get_context("spawn")  # a fork would copy the locks of the network's threads
        self._pipe, end = context.Pipe()
        self._process = context.Process(target=_serve, args=(end,), daemon=True)
        self._process.start()
        end.close()
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
        self._process.join()
        self._pipe.close()

    def _hand_out(self, first: tuple[Job, dict[str, bytes]]) -> None:
        said: object = first
        while True:
            try:
                self._pipe.send(said)
                if self._taken:
                    self._answers.append(self._pipe.recv())
            except (OSError, EOFError):  # it died, or ended because it cannot do a block
                return
            if self._stopped.is_set():
                return
            try:
                said = self._waiting.popleft()
            except IndexError:
                return
            self._taken.append(said)


def _serve(pipe: Connection) -> None:
    """Does the blocks that it is sent, behind job and model, and answers each."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started this process ends it
    job, model = pipe.recv()
    while True:
        try:
            block = pipe.recv()
        except EOFError:
            return
        try:
            answer = predict_block(block, job, model)
        except NanonucleiError:
            return  # done again by a worker of Ray, whose error is told
        pipe.send(answer)
