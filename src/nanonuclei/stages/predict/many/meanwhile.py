"""Blocks that a process of its own does while Ray starts on this machine, which takes seconds that leave cores idle."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event

from nanonuclei.errors import NanonucleiError
from nanonuclei.stages.predict.many.blocks import Answer, Block, Job, predict_block

MOST_BLOCKS = 64
"""Blocks that the process hears of; Ray has started long before it is through."""


class Meanwhile:
    """Does blocks, one after the other, until it is told to stop.

    A process, since a block may take down whoever does it; Ray then does it again.

    Args:
        job: What is asked for.
        model: Files of the model by name.
        blocks: In the order in which they are done.
    """

    def __init__(self, job: Job, model: Mapping[str, bytes], blocks: Sequence[Block]) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would copy the locks of the network's threads
        self._blocks = list(blocks)
        self._answers: dict[str, Answer | None] = {}
        """Of the blocks that it began with, by shard; None of those without an answer yet."""
        self._taken: set[str] = set()
        """Shards of those that it had begun with when it was told to stop."""
        self._pipe, end = context.Pipe(duplex=False)
        self._stop = context.Event()
        args = (end, self._stop, self._blocks[:MOST_BLOCKS], job, dict(model))
        self._process = context.Process(target=_work, args=args, daemon=True)
        self._process.start()
        end.close()

    def stop(self) -> list[Block]:
        """Lets it begin no further block, and returns the blocks that it did not take."""
        self._stop.set()
        while self._pipe.poll() and self._hear():
            pass
        self._taken = set(self._answers)
        return [block for block in self._blocks if block.shard not in self._taken]

    def finish(self) -> tuple[list[Answer], list[Block]]:
        """Waits for the block that it was at; returns its answers, and the blocks of which it gave none."""
        while self._hear():
            pass
        taken = [block for block in self._blocks if block.shard in self._taken]
        answers = [answer for block in taken if (answer := self._answers[block.shard]) is not None]
        return answers, [block for block in taken if self._answers[block.shard] is None]

    def close(self) -> None:
        """Ends the process, whatever it is at."""
        self._process.terminate()
        self._process.join()
        self._pipe.close()

    def _hear(self) -> bool:
        """Takes what the process says next; returns whether it said anything."""
        try:
            shard, answer = self._pipe.recv()
        except (EOFError, OSError):
            return False
        self._answers[shard] = answer
        return True


def _work(pipe: Connection, stop: Event, blocks: Sequence[Block], job: Job, model: Mapping[str, bytes]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started this process ends it
    for block in blocks:
        pipe.send((block.shard, None))
        if stop.is_set():  # asked after it was sent: a block is never left to others and done here too
            return
        try:
            answer = predict_block(block, job, model)
        except NanonucleiError:
            return  # done again by a worker of Ray, whose error is told
        pipe.send((block.shard, answer))
