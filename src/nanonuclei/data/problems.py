"""Samples that cannot be used, as a table that a person reads, as a list in a file, and as numbers."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path

from nanonuclei.counted import counted
from nanonuclei.data.catalog import BadSample


@dataclasses.dataclass(frozen=True)
class Fetched:
    """A dataset that was put in place.

    Attributes:
        path: Where it lies.
        good: Ids of the samples that can be used, as far as that was looked at.
        problems: What is wrong with others.
    """

    path: Path
    good: frozenset[str] = frozenset()
    problems: tuple[BadSample, ...] = ()

    @property
    def left_out(self) -> str:
        """How many samples cannot be used; empty where all can."""
        return left_out(len(self.good - bad_ids(self.problems)), self.problems)


def bad_ids(problems: Sequence[BadSample]) -> frozenset[str]:
    """Returns the ids of the samples that have a problem."""
    return frozenset(problem.sample_id for problem in problems)


def left_out(num_good: int, problems: Sequence[BadSample], *, noun: str = "sample") -> str:
    """Returns how many samples cannot be used, such as ``20 of 21 samples cannot be used``; empty where all can."""
    num_bad = len(bad_ids(problems))
    return f"{num_bad:,} of {counted(num_good + num_bad, noun)} cannot be used" if num_bad else ""


def problems_csv(problems: Sequence[BadSample]) -> str:
    """Returns problems as CSV, a row each."""
    with io.StringIO(newline="") as text:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([field.name for field in dataclasses.fields(BadSample)])
        writer.writerows(dataclasses.astuple(problem) for problem in problems)
        return text.getvalue()


def problems_table(problems: Sequence[BadSample], *, most: int = 50) -> str:
    """Lays out problems as plain text: a line that counts them, then a row for each, file and problem aligned.

    Args:
        problems: What was found.
        most: Rows to show; a last line says how many more there are.
    """
    from tabulate import simple_separated_format, tabulate  # `predict` imports this module, and needs no table

    samples = len(bad_ids(problems))
    lines = [f"{counted(len(problems), 'problem')} in {counted(samples, 'sample')}"]
    rows = [(problem.file, problem.problem) for problem in problems[:most]]
    if problems:
        lines.append(
            tabulate(rows, headers=("file", "problem"), tablefmt=simple_separated_format(" | "), disable_numparse=True)
        )
    if len(problems) > most:
        lines.append(f"... and {len(problems) - most:,} more")
    return "\n".join(lines)
