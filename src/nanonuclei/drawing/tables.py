"""Plain text tables for the terminal; the figures of the same numbers are drawn in `drawing.charts`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from tabulate import tabulate

from nanonuclei.errors import DataError

MISSING = "-"
_NUMBER = re.compile(r"[-+]?[\d.,]+(e[-+]?\d+)?( ?%)?( \([^()]*\))?", re.IGNORECASE)


def table(rows: Sequence[Sequence[str]], *, header: Sequence[str]) -> str:
    """Sets rows of text as an aligned table: header, a rule, one line per row.

    A column whose cells are all numbers (with a percent sign or an interval in brackets, if any) or missing is
    aligned right; any other column left.

    Args:
        rows: One sequence of cells per row, each as long as the header.
        header: Names of the columns.

    Returns:
        Lines without trailing spaces, joined by newlines, without a final newline.

    Raises:
        DataError: A row has more or fewer cells than the header.
    """
    for row in rows:
        if len(row) != len(header):
            raise DataError(
                f"every row of a table must have one cell per column: got {len(row)} cells {tuple(row)} for "
                f"{len(header)} columns {tuple(header)}. Fill missing cells with '{MISSING}'"
            )
    aligned = ["right" if _is_numeric([row[place] for row in rows]) else "left" for place in range(len(header))]
    text: str = tabulate(rows, headers=header, tablefmt="simple", disable_numparse=True, colalign=aligned)
    return "\n".join(line.rstrip() for line in text.split("\n"))


def metrics_table(metrics: Mapping[str, float], *, groups: Sequence[str], names: Mapping[str, str]) -> str:
    """Sets the metrics of an evaluation as a table: a row per metric, a column for all images and one per group.

    Args:
        metrics: Flat names, `<split>/<metric>` for all images and `<split>/<group>/<metric>` for a group.
            `<metric>_low` and `<metric>_high` beside a `<metric>` are the ends of its 95 % interval. Rows name their
            split where there is more than one.
        groups: Groups to show, such as the modalities. Metrics of other groups are left out.
        names: What people call the metrics, in the order of the rows.

    Returns:
        The table, known metrics first in the order of `names`, then others under their own name. Missing and
        undefined (NaN) values are shown as `-`, the interval as `0.812 (0.790-0.833)` in the column of all images.
    """
    cells: dict[tuple[str, str], dict[str, float]] = {}
    for path, value in metrics.items():
        if _is_interval_end(path, metrics):
            continue
        split, group, name = _parts(path)
        if group in ("", *groups):
            cells.setdefault((split, name), {})[group] = value

    order = {name: place for place, name in enumerate(names)}
    keys = sorted(cells, key=lambda key: (key[0], order.get(key[1], len(order)), key[1]))
    several_splits = len({split for split, _ in keys}) > 1
    rows, any_interval = [], False
    for split, name in keys:
        label = names.get(name, name)
        values = cells[split, name]
        path = f"{split}/{name}" if split else name
        text = format_value(values.get("", math.nan), is_metric=name in names)
        ends = [metrics.get(f"{path}{end}", math.nan) for end in ("_low", "_high")]
        if text != MISSING and all(map(math.isfinite, ends)):
            text += f" ({'-'.join(format_value(end, is_metric=name in names) for end in ends)})"
            any_interval = True
        row = [f"{split}: {label}" if several_splits and split else label, text]
        rows.append([*row, *(format_value(values.get(group, math.nan), is_metric=name in names) for group in groups)])
    return table(rows, header=["metric", "all (95 % interval)" if any_interval else "all", *groups])


def format_value(value: float, *, is_metric: bool = True) -> str:
    """Writes a value with three decimals; counts without, very small and large values shorter.

    Args:
        value: NaN means that there is none.
        is_metric: Whether it is of a metric; of other values, whole numbers have no decimals.
    """
    value = float(value)
    if math.isnan(value):
        return MISSING
    if math.isfinite(value) and (abs(value) >= 1000 or (not is_metric and value.is_integer())):
        return f"{value:,.0f}"
    return f"{value:.1e}" if 0 < abs(value) < 0.0005 else f"{value:.3f}"


def shortened(text: str, most: int = 16) -> str:
    """Returns a text of `most` characters at most: its middle is cut, as names that begin alike differ at the end."""
    kept = most - 2
    return text if len(text) <= most else f"{text[: kept - kept // 2]}..{text[-(kept // 2) :]}"


def _parts(path: str) -> tuple[str, str, str]:
    """Takes a flat name apart into split, group and metric; split and group may be empty."""
    split, _, rest = path.rpartition("/")
    split, _, group = split.partition("/")
    return split, group, rest


def _is_interval_end(path: str, metrics: Mapping[str, float]) -> bool:
    return any(path.endswith(end) and path.removesuffix(end) in metrics for end in ("_low", "_high"))


def _is_numeric(cells: Sequence[str]) -> bool:
    return bool(cells) and all(cell in ("", MISSING, "inf", "-inf") or _NUMBER.fullmatch(cell) for cell in cells)
