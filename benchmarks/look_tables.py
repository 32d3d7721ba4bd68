"""Tables of `leave_one_look_out.py`: the looks with their counts, and what trainings without them reach on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from nanonuclei.data.catalog import SampleRef
from nanonuclei.drawing.tables import MISSING
from nanonuclei.report.compare_tables import as_markdown

LEAST = 15
"""Training images that a look must have to be left out."""

Result = dict[str, Any]
"""A finished training: arm, look, seed, steps, counts, seconds, hardware, metrics of the look that was left out."""


def groups_table(names: Mapping[str, str], samples: Sequence[SampleRef]) -> pd.DataFrame:
    """Returns the looks of the training images, largest first: images, fields, nuclei, and whether it is left out."""
    table = pd.DataFrame(
        [{"look": names[s.sample_id], "field": s.field, "nuclei": s.num_objects} for s in samples],
        columns=["look", "field", "nuclei"],
    )
    groups = table.groupby("look").agg(images=("field", "size"), fields=("field", "nunique"), nuclei=("nuclei", "sum"))
    groups["left_out"] = groups["images"] >= LEAST
    return groups.reset_index().sort_values(["images", "look"], ascending=[False, True], ignore_index=True)


def results_table(results: Sequence[Result], names: Sequence[str], left_out: Sequence[str]) -> pd.DataFrame:
    """Returns a row per look, and a last one of means: AP50 per arm, difference to the first arm, seconds per arm.

    Args:
        results: Finished trainings; those that are missing are NaN.
        names: Arms, in order.
        left_out: Looks, in order.
    """
    found = {(result["look"], result["arm"]): result for result in results}
    rows = []
    for look in left_out:
        row: dict[str, Any] = {"look": look}
        for arm in names:
            result = found.get((look, arm), {})
            row |= {name: result[name] for name in ("images", "nuclei") if name in result}
            row[arm] = result.get("ap50_pooled", float("nan"))
            row[f"seconds of {arm}"] = result.get("train_seconds", float("nan"))
        rows.append(row | {f"{arm} - {names[0]}": row[arm] - row[names[0]] for arm in names[1:]})
    order = ["look", "images", "nuclei", *names, *(f"{arm} - {names[0]}" for arm in names[1:])]
    table = pd.DataFrame(rows).reindex(columns=[*order, *(f"seconds of {arm}" for arm in names)])
    whole = table.dropna(subset=list(names))
    mean = {"look": "mean", **{name: whole[name].mean() for name in table.columns[3:]}}
    mean |= {name: whole[name].sum() for name in ("images", "nuclei")}
    return pd.concat([table, pd.DataFrame([mean])], ignore_index=True)


def markdown(table: pd.DataFrame) -> str:
    """Returns the results as a table in Markdown."""
    rows = [[_cell(name, value) for name, value in row.items()] for row in table.to_dict("records")]
    return as_markdown(([str(name) for name in table.columns], rows))


def _cell(column: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if pd.isna(value):
        return MISSING
    if column in ("images", "nuclei") or column.startswith("seconds of "):
        return f"{value:.0f}"
    return f"{value:+.3f}" if " - " in column else f"{value:.3f}"
