"""One block of images on one worker: predicted in a temporary folder, then published as one shard of each table.

The shard of `objects/` is written before that of `images/`, whose presence says that the block is done. Both have the
name of the block, which follows from its images, model and settings: a block that is done again writes the same files.
"""

from __future__ import annotations

import functools
import hashlib
import io
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.data.fingerprint.look import Looks
from nanonuclei.data.lists.remote import Source, path_of, state_of
from nanonuclei.imaging.networks import Network
from nanonuclei.serving.folder import load_folder
from nanonuclei.serving.named import NamedModel, OpenedModel
from nanonuclei.stages.predict.call import Call, Summary
from nanonuclei.stages.predict.many.store import Store, open_store
from nanonuclei.stages.predict.record import IN_FILE, STATE, UNLIKE, ImagesTable
from nanonuclei.stages.predict.request import Request
from nanonuclei.stages.predict.results import OBJECTS, folders_of
from nanonuclei.tasks import create_reader

IMAGES = "images"
"""Folder of the shards with a row per image; `OBJECTS` is that with a row per object."""

KINDS = {"height": "long", "width": "long", "num_objects": "long", IN_FILE: "long"} | dict.fromkeys(
    ("image", "file", STATE, "choice", UNLIKE, "error", "fingerprint"), "string"
)
"""Types of columns of `IMAGES`; any other holds floats."""


@dataclass(frozen=True)
class Block:
    """Images that one worker does at a time.

    Attributes:
        shard: Name of its files in `IMAGES` and `OBJECTS`.
        images: Names and places of its images, in order.
    """

    shard: str
    images: tuple[tuple[str, Source], ...]


@dataclass(frozen=True)
class Job:
    """What all blocks have in common; the model travels beside it.

    Attributes:
        request: What is asked for.
        output: Path or URL of the results.
        made_with: See `Call`.
        threads: Cores of a worker.
    """

    request: Request
    output: str
    made_with: Mapping[str, Any]
    threads: int


@dataclass(frozen=True)
class Answer:
    """What became of a block.

    Attributes:
        num_files: Files of the block.
        num_images: Images with results.
        num_objects: Objects in them.
        failed: Files without a result, or not all, with the reason.
        num_unlike: Images that look unlike those that the model was trained on.
        lines: What the user should know of the choices made.
    """

    num_files: int
    num_images: int
    num_objects: int
    failed: tuple[tuple[str, str], ...] = ()
    num_unlike: int = 0
    lines: tuple[str, ...] = ()


def cut_blocks(paths: Mapping[str, Source], *, size: int, fingerprint: str) -> list[Block]:
    """Cuts images into blocks, in order.

    Args:
        paths: Images by name.
        size: Of a block.
        fingerprint: Of model and settings, which the names of shards depend on.
    """
    items = [(name, path.absolute() if isinstance(path, Path) else path) for name, path in paths.items()]
    blocks = []
    for number, start in enumerate(range(0, len(items), size)):
        own = tuple(items[start : start + size])
        places = tuple((name, path_of(path), state_of(path)) for name, path in own)
        digest = hashlib.sha256(repr((fingerprint, places)).encode()).hexdigest()[:10]
        blocks.append(Block(f"part-{number:05}-{digest}.parquet", own))
    return blocks


def rows_of(store: Store, shard: str) -> list[dict[str, Any]] | None:
    """Returns the rows of the images of a block that is done; None where there is no such shard, or a damaged one.

    A store that is no folder may keep half a file of a worker that was killed.
    """
    import pyarrow as pa
    from pyarrow import parquet

    content = store.read(f"{IMAGES}/{shard}")
    try:
        return None if content is None else parquet.read_table(io.BytesIO(content)).to_pylist()
    except (pa.ArrowException, OSError):
        return None


def finished(store: Store, shard: str) -> Answer | None:
    """Returns what stands in the shard of a block that is done; None where there is none."""
    rows = rows_of(store, shard)
    if rows is None:
        return None
    good = [row for row in rows if not row["error"]]
    failed = {row["file"]: row["error"] for row in rows if row["error"]}
    num_objects = sum(row["num_objects"] for row in good)
    return Answer(len({row["file"] for row in rows}), len(good), num_objects, tuple(failed.items()), _num_unlike(good))


