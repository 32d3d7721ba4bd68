"""How a model of nanotubes does on simulated images of cell densities and a seed that its training never saw.

    PYTHONPATH=src python benchmarks/tube_densities.py RUN [--seed 1007] [--images 40] [--coverage 0.1 0.2 0.5 0.6]

RUN is a training on simulated images, or an evaluation of the pipeline. Of each density as many images are drawn, and
all of them scored with the thresholds that are stored with the model; the last row is of all of them together. Training
images have 0.6 to 1.4 times `data.simulated.coverage` of params.yaml: 0.18 to 0.42 of the image covered by cells.
Simulated images say nothing about real ones.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from nanonuclei.config.params import with_settings
from nanonuclei.data.catalog import SampleRef
from nanonuclei.engine.evaluate import evaluate_network
from nanonuclei.engine.networks import network_of
from nanonuclei.report.compare_tables import as_markdown
from nanonuclei.serving.store import load_trained
from nanonuclei.stages.places import PARAMS
from nanonuclei.stages.prepare import prepared_dataset
from nanonuclei.tasks import create_task
from nanonuclei.tracking.runs import existing_run

SHOWN = ("window_pr_auc", "object_precision", "object_recall", "object_f1", "tcr_true", "tcr_found", "tcr_error")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="a training, or an evaluation of the pipeline")
    parser.add_argument("--seed", type=int, default=1007, help="of the images (%(default)s)")
    parser.add_argument("--images", type=int, default=40, help="per density (%(default)s)")
    parser.add_argument("--coverage", type=float, nargs="+", default=[0.1, 0.2, 0.5, 0.6], help="means of densities")
    options = parser.parse_args()
    config, model = load_trained(existing_run(options.run), missing_from=PARAMS)
    if options.seed == config.data.seed:
        parser.error(f"--seed must not be that of the training's images, got {options.seed}. Take another one")
    task = create_task(config)
    network = network_of(task, model)
    seen: list[SampleRef] = []
    rows = []
    for coverage in options.coverage:
        drawn = {"seed": options.seed, "dataset": "simulated"}
        simulated = {"simulated.num_images": options.images, "simulated.coverage": coverage}
        wanted = with_settings(config, {f"data.{name}": value for name, value in {**drawn, **simulated}.items()})
        catalog, _ = prepared_dataset(wanted, say=lambda _: None)
        seen += catalog.samples
        rows.append([f"{coverage:g}", *_scores(evaluate_network(task, network, catalog.samples).metrics)])
    rows.append(["all", *_scores(evaluate_network(task, network, seen).metrics)])
    print(as_markdown((["covered by cells, mean", *SHOWN], rows)))


def _scores(metrics: dict[str, float]) -> list[str]:
    return [f"{metrics[name]:.3f}" for name in SHOWN]


if __name__ == "__main__":
    main()
