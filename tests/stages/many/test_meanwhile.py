"""What is done while Ray starts: each block once, and those of a process that died are left to others."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.stages.bright_model import bright_model, write_images

from nanonuclei.stages.predict.many.blocks import Block, Job, cut_blocks
from nanonuclei.stages.predict.many.engine import model_files
from nanonuclei.stages.predict.many.meanwhile import Meanwhile
from nanonuclei.stages.predict.predict import begin
from nanonuclei.stages.predict.request import Request

NAMES = [f"{number}.png" for number in range(4)]


@pytest.fixture
def blocks(tmp_path: Path) -> list[Block]:
    images = write_images(tmp_path / "images", NAMES)
    return cut_blocks({name: images / name for name in NAMES}, size=1, fingerprint="f")


@pytest.fixture
def waiting(blocks: list[Block]) -> deque[Block]:
    return deque(blocks)


@pytest.fixture
def meanwhile(waiting: deque[Block], tmp_path: Path) -> Iterator[Meanwhile]:
    request = Request(str(tmp_path / "images"), f"{bright_model(tmp_path / 'model')}/", formats=("parquet",))
    begun = begin(request, say=lambda _: None)
    job = Job(request, str(tmp_path / "out"), begun.made_with, threads=1)
    started = Meanwhile(job, model_files(begun.opened), waiting)
    yield started
    started.close()


def wait_for(path: Path) -> None:
    while not path.exists():
        time.sleep(0.01)


def test_each_block_is_done_here_or_left(
    meanwhile: Meanwhile, blocks: list[Block], waiting: deque[Block], tmp_path: Path
) -> None:
    wait_for(tmp_path / "out" / "images" / blocks[0].shard)
    answers, without = meanwhile.finish()
    assert answers
    assert len(answers) + len({block.shard for block in (*waiting, *without)}) == len(blocks)
    assert all((answer.num_files, answer.num_objects) == (1, 3) for answer in answers)
    written = {path.name for path in (tmp_path / "out" / "images").iterdir()}
    assert written == {block.shard for block in blocks} - {block.shard for block in (*waiting, *without)}


def test_a_block_whose_process_died_is_left_to_others(
    meanwhile: Meanwhile, blocks: list[Block], waiting: deque[Block], tmp_path: Path
) -> None:
    wait_for(tmp_path / "out" / "images" / blocks[0].shard)
    meanwhile._process.kill()
    answers, without = meanwhile.finish()
    assert len(answers) + len({block.shard for block in (*waiting, *without)}) == len(blocks)


def test_a_block_that_cannot_be_done_is_left_to_others(
    blocks: list[Block], waiting: deque[Block], tmp_path: Path
) -> None:
    request = Request(str(tmp_path / "images"), f"{bright_model(tmp_path / 'model')}/", formats=("parquet",))
    begun = begin(request, say=lambda _: None)
    (tmp_path / "file").write_text("in the way")
    job = Job(request, str(tmp_path / "file" / "out"), begun.made_with, threads=1)
    started = Meanwhile(job, model_files(begun.opened), waiting)
    started._process.join()
    answers, without = started.finish()
    started.close()
    assert answers == []
    assert {block.shard for block in (*waiting, *without)} == {block.shard for block in blocks}
