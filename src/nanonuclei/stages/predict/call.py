"""A call of `predict` on one machine: its images pass through reading, network and writing, and become rows."""

from __future__ import annotations

import errno
import functools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nanonuclei.data.files.axes import Plane
from nanonuclei.data.fingerprint.look import COLOURED, Looks, look_of
from nanonuclei.data.lists.remote import Source, state_of
from nanonuclei.errors import DataError
from nanonuclei.imaging.networks import Network
from nanonuclei.imaging.types import Float32Array
from nanonuclei.invocation import option
from nanonuclei.report.exports.found import Light, describe
from nanonuclei.serving.named import OpenedModel
from nanonuclei.stages.predict.flow import ReadAhead, in_order
from nanonuclei.stages.predict.large.call import LargeCall
from nanonuclei.stages.predict.large.windows import LargeImage
from nanonuclei.stages.predict.progress import (
    FILES,
    IMAGES_DONE,
    IN_COLOURS,
    LOG,
    Progress,
    shown_progress,
    told_result,
    told_resumed,
    told_unlike,
)
from nanonuclei.stages.predict.record import IMAGES, IN_FILE, STATE, UNLIKE, ImagesTable
from nanonuclei.stages.predict.request import Request, files_of
from nanonuclei.stages.predict.results import Results
from nanonuclei.stages.predict.shown import Images, Shown, choice_of, sentence
from nanonuclei.stages.predict.together import Together
from nanonuclei.tasks.base import Reader
from nanonuclei.writing import WritingError


@dataclass(frozen=True)
class Summary:
    """What a call did.

    Attributes:
        output: Folder of the results.
        num_images: Images with results, of this call and of earlier ones that it went on with.
        num_objects: Objects in them.
        failed: Files of this call that gave no result, or not all.
    """

    output: Path
    num_images: int
    num_objects: int
    failed: tuple[str, ...]


@dataclass(frozen=True)
class _Row:
    """What is known of an image once all of it is written; `ends` alone says that its file has no further image."""

    row: Mapping[str, Any]
    seconds: float = 0.0
    choice: str = ""
    ends: bool = False


