"""Samples that cannot be used, as a table that a person reads."""

from __future__ import annotations

from collections.abc import Sequence

from tabulate import simple_separated_format, tabulate

from nanonuclei.data.catalog import BadSample


def problems_table(problems: Sequence[BadSample], *, most: int = 50) -> str:
    """Lays out problems as plain text: a line that counts them, then a row for each, file and problem aligned.

    Args:
        problems: What was found.
        most: Rows to show; a last line says how many more there are.
    """
    samples = len({problem.sample_id for problem in problems})
    lines = [f"{_count(len(problems), 'problem')} in {_count(samples, 'sample')}"]
    rows = [(problem.file, problem.problem) for problem in problems[:most]]
    if problems:
        lines.append(
            tabulate(rows, headers=("file", "problem"), tablefmt=simple_separated_format(" | "), disable_numparse=True)
        )
    if len(problems) > most:
        lines.append(f"... and {len(problems) - most:,} more")
    return "\n".join(lines)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
