"""StarDist on our fluorescence images, for a given time on this machine, scored by our matching beside our own runs.

    PYTHONPATH=src python benchmarks/stardist_peer.py [--minutes 45] [--seeds 1 2] [--ours RUN_ID RUN_ID]
    PYTHONPATH=src python benchmarks/stardist_peer.py --check

StarDist 0.9.2 runs in an environment of its own, which this script makes (`scratch/stardist/env`, by uv). It trains on
the fluorescence images of our training split, tunes its thresholds on those of our validation split, and predicts
those of our test split. Finished folders (`scratch/stardist/seed-1`) predict again without training. `--ours` names
runs of our training, or of the pipeline's evaluation; their models then predict the same images, one at a time, with
the windows of `params.yaml` and in the precision that they choose for this machine, so that times compare.

What comes out: pooled AP by IoU threshold, its mean over 0.5:0.1:0.9, training minutes, seconds per megapixel.
`--check` compares our matching with `stardist.matching` on random label images instead.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nanonuclei.data.catalog import Catalog, SampleRef
from nanonuclei.imaging.matching import matching, matching_dataset
from nanonuclei.stages.prepare import prepared_dataset
from nanonuclei.stages.settings import Choices, resolve

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)
CHECKED = (0.1, 0.3, 0.5, 0.6, 0.75, 0.9, 1.0)
SUMS = ("mean_true_score", "mean_matched_score", "panoptic_quality")
FOLDER = Path("scratch/stardist")
PACKAGES = ("stardist==0.9.2", "tensorflow==2.21.0", "tensorboard==2.21.0", "setuptools==84.2.1")
MODALITY = "fluorescence"
EPOCHS = 60
"""Of 100 batches; more than fit into 45 minutes on two cores, so that the time decides."""


def environment() -> Path:
    """Makes StarDist's environment where it is not there and returns its Python."""
    python = FOLDER / "env" / "bin" / "python"
    if not python.exists():
        subprocess.run(["uv", "venv", "--python", "3.11", str(FOLDER / "env")], check=True)
        subprocess.run(["uv", "pip", "install", "--python", str(python), *PACKAGES], check=True)
    return python.absolute()


def stardist(catalog: Catalog, *, seed: int, minutes: float) -> Path:
    """Trains, unless that was done before, predicts, and returns the folder that holds the result."""
    folder = FOLDER / f"seed-{seed}"
    if not (folder / "result.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        pairs = {
            split: [[str(s.image_path.absolute()), str(s.labels_path.absolute())] for s in chosen(catalog, split)]
            for split in ("train", "val", "test")
        }
        manifest = {"seed": seed, "minutes": minutes, "epochs": EPOCHS, **pairs}
        (folder / "manifest.json").write_text(json.dumps(manifest))
    worker = Path(__file__).with_name("stardist_worker.py")
    subprocess.run([str(environment()), str(worker), str(folder)], check=True)
    return folder


def chosen(catalog: Catalog, split: str) -> list[SampleRef]:
    """Returns the fluorescence images of a split."""
    return [sample for sample in catalog.split(split) if sample.modality == MODALITY]


def ours(run: str, samples: Sequence[SampleRef]) -> tuple[list[np.ndarray], dict[str, float]]:
    """Predicts one image after the other with a run's model, as `predict` does; returns labels, minutes, speed."""
    from nanonuclei.config.params import flatten, load_experiment
    from nanonuclei.engine.networks import inference_precision, network_of
    from nanonuclei.imaging.instances import Instances
    from nanonuclei.serving.store import load_trained
    from nanonuclei.stages.places import PARAMS
    from nanonuclei.tasks import create_task
    from nanonuclei.tracking.runs import existing_run

    trained = existing_run(run)
    windows = flatten(load_experiment("nuclei", path=PARAMS).windows.model_dump(), above="windows.")
    config, model = load_trained(trained, settings=windows, missing_from=PARAMS)
    print(f"run {run[:8]} predicts in {inference_precision(config)}")
    task = create_task(config)
    network = network_of(task, model)

    def found_in(image: np.ndarray) -> Instances:
        return task.instances(next(iter(task.score_maps(network, [task.network_input(image)]))))

    images = [sample.image() for sample in samples]
    for image in {image.shape: image for image in images}.values():
        found_in(image)  # what is made once per shape is made here
    found, seconds = [], 0.0
    for image in images:
        started = time.perf_counter()
        found.append(np.asarray(found_in(image).labels))
        seconds += time.perf_counter() - started
    megapixels = sum(image.shape[0] * image.shape[1] for image in images) / 1e6
    fitted = existing_run(trained.data.tags.get("lineage.upstream.train", run))
    minutes = fitted.data.metrics["train_seconds"] / 60
    return found, {"minutes": minutes, "seconds_per_megapixel": seconds / megapixels}


