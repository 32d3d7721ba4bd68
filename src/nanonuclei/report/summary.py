"""Plain text tables for the terminal; the figures of the same numbers are drawn in `report.figures`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from tabulate import tabulate

from nanonuclei.errors import DataError

METRIC_NAMES = {
    "accuracy": "pixel accuracy",
    "binary_crossentropy": "binary cross-entropy",
    "iou": "foreground IoU",
    "dice": "Dice",
    "ap50_pooled": "AP at IoU 0.5, pooled",
    "ap50_image": "AP at IoU 0.5, per image",
    "map_pooled": "mean AP 0.5:0.1:0.9",
    "map_competition": "competition score",
    "pq": "panoptic quality",
    "f1": "F1 at IoU 0.5",
    "window_pr_auc": "area under precision-recall of windows",
    "window_roc_auc": "area under ROC of windows",
    "window_baseline": "share of positive windows",
    "window_accuracy": "accuracy of windows",
    "object_precision": "precision of nanotubes",
    "object_recall": "recall of nanotubes",
    "object_f1": "F1 of nanotubes",
    "count_error": "count error",
    "tcr_error": "error of nanotubes per cell",
    "tcr_bias": "bias of nanotubes per cell",
    "tcr_limit_below": "lower limit of agreement",
    "tcr_limit_above": "upper limit of agreement",
}
"""Readable name per metric, in the order in which tables and figures show them."""

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


def metrics_table(metrics: Mapping[str, float], *, groups: Sequence[str]) -> str:
    """Sets the metrics of an evaluation as a table: a row per metric, a column for all images and one per group.

    Args:
        metrics: Flat names, `<split>/<metric>` for all images and `<split>/<group>/<metric>` for a group.
            `<metric>_low` and `<metric>_high` beside a `<metric>` are the ends of its 95 % interval. Rows name their
            split where there is more than one.
        groups: Groups to show, such as the modalities. Metrics of other groups are left out.

    Returns:
        The table, known metrics first in the order of `METRIC_NAMES`, then others under their own name. Missing and
        undefined (NaN) values are shown as `-`, the interval as `0.812 (0.790-0.833)` in the column of all images.
    """
    cells: dict[tuple[str, str], dict[str, float]] = {}
    for path, value in metrics.items():
        if _is_interval_end(path, metrics):
            continue
        split, group, name = _parts(path)
        if group in ("", *groups):
            cells.setdefault((split, name), {})[group] = value

    order = {name: place for place, name in enumerate(METRIC_NAMES)}
    keys = sorted(cells, key=lambda key: (key[0], order.get(key[1], len(order)), key[1]))
    several_splits = len({split for split, _ in keys}) > 1
    rows, any_interval = [], False
    for split, name in keys:
        label = METRIC_NAMES.get(name, name)
        values = cells[split, name]
        path = f"{split}/{name}" if split else name
        text = format_value(name, values.get("", math.nan))
        ends = [metrics.get(f"{path}{end}", math.nan) for end in ("_low", "_high")]
        if text != MISSING and all(map(math.isfinite, ends)):
            text += f" ({'-'.join(format_value(name, end) for end in ends)})"
            any_interval = True
        row = [f"{split}: {label}" if several_splits and split else label, text]
        rows.append([*row, *(format_value(name, values.get(group, math.nan)) for group in groups)])
    return table(rows, header=["metric", "all (95 % interval)" if any_interval else "all", *groups])


def format_value(name: str, value: float) -> str:
    """Writes the value of a metric with three decimals; counts without, very small and large values shorter.

    Args:
        name: Name of the metric without split and group, such as `iou`.
        value: NaN means that there is none.
    """
    value = float(value)
    if math.isnan(value):
        return MISSING
    if math.isfinite(value) and (abs(value) >= 1000 or (name not in METRIC_NAMES and value.is_integer())):
        return f"{value:,.0f}"
    return f"{value:.1e}" if 0 < abs(value) < 0.0005 else f"{value:.3f}"


def _parts(path: str) -> tuple[str, str, str]:
    """Takes a flat name apart into split, group and metric; split and group may be empty."""
    split, _, rest = path.rpartition("/")
    split, _, group = split.partition("/")
    return split, group, rest


def _is_interval_end(path: str, metrics: Mapping[str, float]) -> bool:
    return any(path.endswith(end) and path.removesuffix(end) in metrics for end in ("_low", "_high"))


def _is_numeric(cells: Sequence[str]) -> bool:
    return bool(cells) and all(cell in ("", MISSING, "inf", "-inf") or _NUMBER.fullmatch(cell) for cell in cells)