@dataclass
class _Files:
    """Files of a call: those that gave no result, or not all, in order; those without an error; names of the images."""

    failed: dict[str, None] = field(default_factory=dict)
    whole: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Call:
    """Runs a model over images and writes their results into a folder.

    Attributes:
        request: What is asked for.
        opened: The model.
        reader: Of its task.
        output: Folder of the results.
        made_with: What the folder is made with; at least ``fingerprint``, ``program``, ``model`` and ``settings``.
    """

    request: Request
    opened: OpenedModel
    reader: Reader
    output: Path
    made_with: Mapping[str, Any]

    @property
    def network(self) -> Network:
        """The network of the model."""
        return self.opened.network

    @functools.cached_property
    def looks(self) -> Looks | None:
        """What the training images look like, where the model tells."""
        return self.opened.named.looks()

    @property
    def results(self) -> Results:
        """What writes the results of an image."""
        return Results(self.output, self.request.formats, self.request.submission, tuple(self.reader.layers))

    def run(self, paths: Mapping[str, Source], say: Callable[[str], None]) -> Summary:
        """Works on images, but those that the folder has results of already.

        Args:
            paths: Images by the names of their results.
            say: Told what the user should read.

        Raises:
            DataError: The disk is full or the folder cannot be written.
        """
        table = ImagesTable(self.output, fingerprint=self.made_with["fingerprint"])
        files = files_of(paths)
        table.do_again(self.results.lacking(table.done))
        if table.done and (outdated := table.outdated({files[name]: state_of(path) for name, path in paths.items()})):
            changed = {table.done[name] for name in outdated}
            say(f"Changed since: {FILES.count(len(changed))}. Done over: {IMAGES_DONE.count(len(outdated))}.")
            table.do_again(outdated)
        finished = table.finished(files)
        waiting = {name: path for name, path in paths.items() if name not in finished}
        if table.done:
            say(told_resumed(len(finished), of=len(paths), images=sum(finished.values())))
        outcome = _Files()
        if waiting:
            self.results.remove_joined()
        with shown_progress(len(waiting), log=self.output / LOG, say=say) as progress:
            self._work(waiting, files, table=table, outcome=outcome, progress=progress)
        known = set(files.values())
        rows = table.finish(list(files.values()), whole=outcome.whole, names=outcome.names)
        for name in table.known - {row["image"] for row in rows}:
            self.results.remove_others(name, ())
        self._join([row["image"] for row in rows])
        num_objects = sum(int(row["num_objects"]) for row in rows)
        summary = Summary(self.output, len(rows), num_objects, tuple(outcome.failed))
        self._close(summary, say, num_files=len(paths), gone=sum(row["file"] not in known for row in rows))
        if unlike := sum(bool(row.get(UNLIKE)) for row in rows):
            in_colours = any(row.get(UNLIKE, "").endswith(IN_COLOURS) for row in rows)
            say(told_unlike(unlike, of=len(rows), table=IMAGES, in_colours=in_colours))
        return summary

    def _work(
        self,
        paths: Mapping[str, Source],
        files: Mapping[str, str],
        *,
        table: ImagesTable,
        outcome: _Files,
        progress: Progress,
    ) -> None:
        def done(answer: _Row) -> None:
            file = answer.row["file"]
            if answer.ends:
                if file not in outcome.failed:
                    outcome.whole.add(file)
                progress.advance()
                return
            table.add(answer.row)
            where = f"[{progress.num_done + 1}/{progress.num_files}] {answer.row['image']}"
            if error := answer.row.get("error"):
                outcome.failed[file] = None
                progress.failed(f"No result: {error}")
                progress.log(f"{where}: {error}")
                return
            progress.log(f"{where}: {self.reader.noun.count(answer.row['num_objects'])}, {answer.seconds:.2f} s")
            progress.once(answer.choice, f"Of {file}{alike}: {answer.choice}.")

        alike = ", and others like it" if len(paths) > 1 else ""
        together = Together(self.opened, several=len(paths) > 1)
        source = Images(self.request, self.reader, self.network)
        try:
            with ReadAhead(source.of(paths, files, done=table.done)) as images:
                in_order(
                    images,
                    lambda image: self._answered(image, together.network(image), table),
                    workers=together.workers,
                    share=together.share,
                    done=done,
                )
            outcome.names |= source.names
            for line in source.warnings():
                progress.once(line, line)
        except (DataError, OSError) as error:
            stays = f"What was done stays ({progress.num_done} of {FILES.count(progress.num_files)} of this call)"
            raise DataError(f"{error}. {stays}; then go on with `{option('resume', 'true')}`") from error
        except KeyboardInterrupt:
            progress.once(
                "stopped",
                f"Stopped after {progress.num_done} of {FILES.count(progress.num_files)} of this call: go on with "
                f"`{option('resume', 'true')}`.",
            )
            raise

    def _answered(self, image: Shown, network: Network, table: ImagesTable) -> _Row:
        """Does all that is to be done of an image that was read."""
        row = {"image": image.name, "file": image.file, STATE: image.state, IN_FILE: image.num_images or None}
        redone = image.name in table.known
        if image.ends:
            return _Row(row, ends=True)
        if image.large is not None:
            return self._large(row, image.large, redone=redone)
        if image.plane is None or image.pixels is None:
            return _Row({**row, "error": image.error})
        started = time.perf_counter()
        try:
            score_map = next(iter(self.reader.score_maps(network, [image.pixels])))
        except Exception as error:  # whatever is wrong with one image must not cost the others
            return _Row({**row, "error": sentence(error)})
        return self._written(row | self._look(image.pixels), image.plane, score_map, redone=redone, started=started)

    def _look(self, pixels: Float32Array) -> dict[str, str]:
        """Tells in what an image looks unlike the training images, where the model has their fingerprint."""
        if self.looks is None:
            return {}
        look = look_of(pixels)
        told = self.looks.unlike(look)
        return {UNLIKE: f"{told}{IN_COLOURS}" if told and look.colour > COLOURED else told}

    def _large(self, row: dict[str, Any], image: LargeImage, *, redone: bool) -> _Row:
        """Does all that is to be done of an image of which windows are read."""
        started = time.perf_counter()
        try:
            large = LargeCall(row["image"], image, self.reader, self.results)
            more, paths = large.run(self.network)
        except WritingError as error:
            return self._unwritten(row, error)
        except OSError:
            raise
        except Exception as error:  # as above
            return _Row({**row, "error": sentence(error)})
        if redone:
            self.results.remove_others(row["image"], paths)
        choice = choice_of(image.sentence, scene=image.several[0], time=image.several[1], by_windows=True)
        return _Row({**row, **more}, time.perf_counter() - started, choice)

    def _written(
        self, row: dict[str, Any], plane: Plane, score_map: Float32Array, *, redone: bool, started: float
    ) -> _Row:
        """Measures the objects of an image and writes its results."""
        light = Light(plane.image, plane.channels, plane.channel_names, plane.pixel_size)
        height, width = plane.image.shape[:2]
        try:
            reader = self.reader.beside(plane.channels, plane.channel_names)
            objects = reader.objects(score_map, (height, width))
            files = self.results.encode(describe(row["image"], objects, light, reader=self.reader))
        except Exception as error:  # as above
            return _Row({**row, "error": sentence(error)})
        try:
            self.results.write(row["image"], files, redone=redone)
        except WritingError as error:
            return self._unwritten(row, error)
        row |= {"height": height, "width": width, "pixel_size_um": plane.pixel_size}
        row |= {"num_objects": len(objects.instances), "choice": plane.choice, **objects.measures}
        return _Row(
            row,
            time.perf_counter() - started,
            choice_of(plane.choice, scene=plane.scene is not None, time=plane.time is not None),
        )

    def _unwritten(self, row: dict[str, Any], error: WritingError) -> _Row:
        """Returns the row of an image whose name alone is at fault; any other error is raised."""
        if not error.is_of_name:
            raise error
        self.results.remove_others(row["image"], ())
        if isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.ENAMETOOLONG:
            return _Row({**row, "error": "its results would have too long names. Shorten the name of the image"})
        return _Row(
            {**row, "error": "a result would be called as a folder of other results is. Rename image or folder"}
        )

    def _join(self, names: list[str]) -> None:
        settings = self.made_with["settings"]
        head = [
            f"Results of {self.made_with['program']}: {self.reader.noun.many} in {IMAGES_DONE.count(len(names))}.",
            str(self.made_with["model"]),
            *([f"Settings: {settings}"] if settings else []),
            *self.reader.cautions,
        ]
        self.results.join(names, head=head, reader=self.reader)

    def _close(self, summary: Summary, say: Callable[[str], None], *, num_files: int, gone: int) -> None:
        found = self.reader.noun.count(summary.num_objects)
        told = told_result(num_files, failed=len(summary.failed), images=summary.num_images, found=found, gone=gone)
        say(f"{told} Results: {summary.output}")
        if summary.failed:
            say(f"Why files failed stands in the column error of {summary.output / IMAGES}.")
        say(f"{summary.output / 'README.txt'} explains each column, and how to open the results in QuPath and Fiji.")
