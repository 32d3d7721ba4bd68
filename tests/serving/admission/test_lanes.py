"""Small requests pass large ones, long queues are refused with a time, and useless work stops."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import numpy as np
import pytest

from nanonuclei.serving.admission import capacity as module
from nanonuclei.serving.admission.capacity import LEAST_PIXELS, NUM_SMALL, SMALL, Capacity, measure
from nanonuclei.serving.admission.lanes import Lane, Lanes
from nanonuclei.serving.admission.ticket import CURRENT, Ticket
from nanonuclei.serving.refusal import Refused
from nanonuclei.tasks.values import Timing

CAPACITY = Capacity(num_pixels=4 * SMALL, num_bytes=1000, body_bytes=3000, seconds=1.0, speed=1e6)


class SlowReader:
    """A reader whose network takes as many seconds as it is told, by a clock of its own."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._now = seconds, 0.0

    def perf_counter(self) -> float:
        return self._now

    def timing(self, network: object) -> Timing:
        def call(batch: np.ndarray) -> np.ndarray:
            self._now += self._seconds
            return batch

        return Timing(call, 512, 512)


def test_places_are_taken_in_order() -> None:
    lane, order = Lane(1), []

    def take(number: int) -> None:
        with lane.taken():
            order.append(number)

    with lane.taken(), ThreadPoolExecutor(4) as threads:
        for number in range(4):
            threads.submit(take, number)
            while len(lane._queue) <= number:
                time.sleep(0.001)
        assert order == []
        lane._free += 1  # as if the place was left
        with lane._changed:
            lane._changed.notify_all()
    assert order == [0, 1, 2, 3]


def test_a_small_request_does_not_wait_for_a_large_one() -> None:
    lanes = Lanes(CAPACITY)
    with lanes.taken(2 * SMALL), lanes.taken(SMALL), lanes.taken(1):
        pass


def test_a_long_queue_is_refused_with_the_time_after_which_to_ask_again() -> None:
    lane = Lane(1, longest_wait=5.0)
    lane._seconds = 4.0  # what the last requests took
    entered = threading.Event()

    def wait() -> None:
        entered.set()
        with lane.taken():
            pass

    with lane.taken(), ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(wait)  # waits 4 s, it is thought
        entered.wait()
        while not lane._queue:
            time.sleep(0.001)
        with (
            pytest.raises(Refused, match=r"large requests before this one: 2\. Ask again in 8 s") as refused,
            lane.taken(),
        ):
            pass
        assert refused.value.get_http_status_code() == 503
        assert refused.value.retry_after == 8
        lane._free += 1
        with lane._changed:
            lane._changed.notify_all()
        waiting.result()


def test_work_stops_when_its_client_is_gone_or_its_time_is_over() -> None:
    def refused(ticket: Ticket) -> Refused:
        CURRENT.set(ticket)
        lane = Lane(1)
        lane._free = 0  # somebody else's
        waiting = lane.taken()
        with pytest.raises(Refused) as found:
            waiting.__enter__()
        return found.value

    gone = Ticket(60.0)
    gone.give_up()
    assert "client is gone" in copy_context().run(refused, gone).message
    late = copy_context().run(refused, Ticket(0.0))
    assert "answered within 0 s" in late.message
    assert late.get_http_status_code() == 503


def test_an_image_is_enlarged_only_as_far_as_there_is_room() -> None:
    lanes = Lanes(CAPACITY)
    with lanes.taken(SMALL) as enlarge:
        enlarge(SMALL)
        enlarge(3 * SMALL)
        assert lanes._large._free == 0  # it is a large request now
        with pytest.raises(Refused, match="this server shows at most"):
            enlarge(4 * SMALL + 1)
    assert (lanes._large._free, lanes._small._free) == (1, NUM_SMALL)
    with Lanes(None).taken(10**9) as enlarge:
        enlarge(10**9)


def test_capacity_falls_with_the_speed_and_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def capacity(seconds: float, memory: int, max_pixels: int = 2**40) -> Capacity:
        reader = SlowReader(seconds)
        monkeypatch.setattr(module, "time", reader)
        return measure(lambda batch: batch, reader, max_pixels=max_pixels, max_bytes=2**40, memory=memory)

    fast = capacity(0.001, 1_500_000_000)
    assert 7_000_000 < fast.num_pixels < 8_000_000
    assert capacity(0.3, 1_500_000_000).num_pixels == pytest.approx(15 * 256 * 256 / 0.3, rel=1e-3)
    assert capacity(0.001, 1_000_000_000).num_pixels < fast.num_pixels / 5
    assert capacity(0.001, 0).num_pixels == LEAST_PIXELS
    assert capacity(0.001, 2_000_000_000, max_pixels=1000).num_pixels == 1000
    assert fast.num_bytes * 3 <= fast.body_bytes
    assert fast.seconds == 45.0