def check(pairs: int = 200) -> str:
    """Compares every number of our matching with StarDist's on random label images of several kinds."""
    rng = np.random.default_rng(0)
    images = {}
    for number in range(pairs):
        shape = tuple(rng.integers(1, 40, 2))
        true = rng.integers(0, rng.integers(1, 12) + 1, shape)
        noise = rng.integers(0, rng.integers(1, 12) + 1, shape)
        images[f"{number}-true"] = true.astype(np.int32)
        images[f"{number}-pred"] = np.where(rng.random(shape) < rng.random(), true, noise).astype(np.int32)
    folder = FOLDER / "check"
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "pairs.npz", **images)
    worker = Path(__file__).with_name("stardist_worker.py")
    subprocess.run([str(environment()), str(worker), str(folder)], check=True)
    theirs = json.loads((folder / "matching.json").read_text())
    true, pred = ([images[f"{number}-{kind}"] for number in range(pairs)] for kind in ("true", "pred"))
    sets = {
        "single": [m for pair in zip(true, pred, strict=True) for m in matching(*pair, CHECKED)],
        "pooled": matching_dataset(true, pred, CHECKED),
        "by_image": matching_dataset(true, pred, CHECKED, by_image=True),
    }
    rows = [
        (key, value, getattr(result, key))
        for name, results in sets.items()
        for result, expected in zip(results, theirs[name], strict=True)
        for key, value in expected.items()
    ]
    counts = [abs(expected - value) for key, expected, value in rows if key not in SUMS]
    sums = [abs(expected - value) / max(expected, 1e-9) for key, expected, value in rows if key in SUMS]
    return (
        f"{pairs} pairs at IoU {', '.join(map(str, CHECKED))}: of {len(counts)} counts and ratios of counts "
        f"{np.count_nonzero(counts)} differ; {len(sums)} ratios of sums of IoUs, which StarDist takes in float32 and "
        f"we in float64, differ by {max(sums):.1e} of their value at most"
    )


def row(name: str, truth: list[np.ndarray], found: list[np.ndarray], facts: dict[str, float]) -> str:
    """Returns a line of the table."""
    scores = [m.accuracy for m in matching_dataset(truth, found, THRESHOLDS)]
    cells = [f"{score:.3f}" for score in (*scores, float(np.mean(scores)))]
    return f"| {name} | {facts['minutes']:.1f} | " + " | ".join(cells) + f" | {facts['seconds_per_megapixel']:.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=45.0, help="of training (%(default)s)")
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2], help="of StarDist's trainings")
    parser.add_argument("--ours", nargs="*", default=[], metavar="RUN_ID", help="runs of our training")
    parser.add_argument("--check", action="store_true", help="compare our matching with StarDist's, and end")
    options = parser.parse_args()
    if options.check:
        print(check())
        return
    catalog, _ = prepared_dataset(resolve(Choices("nuclei", "dsb2018")))
    samples = chosen(catalog, "test")
    truth = [sample.labels().astype(np.int32) for sample in samples]
    lines = []
    for seed in options.seeds:
        folder = stardist(catalog, seed=seed, minutes=options.minutes)
        result = json.loads((folder / "result.json").read_text())
        with np.load(folder / "labels.npz") as stored:
            found = [stored[name] for name in stored.files]
        speed = json.loads((folder / "speed.json").read_text())
        facts = {"minutes": result["train_seconds"] / 60, **speed}
        lines.append(row(f"StarDist, seed {seed}, {result['steps']} steps", truth, found, facts))
    for run in options.ours:
        found, facts = ours(run, samples)
        lines.append(row(f"ours, run {run[:8]}", truth, found, facts))
    print(f"\n{len(samples)} {MODALITY} images of the test split\n")
    print("| | minutes | AP50 | AP60 | AP70 | AP80 | AP90 | mean | s per megapixel |")
    print("|---|---|---|---|---|---|---|---|---|")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
