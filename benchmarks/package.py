"""Do other tools find the same objects? Compares an exported package with the program of its model on test images.

    PYTHONPATH=src python benchmarks/package.py MODEL PACKAGE [--every 3]

MODEL is named as `predict` names it, PACKAGE is what `export` wrote of it. Needs the dataset of the model. Counts the
objects that four ways find in the test images: the program as it is, the program where it looks once, the package
through bioimageio.core, and the steps of the macro for Fiji on the package's scores. The last three see images whose
sides are cut to what the package takes.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from watershed_twin import twin

from nanonuclei.config.params import flatten, with_settings
from nanonuclei.serving.named import open_model
from nanonuclei.stages.export.contents import fitted
from nanonuclei.stages.export.mended import mend
from nanonuclei.stages.prepare import prepared_dataset
from nanonuclei.tasks import create_exchange, create_reader
from nanonuclei.tasks.exchange import Sizes

WAYS = ("program", "program, one look", "package", "macro's steps")


def thresholds(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the thresholds of the macro."""
    return {
        "threshold": settings["instances.threshold"],
        "seed": settings["instances.seed_threshold"],
        "least_core": 3,
        "least_area": max(1, settings["instances.min_area"]),
        "least_score": settings["instances.min_score"],
    }


def pipeline_of(package: Path) -> Any:
    """Returns what runs a package, of bioimageio.core."""
    from bioimageio.core import create_prediction_pipeline
    from bioimageio.spec import load_model_description

    mend()
    return create_prediction_pipeline(load_model_description(package), weight_format="onnx")


def answers_of(pipeline: Any, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the output ``(height, width, channels)`` of a package before and after its read-out.

    Args:
        pipeline: Of `pipeline_of`.
        image: ``(height, width, channels)``.
    """
    from bioimageio.core.digest_spec import create_sample_for_model

    sample = create_sample_for_model(pipeline.model_description, inputs=image[None].astype(np.float32))
    answer = pipeline.predict_sample_without_blocking(sample, skip_postprocessing=True)
    (name,) = answer.members
    maps = answer.members[name].data.to_numpy()[0].copy()
    pipeline.apply_postprocessing(answer)
    return maps, answer.members[name].data.to_numpy()[0]


def main(model: str, package: Path, *, every: int) -> None:
    """Prints one row per way."""
    opened = open_model(model)
    config = opened.config
    exchange, once = create_exchange(config), with_settings(config, {"windows.diameter": "none"})
    reader, looks_once = create_reader(config), create_reader(once)
    pipeline, settings = pipeline_of(package), thresholds(flatten(config))
    size = pipeline.model_description.inputs[0].axes[1].size
    sizes = Sizes(size.min, size.step)
    catalog, _ = prepared_dataset(config)
    samples = [sample for sample in catalog.samples if sample.split == "test"][::every]
    counts, equal = np.zeros((len(samples), len(WAYS)), int), 0.0
    for row, sample in enumerate(samples):
        image = fitted(sample.image(), sizes)
        (whole,), (ours,) = (
            [one.instances(next(iter(one.score_maps(opened.network, [one.network_input(shown)]))), shown.shape[:2])]
            for one, shown in ((reader, sample.image()), (looks_once, image))
        )
        maps, read = answers_of(pipeline, exchange.shown(image))
        labels = read[..., 0].astype(np.int32)
        counts[row] = len(whole), len(ours), labels.max(), twin(maps[..., :2], **settings).max()
        equal += float((labels == ours.pixels()).mean())
    print(f"{len(samples)} test images, split {catalog.fingerprint}")
    for way, column in zip(WAYS, counts.T, strict=True):
        print(f"{way:18} {column.sum():6} objects, counts equal to one look in {(column == counts[:, 1]).sum()} images")
    print(f"pixels of the package equal to one look: {equal / len(samples):.6f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("package", type=Path)
    parser.add_argument("--every", type=int, default=1, help="take one test image of so many")
    chosen = parser.parse_args()
    main(chosen.model, chosen.package, every=chosen.every)
