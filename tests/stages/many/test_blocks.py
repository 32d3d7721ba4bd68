"""Blocks of images become shards, each once, whoever does them and however often."""

from __future__ import annotations

import io
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import cv2
import fsspec
import numpy as np
import pandas as pd
import pytest
from tests.conftest import ROOT
from tests.stages.bright_model import bright_model, write_images, write_looks

from nanonuclei.errors import ConfigError
from nanonuclei.stages.predict.many import blocks, engine
from nanonuclei.stages.predict.many.blocks import Block, Job, cut_blocks, predict_block
from nanonuclei.stages.predict.many.engine import model_files, predict_on_many
from nanonuclei.stages.predict.many.store import UNFINISHED, Store, open_store
from nanonuclei.stages.predict.predict import begin, predict
from nanonuclei.stages.predict.request import Request

NAMES = ["A01/s1.png", "A01/s2.png", "A02/s1.png", "b.png", "c.png"]


@pytest.fixture
def request_(tmp_path: Path) -> Request:
    images = write_images(tmp_path / "images", NAMES)
    (images / "broken.png").write_bytes(b"\x89PNG\r\n")
    return Request(str(images), f"{bright_model(tmp_path / 'model')}/", formats=("parquet", "labels"), block=2)


@pytest.fixture(params=["folder", "store"])
def output(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "folder":
        yield str(tmp_path / "out")
        return
    url = f"memory://{uuid.uuid4().hex}/out"
    yield url
    fsspec.filesystem("memory").store.clear()


@pytest.fixture
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks are done in this process instead of Ray's."""

    class _Here:
        def __init__(self, _: object, job: Job, model: dict[str, bytes], progress: object) -> None:
            self.do = lambda block: predict_block(block, job, model)

        def run(self, blocks: list[Block], _: object) -> tuple[list[object], list[str]]:
            return [self.do(block) for block in blocks], []

    class _Ray:
        def __init__(self, *_: object) -> None:
            pass

        def shutdown(self) -> None:
            pass

        close = shutdown

    blocks._opened.clear()
    monkeypatch.setattr(engine, "_ray", _Ray)
    monkeypatch.setattr(engine, "connect", lambda *_: None)
    monkeypatch.setattr(engine, "Meanwhile", _Ray)
    monkeypatch.setattr(engine, "cores_of_a_worker", lambda _: 1)
    monkeypatch.setattr(engine, "Work", _Here)


def quiet(_: str) -> None:
    pass


def table(store: Store, folder: str) -> pd.DataFrame:
    shards = [pd.read_parquet(io.BytesIO(store.read(f"{folder}/{name}") or b"")) for name in store.names(folder)]
    return pd.concat(shards).sort_values(["image"], kind="stable").reset_index(drop=True)


def asked(request: Request, output: str, **changed: object) -> Request:
    place = output if "://" in output else Path(output)
    return Request(**{**vars(request), "output": place, **changed})  # type: ignore[arg-type]


@pytest.mark.usefixtures("_here")
def test_shards_hold_what_one_machine_writes(request_: Request, output: str, tmp_path: Path) -> None:
    summary = predict_on_many(asked(request_, output), say=quiet)
    alone = predict(asked(request_, str(tmp_path / "alone")), say=quiet)
    assert (summary.num_images, summary.num_objects) == (alone.num_images, alone.num_objects) == (5, 15)
    assert summary.failed == alone.failed == ("broken.png",)
    store = open_store(output)
    objects = pd.read_parquet(tmp_path / "alone" / "objects.parquet").sort_values("image", kind="stable")
    pd.testing.assert_frame_equal(table(store, "objects"), objects.reset_index(drop=True))
    rows = table(store, "images")
    assert dict(zip(rows["image"], rows["num_objects"], strict=True))["A01/s1"] == 3
    assert rows.loc[rows["image"] == "broken", "error"].str.contains("not a readable image").all()
    assert store.names("labels/A01") == {"s1.png", "s2.png"}
    text = (store.read("README.txt") or b"").decode()
    assert "images/*.parquet: one row per image" in text
    assert "images.csv: one" not in text


@pytest.mark.usefixtures("_here")
def test_a_restart_does_what_is_missing_and_what_failed(request_: Request, output: str, tmp_path: Path) -> None:
    predict_on_many(asked(request_, output), say=quiet)
    store = open_store(output)
    with pytest.raises(ConfigError, match=r"Add `-P resume=true` to go on with it"):
        predict_on_many(asked(request_, output), say=quiet)
    shards = sorted(store.names("images"))
    before = {name: store.read(f"images/{name}") for name in shards}
    store.remove(f"images/{shards[0]}")
    write_images(Path(request_.images), ["broken.png"])
    said: list[str] = []
    again = predict_on_many(asked(request_, output, resume=True), say=said.append)
    assert (again.num_images, again.num_objects, again.failed) == (6, 18, ())
    assert "2 of 6 files done, with 2 images; going on with the others." in said
    assert any(line.startswith("6 files: 6 done, 0 failed. 6 images, 18 nuclei.") for line in said)
    assert sorted(store.names("images")) == sorted(store.names("objects"))
    assert sorted(store.names("images"))[:2] == shards[:2]  # the block of the file that was mended has another name
    assert store.read(f"images/{shards[0]}") == before[shards[0]]
    assert table(store, "objects").groupby("image").size().eq(3).all()


@pytest.mark.usefixtures("_here")
def test_other_settings_or_images_leave_no_shard_of_before(request_: Request, output: str) -> None:
    predict_on_many(asked(request_, output), say=quiet)
    store = open_store(output)
    first = store.names("images")
    write_images(Path(request_.images), ["z.png"])
    more = predict_on_many(asked(request_, output, resume=True), say=quiet)
    assert more.num_images == 6
    assert len(first & store.names("images")) == 3
    said: list[str] = []
    predict_on_many(asked(request_, output, resume=True, settings=["instances.min_area=9"]), say=said.append)
    assert f"{output} was made with another model, other settings or formats: 6 of its images are done over." in said
    assert not first & store.names("images")
    assert len(store.names("images")) == len(store.names("objects")) == 4


@pytest.mark.usefixtures("_here")
@pytest.mark.parametrize("settings", [[], ["instances.min_area=9"]])
def test_results_of_images_that_are_not_in_the_input_are_never_removed(
    request_: Request, output: str, settings: list[str]
) -> None:
    predict_on_many(asked(request_, output), say=quiet)
    store = open_store(output)
    before = {name: store.read(f"images/{name}") for name in store.names("images")}
    fewer = asked(request_, output, resume=True, images=f"{request_.images}/A0*/*.png", settings=settings)
    with pytest.raises(
        ConfigError, match=r"holds those of 2 images not in the input, which would be removed\. Name an"
    ):
        predict_on_many(fewer, say=quiet)
    assert {name: store.read(f"images/{name}") for name in store.names("images")} == before


@pytest.mark.usefixtures("_here")
def test_an_image_that_was_replaced_under_its_name_is_done_over(request_: Request, output: str) -> None:
    predict_on_many(asked(request_, output), say=quiet)
    cv2.imwrite(str(Path(request_.images, "b.png")), np.full((80, 70), 10, np.uint8))
    assert predict_on_many(asked(request_, output, resume=True), say=quiet).num_objects == 12
    assert set(table(open_store(output), "objects")["image"]) == {"A01/s1", "A01/s2", "A02/s1", "c"}


@pytest.mark.usefixtures("_here")
def test_images_that_look_unlike_the_training_images_are_told_as_on_one_machine(
    request_: Request, output: str, tmp_path: Path
) -> None:
    write_looks(tmp_path / "model")
    cv2.imwrite(str(Path(request_.images, "bright.png")), np.full((80, 70), 240, np.uint8))
    for again in (False, True):
        said: list[str] = []
        predict_on_many(asked(request_, output, resume=again), say=said.append)
        assert sum("look" in line and "unlike those that the model was trained on (of 6;" in line for line in said) == 1
    rows = table(open_store(output), "images").set_index("image")
    assert rows["unlike_training"]["bright"].startswith("fine detail or noise 0,")


def test_a_block_that_is_done_is_not_done_again(request_: Request, tmp_path: Path) -> None:
    begun = begin(request_, say=quiet)
    paths = {"b": Path(request_.images, "b.png"), "c": Path(request_.images, "c.png")}
    (block,) = cut_blocks(paths, size=2, fingerprint="f")
    job = Job(request_, str(tmp_path / "out"), begun.made_with, threads=1)
    first = predict_block(block, job, model_files(begun.opened))
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.*")}
    second = predict_block(block, job, {})  # a model without files could not be loaded
    assert (first.num_images, first.num_objects) == (second.num_images, second.num_objects) == (2, 6)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.*")} == times


DYING = """
import os, sys
from pathlib import Path
from nanonuclei.stages.predict.many.store import open_store
Path.replace = lambda *_: os._exit(9)  # killed when all is written, and before it has its name
open_store(sys.argv[1]).write("images/part-1.parquet", b"whole")
"""


@pytest.mark.usefixtures("_here")
def test_a_worker_that_dies_while_it_writes_leaves_nothing_among_the_results(
    request_: Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out"
    predict_on_many(asked(request_, str(output)), say=quiet)
    names = sorted(path.name for path in output.iterdir())
    assert names == ["README.txt", "images", "labels", "nanonuclei.json", "objects"]
    shards = {name: sorted((output / name).iterdir()) for name in ("images", "objects")}
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    assert subprocess.run([sys.executable, "-c", DYING, str(output)], check=False).returncode == 9
    (half,) = (output / UNFINISHED).iterdir()
    assert half.read_bytes() == b"whole"
    assert {name: sorted((output / name).iterdir()) for name in shards} == shards
    again = predict_on_many(asked(request_, str(output), resume=True), say=quiet)
    assert (again.num_images, again.num_objects) == (5, 15)
    assert sorted(path.name for path in output.iterdir()) == names
    assert {name: sorted((output / name).iterdir()) for name in shards} == shards


@pytest.mark.usefixtures("_here")
def test_half_a_shard_is_done_again(request_: Request, output: str) -> None:
    predict_on_many(asked(request_, output), say=quiet)
    store = open_store(output)
    first = min(store.names("images"))
    whole = store.read(f"images/{first}") or b""
    for part in (b"", whole[: len(whole) // 2]):
        store.write(f"images/{first}", part)
        assert predict_on_many(asked(request_, output, resume=True), say=quiet).num_images == 5
        assert store.read(f"images/{first}") == whole


def test_the_address_of_a_folder_is_that_folder(tmp_path: Path) -> None:
    place = tmp_path / "a b"
    open_store(f"file://{place}").write("images/x.parquet", b"x")
    assert open_store(str(place)).read("images/x.parquet") == b"x"
    open_store(f"file://{place}").sweep()
    assert [path.name for path in place.iterdir()] == ["images"]


def test_names_of_shards_follow_from_images_and_model() -> None:
    paths = {str(number): Path(f"/data/{number}.png") for number in range(5)}
    cut = cut_blocks(paths, size=2, fingerprint="f")
    assert [len(block.images) for block in cut] == [2, 2, 1]
    more = cut_blocks({**paths, "5": Path("/data/5.png")}, size=2, fingerprint="f")
    assert [one == other for one, other in zip(cut, more, strict=True)] == [True, True, False]
    assert not {block.shard for block in cut} & {
        block.shard for block in cut_blocks(paths, size=2, fingerprint="other")
    }


def test_tables_as_csv_and_urls_without_an_engine_are_refused_with_the_remedy(request_: Request) -> None:
    with pytest.raises(ConfigError, match="leave csv out"):
        predict_on_many(Request(request_.images, "m", formats=("csv",)), say=quiet)
    with pytest.raises(ConfigError, match="Add `-P engine=ray`"):
        predict(Request(request_.images, "m", output="s3://lab/out"), say=quiet)
