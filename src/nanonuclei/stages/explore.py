"""Explore: figures and tables of a dataset, the first thing a person wants to see."""

from __future__ import annotations

from collections.abc import Callable

import mlflow
import numpy as np

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.drawing.tables import table
from nanonuclei.report.explore import histograms, image_grid, split_overview
from nanonuclei.stages.prepare import prepared_dataset
from nanonuclei.tasks import create_dataset
from nanonuclei.tracking.database import ui_command
from nanonuclei.tracking.runs import identity_tags, stage_run

GRID = 12
"""Images per modality that are drawn."""


def explore(
    config: ExperimentConfig, *, recipe: str = "", prepared: bool = False, say: Callable[[str], None] = print
) -> str:
    """Logs a run with image grids per modality, histograms, and the table of the splits.

    Args:
        config: With `data.dataset` decided.
        recipe: Name of the recipe that the config was made with, for tags.
        prepared: Whether the images have been prepared and told of just now.
        say: Told what the user should read.

    Returns:
        The run's id.
    """
    name = f"explore {config.task} {config.data.dataset}"
    catalog, _ = prepared_dataset(config, say=(lambda _: None) if prepared else say)
    with stage_run("explore", name=name, tags=identity_tags(config, recipe=recipe)) as run_id:
        mlflow.set_tags({"dataset.fingerprint": catalog.fingerprint, "split.fingerprint": catalog.split_fingerprint()})
        dataset = create_dataset(config)
        rng = np.random.default_rng(config.seed)
        for modality in sorted({sample.modality for sample in catalog.samples}):
            samples = [sample for sample in catalog.samples if sample.modality == modality]
            drawn = [samples[i] for i in sorted(rng.choice(len(samples), min(GRID, len(samples)), replace=False))]
            title = f"{catalog.name}: {modality}, {len(drawn)} of {len(samples)} images"
            mlflow.log_figure(image_grid(drawn, title=title, noun=dataset.noun), f"figures/images_{modality}.png")
        mlflow.log_figure(
            histograms(
                catalog.table(), dataset.object_sizes(catalog.samples), noun=dataset.noun, size=dataset.size_name
            ),
            "figures/histograms.png",
        )
        splits = catalog.split_table()
        mlflow.log_figure(split_overview(splits, noun=dataset.noun), "figures/splits.png")
        mlflow.log_text(splits.to_csv(index=False), "data/splits.csv")
        mlflow.log_text(catalog.table().to_csv(index=False), "data/catalog.csv")
        mlflow.log_metrics({"images": len(catalog.samples), "objects": int(splits["objects"].sum())})
    say("")
    say(table([[str(cell) for cell in row] for row in splits.to_numpy()], header=list(splits.columns)))
    say(f"\nRun {run_id}. See it: {ui_command()}")
    return run_id
