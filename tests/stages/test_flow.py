"""Several images are worked on at a time, and their answers come in order."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from nanonuclei.stages.predict.flow import ReadAhead, in_order

WAIT = 60.0
"""Seconds after which a thread that should have come has not."""


def answers(work: Callable[[int], int], *, share: Callable[[int], float] = lambda item: 0.2) -> list[int]:
    found: list[int] = []
    with ReadAhead(range(10)) as items:
        in_order(items, work, workers=2, share=share, done=found.append)
    return found


def test_two_are_worked_on_at_a_time_and_answers_come_in_order() -> None:
    both = threading.Barrier(2, timeout=WAIT)

    def work(item: int) -> int:
        both.wait()  # passes only where another item is worked on meanwhile
        return item

    assert answers(work) == list(range(10))


def test_a_large_item_is_worked_on_alone() -> None:
    at_work: set[int] = set()
    seen: list[set[int]] = []
    lock = threading.Lock()

    def work(item: int) -> int:
        with lock:
            at_work.add(item)
            seen.append(set(at_work))
        with lock:
            at_work.remove(item)
        return item

    assert answers(work, share=lambda item: 1.0 if item % 3 == 0 else 0.2) == list(range(10))
    assert all(len(together) == 1 for together in seen if any(item % 3 == 0 for item in together))


def test_what_is_done_before_an_error_is_kept_and_what_waits_is_not_begun() -> None:
    begun: list[int] = []
    found: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        if item == 3:
            raise ValueError("three")
        return item

    with pytest.raises(ValueError, match="three"), ReadAhead(range(1000)) as items:
        in_order(items, work, workers=2, share=lambda item: 0.2, done=found.append)
    assert found[:3] == [0, 1, 2]
    assert found == sorted(set(begun) - {3})  # those that ended besides are kept too
    assert max(begun) < 20
