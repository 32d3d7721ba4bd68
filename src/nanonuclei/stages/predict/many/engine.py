"""`predict` on Ray: workers take blocks of images; whoever dies, its blocks are done again, and nothing appears twice.

Plain tasks, not `ray.data`: what travels is a list of paths, results are files, and Ray's own retries of a task are all
that a lost machine asks for. See docs/decisions/0021-many-machines.md.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nanonuclei.config.params import to_yaml
from nanonuclei.data.files.listing import RECORD
from nanonuclei.errors import ConfigError
from nanonuclei.invocation import option
from nanonuclei.packaged import how_to_install
from nanonuclei.report.exports.readme import readme
from nanonuclei.serving.folder import CONFIG, NETWORK
from nanonuclei.serving.named import OpenedModel
from nanonuclei.stages.predict.asked import check_asked
from nanonuclei.stages.predict.call import Summary
from nanonuclei.stages.predict.many.blocks import IMAGES, Answer, Block, Job, cut_blocks, finished, rows_of
from nanonuclei.stages.predict.many.meanwhile import Meanwhile
from nanonuclei.stages.predict.many.store import Store, open_store
from nanonuclei.stages.predict.many.workers import MOST_CORES, Work, connect, cores_of_a_worker
from nanonuclei.stages.predict.predict import Begun, begin
from nanonuclei.stages.predict.progress import IMAGES_DONE, shown_progress, told_result, told_resumed, told_unlike
from nanonuclei.stages.predict.request import Request, files_of, find_images, output_beside
from nanonuclei.stages.predict.results import OBJECTS
from nanonuclei.tasks import measure_meanings_of


def predict_on_many(request: Request, *, say: Callable[[str], None] = print) -> Summary:
    """Finds the objects of every image of an input on the machines of a Ray cluster.

    Writes, into a folder that all machines see or a store such as S3, one Parquet file per block of images in
    `objects/` and one in `images/`, other formats under the paths of the images, README.txt, and `nanonuclei.json`.
    The model is read once, at the start. A second call with `resume` does the blocks that are missing, and those in
    which images failed.

    Args:
        request: What is asked for; ``address`` names a cluster, such as ``ray://head:10001`` or ``auto``.
        say: Told what the user should read.

    Raises:
        ConfigError: As in `predict`, or Ray is not installed, or the cluster does not answer.
        DataError: As in `predict`.
        TrackingError: There is no such model.
    """
    if request.submission or "csv" in request.formats:
        raise ConfigError("tables of many machines are Parquet: leave csv out of formats, and submission")
    ray = _ray()
    begun = begin(request, say=say)
    place = request.output or output_beside(request.images, begun.reader.noun.many)
    output = place if isinstance(place, str) else place.absolute().as_posix()
    paths = find_images(request.images, output=place, say=say)
    check_asked(request, begun.reader, paths)
    blocks = cut_blocks(paths, size=request.block, fingerprint=begun.made_with["fingerprint"])
    store = open_store(output)
    _check_place(store, output, resume=request.resume)
    if over := _done_over(store, output, begun, blocks):
        say(over)
    before = _done_before(store, blocks)
    if before:
        num_done = sum(answer.num_files for answer in before.values())
        say(told_resumed(num_done, of=len(paths), images=sum(answer.num_images for answer in before.values())))
    waiting = deque(block for block in blocks if block.shard not in before)
    answers = list(before.values())
    missing: list[str] = []
    if not waiting:
        _take_up(store, begun, blocks)
    else:
        files = model_files(begun.opened)
        job = Job(replace(request, output=None), output, begun.made_with, min(begun.opened.cores, MOST_CORES))
        num_files = sum(len(block.images) for block in waiting)
        meanwhile = None
        try:
            if not request.address:
                _take_up(store, begun, blocks)
                meanwhile = Meanwhile(job, files, waiting)
            connect(ray, request.address)
            if request.address:
                _take_up(store, begun, blocks)
            job = replace(job, threads=cores_of_a_worker(ray))
            with shown_progress(num_files, log=None, say=say) as progress:
                done, missing = Work(ray, job, files, progress).run(waiting, meanwhile)
                answers += done
        finally:
            if meanwhile is not None:
                meanwhile.close()
            ray.shutdown()
            store.sweep()
    summary = _close(store, output, begun, answers, missing, say=say)
    store.sweep()
    return summary


def model_files(opened: OpenedModel) -> dict[str, bytes]:
    """Returns the files that a worker loads a model from, with the settings of this call."""
    files = {path.name: path.read_bytes() for path in sorted(opened.named.folder.iterdir()) if path.is_file()}
    files.pop(NETWORK, None)
    return {**files, CONFIG: to_yaml(opened.config).encode()}


def _check_place(store: Store, output: str, *, resume: bool) -> None:
    """Makes sure that the place of results is new, or is to be taken up.

    Raises:
        ConfigError: It is neither.
    """
    if store.read(RECORD) is None:
        if store.names():
            raise ConfigError(
                f"results are written to a new place, but {output} holds files. Name another with "
                f"`{option('output', 'PLACE')}`"
            )
    elif not resume:
        raise ConfigError(
            f"{output} holds results of an earlier call. Add `{option('resume', 'true')}` to go on with it, or name "
            f"another place with `{option('output', 'PLACE')}`"
        )


def _done_over(store: Store, output: str, begun: Begun, blocks: Sequence[Block]) -> str:
    """Tells which results of other models or settings this call makes anew, in one line; nothing where there are none.

    Raises:
        ConfigError: Results are of images that are not in the input, so that they would be removed and not made anew.
    """
    shards = store.names(IMAGES) - {block.shard for block in blocks}
    rows = [row for shard in sorted(shards) for row in rows_of(store, shard) or () if not row["error"]]
    files = {file for block in blocks for file in files_of(dict(block.images)).values()}
    if absent := sum(row["file"] not in files for row in rows):
        raise ConfigError(
            f"results in a place must be of one input, model and settings, but {output} holds those of "
            f"{IMAGES_DONE.count(absent)} not in the input, which would be removed. Name another place with "
            f"`{option('output', 'PLACE')}`, or an input with all of its images"
        )
    otherwise = sum(row["fingerprint"] != begun.made_with["fingerprint"] for row in rows)
    over = "1 of its images is" if otherwise == 1 else f"{otherwise:,} of its images are"
    return f"{output} was made with another model, other settings or formats: {over} done over." if otherwise else ""


def _done_before(store: Store, blocks: Sequence[Block]) -> dict[str, Answer]:
    """Returns what stands in the shards that need not be done again: those in which no image failed."""
    there = store.names(IMAGES)
    found = {block.shard: finished(store, block.shard) for block in blocks if block.shard in there}
    return {shard: answer for shard, answer in found.items() if answer is not None and not answer.failed}


def _take_up(store: Store, begun: Begun, blocks: Sequence[Block]) -> None:
    """Writes what the results are made with, and removes shards of other models, settings or images."""
    made_with = {**begun.made_with, "blocks": len(blocks)}
    store.write(RECORD, (json.dumps(made_with, indent=2, ensure_ascii=False) + "\n").encode())
    known = {block.shard for block in blocks}
    for folder in (IMAGES, OBJECTS):
        for name in sorted(store.names(folder) - known):
            store.remove(f"{folder}/{name}")


def _close(
    store: Store,
    output: str,
    begun: Begun,
    answers: Sequence[Answer],
    missing: Sequence[str],
    *,
    say: Callable[[str], None],
) -> Summary:
    num_images = sum(answer.num_images for answer in answers)
    num_objects = sum(answer.num_objects for answer in answers)
    failed = (*dict.fromkeys(file for answer in answers for file, _ in answer.failed), *missing)
    settings = begun.made_with["settings"]
    head = [
        f"Results of {begun.made_with['program']}: {begun.reader.noun.many} in {IMAGES_DONE.count(num_images)}.",
        str(begun.made_with["model"]),
        *([f"Settings: {settings}"] if settings else []),
        *begun.reader.cautions,
    ]
    text = readme(
        head=head,
        formats=begun.made_with["formats"],
        columns=_columns(store),
        texts=begun.reader.column_texts,
        measures=measure_meanings_of(begun.reader.config.task),
        layers=begun.reader.layers,
        shards=True,
    )
    store.write("README.txt", text.encode())
    found = begun.reader.noun.count(num_objects)
    num_files = sum(answer.num_files for answer in answers) + len(missing)
    told = told_result(num_files, failed=len(failed), images=num_images, found=found)
    say(f"{told} Results: {output}")
    if failed:
        say(f"Why files failed stands in the column error of {output}/{IMAGES}/.")
    say(f"{output}/README.txt explains each column.")
    if num_unlike := sum(answer.num_unlike for answer in answers):
        say(told_unlike(num_unlike, of=num_images, table=f"{IMAGES}/"))
    return Summary(Path(output), num_images, num_objects, failed)


def _columns(store: Store) -> list[str]:
    """Returns the columns of the first shard of objects."""
    import pyarrow as pa
    from pyarrow import parquet

    for name in sorted(store.names(OBJECTS))[:1]:
        content = store.read(f"{OBJECTS}/{name}")
        if content is not None:
            return list(parquet.ParquetFile(pa.BufferReader(content)).schema_arrow.names)
    return []


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise ConfigError(f"engine ray needs the package ray. Install it: {how_to_install('ray')}") from error
    return ray
