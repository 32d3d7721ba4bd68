"""Describes a package in the format of bioimage.io, and checks it with that project's own program."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.config.shared import NormalizeConfig
from nanonuclei.errors import ExportError
from nanonuclei.serving.shipped.provenance import CARD, Provenance, file_sha256
from nanonuclei.stages.export.contents import BUNDLE, COVER, INPUT, OPERATOR, OUTPUT, WEIGHTS, Contents
from nanonuclei.stages.export.mended import mend
from nanonuclei.stages.export.request import Publication
from nanonuclei.tasks.exchange import Output, Sizes

LEAST_DIFFERENCE = 1e-10
"""Added to the distance of two percentiles by the format; the least that changes no grey value of an image."""

MISMATCHED = 1000
"""Numbers of a million that may differ on another machine: a pixel at the edge of an object."""

RANGE = 255.0
"""Grey value of an image of 8 bit that becomes 1 where grey values are not scaled by percentiles."""


def describe(
    contents: Contents,
    config: ExperimentConfig,
    *,
    publication: Publication,
    provenance: Provenance | None,
    cautions: Sequence[str],
) -> Any:
    """Returns the description of a package, a `bioimageio.spec.model.v0_5.ModelDescr`.

    Raises:
        ExportError: A name or the licence is not one that the format takes.
    """
    from bioimageio.spec.model import v0_5

    mend()

    described, folder = contents.described, contents.folder
    tree: dict[str, Any] = {
        "type": "model",
        "format_version": v0_5.ModelDescr.implemented_format_version,
        "name": f"nanonuclei {config.task}",
        "description": f"Finds {' and '.join(described.structures) or config.task} in images of 2D microscopy.",
        "authors": [{"name": name} for name in publication.authors],
        "cite": [{"text": cite.text, "doi": cite.doi} for cite in described.cites],
        "tags": [*described.structures, *([described.kind] if described.kind else []), "2d", "microscopy"],
        "covers": [_file(folder / COVER)],
        "documentation": _file(folder / CARD),
        "attachments": [_file(folder / name) for name in contents.attached],
        "inputs": [_input(described.colours, described.sizes, config.normalize, folder)],  # type: ignore[attr-defined]
        "outputs": [_output(described.output, described.sizes, folder)],
        "weights": _weights(contents),
        "config": {
            "bioimageio": {
                "reproducibility_tolerance": [{"mismatched_elements_per_million": MISMATCHED}],
                "target_structure": list(described.structures),
                "task": described.kind or None,
                "bias_risks_limitations": {"limitations": "\n".join(f"* {line}" for line in cautions)},
                **({"training": _training(provenance)} if provenance else {}),
            },
            "nanonuclei": _lineage(provenance),
        },
        **({"license": publication.licence} if publication.licence else {}),
    }
    try:
        return v0_5.ModelDescr.model_validate(tree)
    except ValidationError as error:
        raise ExportError(_told(error)) from error


def write_package(description: Any, path: Path) -> None:
    """Writes a package as a zip."""
    from bioimageio.spec import save_bioimageio_package

    mend()

    save_bioimageio_package(description, output_path=path)


def check_package(path: Path) -> None:
    """Makes sure that a written package passes what ``bioimageio test`` checks.

    Raises:
        ExportError: It does not.
    """
    from bioimageio.core import test_description

    mend()

    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        summary = test_description(path, working_dir=Path(name) / "work")
    if summary.status != "passed":
        errors = [error.msg for detail in summary.details for error in detail.errors]
        raise ExportError(
            f"a package must pass `bioimageio test`, but it does not: {' '.join('; '.join(errors).split())[:400]}. "
            "Install the versions of bioimageio.spec and bioimageio.core that the lock holds"
        )


def _file(path: Path) -> dict[str, str]:
    return {"source": str(path), "sha256": file_sha256(path)}


def _input(colours: Sequence[str], sizes: Sizes, scaling: NormalizeConfig, folder: Path) -> dict[str, Any]:
    side = {"min": sizes.least, "step": sizes.step}
    return {
        "id": INPUT,
        "description": "Grey values as the microscope gave them; grey images three times" if len(colours) > 1 else "",
        "axes": [
            {"type": "batch"},
            {"type": "space", "id": "y", "size": side},
            {"type": "space", "id": "x", "size": side},
            {"type": "channel", "channel_names": list(colours)},
        ],
        "data": {"type": "float32" if scaling.kind == "percentile" else "uint8"},
        "test_tensor": _file(folder / f"test_{INPUT}.npy"),
        "sample_tensor": _file(folder / f"sample_{INPUT}.png"),
        "preprocessing": list(_scaling(scaling)),
    }


def _scaling(scaling: NormalizeConfig) -> list[dict[str, Any]]:
    """Returns the model's own scaling of grey values: of each whole image, all pixels and channels together."""
    if scaling.kind == "percentile":
        values = {
            "axes": ["y", "x", "channel"],
            "min_percentile": scaling.low,
            "max_percentile": scaling.high,
            "eps": LEAST_DIFFERENCE,
        }
        first = {"id": "scale_range", "kwargs": values}
    else:
        first = {"id": "scale_linear", "kwargs": {"gain": 1.0 / RANGE, "offset": 0.0}}
    floats = {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}}
    return [floats, first, {"id": "clip", "kwargs": {"min": 0.0, "max": 1.0}}, floats]


