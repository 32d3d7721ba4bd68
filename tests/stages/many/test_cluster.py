"""Two nodes of a cluster, of which one dies: nothing is lost, nothing is there twice; results go to a store too."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tests.conftest import ROOT
from tests.object_store import KEYS, object_store
from tests.stages.bright_model import bright_model, write_images

pytestmark = pytest.mark.slow

NAMES = [f"A{number % 5}/s{number:03}.png" for number in range(120)]
STORED = NAMES[:8]


@pytest.fixture(scope="module")
def store() -> Iterator[tuple[Any, dict[str, str]]]:
    """An S3 server on loopback with one bucket, and the variables that tell clients where it is."""
    with object_store() as (client, address):
        where = {"AWS_ENDPOINT_URL": address, "AWS_DEFAULT_REGION": "us-east-1"}
        yield client, where | {"AWS_ACCESS_KEY_ID": KEYS[0], "AWS_SECRET_ACCESS_KEY": KEYS[1]}


def shards(folder: Path) -> pd.DataFrame:
    return pd.concat([pd.read_parquet(path) for path in sorted(folder.iterdir())])


def test_a_node_is_killed_and_nothing_is_lost_or_there_twice(tmp_path: Path, store: tuple[Any, dict[str, str]]) -> None:
    client, where = store
    images = tmp_path / "images"
    for start in range(0, len(NAMES), 15):  # brighter with each number, up to white
        write_images(images, NAMES[start : start + 15])
    for name in STORED:
        client.upload_file(str(images / name), "lab", f"in/{name}")
    model, output = bright_model(tmp_path / "model"), tmp_path / "out"
    script = Path(__file__).with_name("cluster.py")
    done = subprocess.run(
        [sys.executable, str(script), str(images), f"{model}/", str(output), "s3://lab"],
        env={**os.environ, **where, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["nodes"] == 2
    assert told["shards_when_killed"] < len(NAMES) / 8
    assert (told["images"], told["objects"], told["failed"]) == (120, 360, [])
    assert (told["images_again"], told["objects_again"]) == (120, 360)
    assert "112 of 120 files done, with 112 images; going on with the others." in done.stdout
    rows, objects = shards(output / "images"), shards(output / "objects")
    assert sorted(rows["image"]) == sorted(name.removesuffix(".png") for name in NAMES)
    assert objects.groupby("image").size().eq(3).all()
    assert len(objects) == 360
    assert not list(output.rglob("partial-*"))
    assert (told["stored"], told["stored_failed"]) == (8, [])
    keys = [entry["Key"] for entry in client.list_objects_v2(Bucket="lab", Prefix="out/objects/")["Contents"]]
    tables = [pd.read_parquet(io.BytesIO(client.get_object(Bucket="lab", Key=key)["Body"].read())) for key in keys]
    assert sorted(pd.concat(tables)["image"].unique()) == sorted(name.removesuffix(".png") for name in STORED)