def _num_unlike(rows: Sequence[Mapping[str, Any]]) -> int:
    return sum(bool(row.get(UNLIKE)) for row in rows)


_opened: dict[tuple[str, int], OpenedModel] = {}
"""The model of this process, by fingerprint and threads: it is loaded once, however many blocks follow."""


def predict_block(block: Block, job: Job, model: Mapping[str, bytes]) -> Answer:
    """Finds the objects of the images of a block and publishes its shards.

    Args:
        block: The images.
        job: What is asked for.
        model: Files of the model by name.

    Raises:
        DataError: The results cannot be written.
    """
    store = open_store(job.output)
    before = finished(store, block.shard)
    if before is not None and not before.failed:  # a worker died after it had written, and before it could say so
        return before
    opened = _open(job, model)
    reader = create_reader(opened.config)
    said: list[str] = []
    with tempfile.TemporaryDirectory(prefix="nanonuclei-") as folder:
        output = Path(folder)
        request = replace(job.request, output=output, formats=(*job.request.formats, "parquet"), resume=False)
        summary = Call(request, opened, reader, output, job.made_with).run(dict(block.images), said.append)
        _publish(output, store, block.shard, layers=tuple(reader.layers))
        rows = ImagesTable(output, fingerprint=job.made_with["fingerprint"]).rows()
        store.write(f"{IMAGES}/{block.shard}", _images_shard(rows))
    return _answer(summary, rows, said)


@dataclass(frozen=True)
class _Pinned(NamedModel):
    """A model whose folder is gone once it is loaded."""

    known: Looks | None = None

    def looks(self) -> Looks | None:
        """Returns what its training images look like; None where it does not tell."""
        return self.known


def _open(job: Job, model: Mapping[str, bytes]) -> OpenedModel:
    key = (job.made_with["fingerprint"], job.threads)
    if key not in _opened:
        import cv2

        cv2.setNumThreads(job.threads)

        def load(threads: int) -> tuple[_Pinned, ExperimentConfig, Network]:
            with tempfile.TemporaryDirectory(prefix="nanonuclei-") as name:
                folder = Path(name)
                for file, content in model.items():
                    (folder / file).write_bytes(content)
                config, network = load_folder(folder, name=job.request.model, threads=threads)
                known = NamedModel(job.request.model, folder).looks()
                return _Pinned(job.request.model, folder, known=known), config, network

        named, config, network = load(job.threads)
        _opened.clear()
        _opened[key] = OpenedModel(
            named, config, network, cores=job.threads, load=functools.cache(lambda threads: load(threads)[2])
        )
    return _opened[key]


def _publish(folder: Path, store: Store, shard: str, *, layers: Sequence[str]) -> None:
    """Publishes what was written of the images, and the table of their objects."""
    for name in folders_of(layers):
        if name != OBJECTS:
            for path in sorted((folder / name).rglob("*.*")):
                store.write(path.relative_to(folder).as_posix(), path.read_bytes())
    table = folder / f"{OBJECTS}.parquet"
    if table.is_file():
        store.write(f"{OBJECTS}/{shard}", table.read_bytes())


def _images_shard(rows: Sequence[Mapping[str, str]]) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    columns = list(rows[0])
    types = {"string": pa.string(), "long": pa.int64(), "double": pa.float64()}
    arrays = []
    for column in columns:
        kind = KINDS.get(column, "double")
        read = {"string": str, "long": int, "double": float}[kind]
        arrays.append(pa.array([read(row[column]) if row[column] else None for row in rows], types[kind]))
    content = io.BytesIO()
    parquet.write_table(pa.Table.from_arrays(arrays, names=columns), content)
    return content.getvalue()


def _answer(summary: Summary, rows: Sequence[Mapping[str, str]], said: Sequence[str]) -> Answer:
    failed = {row["file"]: row["error"] for row in rows if row["error"]}
    lines = tuple(line for line in said if line.startswith("Of "))
    num_files = len({row["file"] for row in rows})
    return Answer(num_files, summary.num_images, summary.num_objects, tuple(failed.items()), _num_unlike(rows), lines)