def _output(output: Output, sizes: Sizes, folder: Path) -> dict[str, Any]:
    operator = output.operator
    channels = operator.channels if operator else [channel.name for channel in output.channels]
    sides = [
        {
            "type": "space",
            "id": axis,
            "size": {"tensor_id": INPUT, "axis_id": axis, "offset": -sizes.lost},
            "scale": float(sizes.stride),
        }
        for axis in ("y", "x")
    ]
    own = {"id": "custom", "callable": operator.name, "kwargs": dict(operator.settings)} if operator else {}
    return {
        "id": output.name,
        "description": output.description,
        "axes": [{"type": "batch"}, *sides, {"type": "channel", "channel_names": list(channels)}],
        "data": {"type": "float32"},
        "test_tensor": _file(folder / f"test_{OUTPUT}.npy"),
        "sample_tensor": _file(folder / f"sample_{OUTPUT}.tif"),
        "postprocessing": [{**own, **_file(folder / OPERATOR)}] if operator else [],
    }


def _weights(contents: Contents) -> dict[str, Any]:
    weights: dict[str, Any] = {"onnx": {**_file(contents.folder / WEIGHTS), "opset_version": contents.opset}}
    if contents.has_bundle:
        from nanonuclei.engine.saved_model import tensorflow_version

        weights["tensorflow_saved_model_bundle"] = {
            **_file(contents.folder / BUNDLE),
            "tensorflow_version": tensorflow_version(),
            "parent": "onnx",
            "comment": "Written from the network of Keras from which the ONNX weights were written too.",
        }
    return weights


def _training(made: Provenance) -> dict[str, Any]:
    return {
        "training_epochs": float(made.training.epochs),
        "training_duration": round(made.training.seconds / 3600, 3),
    }


def _lineage(made: Provenance | None) -> dict[str, Any]:
    if made is None:
        return {"known": False}
    lineage: Mapping[str, Any] = {
        "run": made.training.run,
        "commit": made.training.commit,
        "changed_after_commit": made.training.dirty,
        "dataset": made.data.name,
        "dataset_md5": made.data.md5,
        "split": made.data.split,
        "settings_sha256": made.settings,
    }
    return {"known": True, **lineage}


def _told(error: ValidationError) -> str:
    """Returns the first mistake on one line."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"] if isinstance(part, str | int))
    if "license" in place:
        return (
            f"licence must be an SPDX identifier such as CC-BY-4.0, CC0-1.0 or MIT, got {first['input']!r}. Correct it"
        )
    return f"bioimage.io does not take {place or 'the description'}: {first['msg']} (got {str(first['input'])[:80]!r})"
