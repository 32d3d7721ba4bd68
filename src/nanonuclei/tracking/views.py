"""Links into MLflow's user interface that open it with runs chosen, and the columns and charts that matter.

MLflow keeps the state of a table of runs in a tag of the experiment, which a link names ("Share" in its interface). A
link that carries no filter of its own takes filter, order, columns and charts from there.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from nanonuclei.errors import TrackingError
from nanonuclei.tracking.runs import existing_run, first_line

SHARED_STATE = "mlflow.sharedViewState."
"""Begin of the experiment's tags that hold a state; the rest is its key."""

MOST_CHARACTERS = 5000
"""Of a tag of an experiment."""

MOST_SELECTED = 100
"""Runs that the view of runs side by side takes; more make an address that browsers refuse."""


@dataclass(frozen=True)
class View:
    """What a table of runs shows.

    Attributes:
        filter: MLflow's search, such as ``tags.parent = '...'``, or that of `of_runs`.
        order: Column that the rows are ordered by, the best first. Not the date: MLflow would fold the runs under
            their parents then.
        ascending: Whether small values come first.
        columns: Such as ``metrics.test/iou`` or ``tags.recipe``, in order.
        bars: Metrics whose last values are drawn as bars.
        curves: Metrics that are drawn by epoch.
    """

    filter: str
    order: str
    ascending: bool
    columns: Sequence[str]
    bars: Sequence[str] = ()
    curves: Sequence[str] = ()


def share_view(run_id: str, view: View, *, key: str = "", charts: bool = False) -> str:
    """Stores a view in a run's experiment.

    Args:
        run_id: The run whose experiment is shown.
        view: What is shown.
        key: Name of the view; a second view of that name replaces the first. The run's id where empty.
        charts: Whether the link opens the charts, not the table.

    Returns:
        The address below that of the user interface.

    Raises:
        TrackingError: The tracking server refuses.
    """
    experiment = existing_run(run_id).info.experiment_id
    columns = list(view.columns)
    while len(text := json.dumps(_state(view, columns), separators=(",", ":"))) > MOST_CHARACTERS and columns:
        columns.pop()
    try:
        MlflowClient().set_experiment_tag(experiment, f"{SHARED_STATE}{key or run_id}", text)
    except MlflowException as error:
        raise TrackingError(f"cannot store the view of run {run_id}: {first_line(error)}") from error
    mode = "CHART" if charts else "TABLE"
    return f"#/experiments/{experiment}/runs?viewStateShareKey={key or run_id}&compareRunsMode={mode}"


def run_page(run_id: str) -> str:
    """Returns the address of the page of a run, below that of the user interface."""
    return f"#/experiments/{existing_run(run_id).info.experiment_id}/runs/{run_id}"


def of_runs(run_ids: Sequence[str]) -> str:
    """Returns the search for runs by their ids, `MOST_SELECTED` at most: they need no tag for it."""
    chosen = list(dict.fromkeys(run_ids))[:MOST_SELECTED]
    return f"attributes.run_id IN ({', '.join(repr(run_id) for run_id in chosen)})"


def side_by_side(run_ids: Sequence[str]) -> str:
    """Returns the address of MLflow's view of several runs side by side, below that of its user interface."""
    chosen = list(run_ids)[:MOST_SELECTED]
    experiments = sorted({existing_run(run_id).info.experiment_id for run_id in chosen})
    return f"#/compare-runs?runs={quote(json.dumps(chosen))}&experiments={quote(json.dumps(experiments))}"


def _state(view: View, columns: Sequence[str]) -> dict[str, object]:
    """Returns a state in MLflow's form; `isAccordionReordered` keeps the sections of charts in their order."""
    kinds = {"LINE": ("curves", view.curves), "BAR": ("scores", view.bars)}
    cards = [
        {"uuid": f"{section}-{place}", "type": kind, "metricSectionId": section, "metricKey": metric, **_CARD}
        for kind, (section, metrics) in reversed(kinds.items())
        for place, metric in enumerate(metrics)
    ]
    sections = [
        {"uuid": section, "name": section, "display": True, "isReordered": True}
        for section, metrics in (("scores", view.bars), ("curves", view.curves))
        if metrics
    ]
    return {
        "searchFilter": view.filter,
        "orderByKey": _key(view.order),
        "orderByAsc": view.ascending,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "selectedColumns": [_key(column) for column in columns],
        "compareRunCharts": cards,
        "compareRunSections": sections,
        "isAccordionReordered": True,
        "runsHiddenMode": "SHOW_ALL",
    }


_CARD = {"deleted": False, "isGenerated": False, "runsCountToCompare": 100}


def _key(column: str) -> str:
    kind, _, name = column.partition(".")
    return f"{kind}.`{name}`"
