"""How a model of nanotubes does on simulated images of cell densities and a seed that its training never saw.

    PYTHONPATH=src python benchmarks/tube_densities.py MODEL [--seed 1007] [--images 40] [--coverage 0.1 0.2 0.5 0.6]
        [--set tubes.min_score=0.6]

MODEL is what `predict` takes: `nanotubes`, which comes along, a run, a URI or a folder. Of each density as many images
are drawn, and all of them scored with the thresholds that are stored with the model; the last row is of all of them
together. Training images have 0.6 to 1.4 times `data.simulated.coverage` of params.yaml: 0.18 to 0.42 of the image
covered by cells. Simulated images say nothing about real ones.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from nanonuclei.config.params import parse_settings, with_settings
from nanonuclei.data.catalog import SampleRef
from nanonuclei.engine.evaluate import evaluate_network
from nanonuclei.report.compare_tables import as_markdown
from nanonuclei.serving.named import open_model
from nanonuclei.stages.places import PARAMS
from nanonuclei.stages.prepare import prepared_dataset
from nanonuclei.tasks import create_task

SHOWN = ("object_precision", "object_recall", "object_f1", "count_error", "tcr_true", "tcr_found", "tcr_error")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="as predict takes it")
    parser.add_argument("--seed", type=int, default=1007, help="of the images (%(default)s)")
    parser.add_argument("--images", type=int, default=40, help="per density (%(default)s)")
    parser.add_argument("--coverage", type=float, nargs="+", default=[0.1, 0.2, 0.5, 0.6], help="means of densities")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="PATH=VALUE")
    options = parser.parse_args()
    opened = open_model(options.model, settings=parse_settings(options.settings), missing_from=PARAMS)
    config, network = opened.config, opened.network
    if options.seed == config.data.seed:
        parser.error(f"--seed must not be that of the training's images, got {options.seed}. Take another one")
    task = create_task(config)
    seen: list[SampleRef] = []
    rows = []
    for coverage in options.coverage:
        drawn = {"seed": options.seed, "dataset": "simulated"}
        simulated = {"simulated.num_images": options.images, "simulated.coverage": coverage}
        wanted = with_settings(config, {f"data.{name}": value for name, value in {**drawn, **simulated}.items()})
        catalog, _ = prepared_dataset(wanted, say=lambda _: None)
        seen += catalog.samples
        rows.append([f"{coverage:g}", *_scores(evaluate_network(task, network, catalog.samples).metrics)])
    if len(rows) > 1:
        rows.append(["all", *_scores(evaluate_network(task, network, seen).metrics)])
    print(as_markdown((["covered by cells, mean", *SHOWN], rows)))


def _scores(metrics: dict[str, float]) -> list[str]:
    return [f"{metrics[name]:.3f}" for name in SHOWN]


if __name__ == "__main__":
    main()
