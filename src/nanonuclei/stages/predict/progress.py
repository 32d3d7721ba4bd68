"""How a call tells the user how far it is: a bar on a terminal, lines elsewhere, and a log file in any case."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nanonuclei.invocation import option
from nanonuclei.serving.origin import CHECK
from nanonuclei.stages.predict.record import UNLIKE
from nanonuclei.tasks.values import Noun
from nanonuclei.writing import append_text

LOG = "predict.log"

FILES, IMAGES_DONE = Noun("file", "files"), Noun("image", "images")
"""What is counted: a file is read, and is done or failed; an image has results, and a film is one file with several."""

IN_COLOURS = ", shown in colours"
"""Ends what an image is unlike the training images in, where all of its colours are shown to the network."""

MOST_FAILURES = 20
"""Failures that the user is told one by one; the log and the table of images have all of them."""


class Progress:
    """Tells lines to the user and the log, and counts files.

    Attributes:
        num_files: Files of this call.
        num_done: Files that are done.
    """

    def __init__(self, num_files: int, *, log: Path | None, say: Callable[[str], None]) -> None:
        self.num_files, self.num_done, self._num_failed = num_files, 0, 0
        self._log, self._say = log, say
        self._told: set[str] = set()

    def once(self, key: str, line: str) -> None:
        """Tells a line to the user, unless one of the same key was told before."""
        if key and key not in self._told:
            self._told.add(key)
            self._say(line)

    def failed(self, line: str) -> None:
        """Tells the user a failure, unless there were many."""
        self._num_failed += 1
        if self._num_failed <= MOST_FAILURES:
            self._say(line)
        elif self._num_failed == MOST_FAILURES + 1:
            self._say(f"More failures are in {self._log or 'the table of images'} alone.")

    def log(self, line: str) -> None:
        """Adds a line to the log file."""
        if self._log is not None:
            append_text(self._log, f"{time.strftime('%Y-%m-%d %H:%M:%S')} {' '.join(line.split())}\n")

    def advance(self) -> None:
        """Counts a file."""
        self.num_done += 1


class _Bar(Progress):
    """The same with a bar below the lines: files, rate, time left."""

    def __init__(self, num_files: int, *, log: Path | None) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self.bar = RichProgress(
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(f"{'file' if num_files == 1 else 'files'}, {{task.fields[rate]:.1f}}/s,"),
            TimeElapsedColumn(),
            TextColumn("done,"),
            TimeRemainingColumn(),
            TextColumn("left"),
        )
        console = self.bar.console
        super().__init__(
            num_files, log=log, say=lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True)
        )
        self._task = self.bar.add_task("", total=num_files, rate=0.0)
        self._started = time.monotonic()

    def advance(self) -> None:
        super().advance()
        rate = self.num_done / max(time.monotonic() - self._started, 1e-9)
        self.bar.update(self._task, advance=1, rate=rate)


@contextmanager
def shown_progress(num_files: int, *, log: Path | None, say: Callable[[str], None]) -> Iterator[Progress]:
    """Yields a bar where lines go to a terminal, else lines only.

    Args:
        num_files: Files of this call.
        log: Log file, which is added to; None for none.
        say: Told lines; a bar takes the place of `print` alone.
    """
    if say is print and num_files and sys.stdout.isatty():
        bar = _Bar(num_files, log=log)
        with bar.bar:
            yield bar
        return
    yield Progress(num_files, log=log, say=say)


def told_resumed(done: int, *, of: int, images: int) -> str:
    """Returns what a call begins with that goes on: the files that are done, and the images of these files."""
    rest = "going on with the others" if done < of else "nothing is left"
    return f"{done:,} of {FILES.count(of)} done, with {IMAGES_DONE.count(images)}; {rest}."


def told_result(num_files: int, *, failed: int, images: int, found: str, gone: int = 0) -> str:
    """Returns what a call ends with.

    Args:
        num_files: Files of the input: each is done or failed.
        failed: Those that gave no result, or not all.
        images: Images with results, of which a file may hold several.
        found: Objects in them, as a text.
        gone: Those of the images whose files are not in the input any more.
    """
    earlier = f" ({gone:,} of earlier files, not in the input)" if gone else ""
    told = f"{FILES.count(num_files)}: {num_files - failed:,} done, {failed:,} failed."
    return f"{told} {IMAGES_DONE.count(images)}{earlier}, {found}."


def told_unlike(number: int, *, of: int, table: str, in_colours: bool = False) -> str:
    """Returns the warning of images that look unlike the training images; `table` is that which says in what.

    Args:
        in_colours: Whether some of them are colour images of which no channel was chosen.
    """
    images = "1 image looks" if number == 1 else f"{number:,} images look"
    check = CHECK if number == 1 else "Check their outlines before you believe their counts."
    hint = (
        f" Where their objects stand in one colour alone, name it, as by `{option('channel', 'blue')}`."
        if in_colours
        else ""
    )
    return (
        f"Warning: {images} unlike those that the model was trained on (of {of:,}; column {UNLIKE} of {table} says in "
        f"what). {check}{hint}"
    )
