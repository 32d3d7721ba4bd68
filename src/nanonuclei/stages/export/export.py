"""Export: a trained model becomes a package that tools of others read."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.errors import TrackingError
from nanonuclei.invocation import option
from nanonuclei.serving.folder import ONNX, stored_config
from nanonuclei.serving.named import NamedModel, find_model, is_run, is_uri
from nanonuclei.serving.shipped.provenance import (
    CARD,
    FORMAT,
    PROVENANCE,
    Provenance,
    read_provenance,
    settings_digest,
)
from nanonuclei.stages.export.bioimageio import check_package, describe, write_package
from nanonuclei.stages.export.contents import SETTINGS, write_contents
from nanonuclei.stages.export.readme import readme
from nanonuclei.stages.export.request import Publication
from nanonuclei.tasks import create_exchange, create_reader
from nanonuclei.writing import whole_file


def export(
    reference: str,
    output: Path,
    *,
    publication: Publication | None = None,
    say: Callable[[str], None] = print,
) -> Path:
    """Writes a model as a package of bioimage.io, which has passed that project's own test.

    Args:
        reference: See `serving.named.find_model`.
        output: The zip to make; it appears when the package has passed the test.
        publication: Authors and licence.
        say: Told what the user should read.

    Returns:
        The zip.

    Raises:
        ExportError: The package does not pass the test, or cannot be described in the format.
        DataError: The output cannot be written, or the model was changed.
        TrackingError: There is no such model, or nothing that predicts in it.
    """
    named, publication = find_model(reference), publication or Publication()
    if not (named.folder / ONNX).is_file() or not (named.folder / SETTINGS).is_file():
        raise TrackingError(f"{reference} must hold {ONNX} and {SETTINGS}, but does not. Name another model")
    config = stored_config(named.folder / SETTINGS)
    made = _provenance(named, config)
    cautions, exchange = create_reader(config).cautions, create_exchange(config)
    with tempfile.TemporaryDirectory(prefix="nanonuclei-export-") as name:
        folder = Path(name) / "package"
        folder.mkdir()
        contents = write_contents(config, named.folder, folder)
        text = readme(
            contents,
            config,
            publication=publication,
            provenance=made,
            cautions=cautions,
            metric_names=exchange.metric_names,
        )
        (folder / CARD).write_text(text, encoding="utf-8")
        description = describe(contents, config, publication=publication, provenance=made, cautions=cautions)
        package = Path(name) / "package.zip"
        write_package(description, package)
        check_package(package)
        with whole_file(output.resolve()) as partial:
            shutil.copyfile(package, partial)
    for line in contents.left_out:
        say(f"Left out: {line}")
    if not publication.authors or not publication.licence:
        say(
            "The zoo asks for authors and a licence: add "
            f"{option('authors', 'NAMES')} {option('licence', 'CC-BY-4.0')}."
        )
    say(
        f"{output}: {config.task}, {output.stat().st_size / 1e6:.1f} MB, format {description.format_version}, passes "
        f"`bioimageio test` with {', '.join(description.weights.available_formats)}."
    )
    return output


def _provenance(named: NamedModel, config: ExperimentConfig) -> Provenance | None:
    """Returns what made a model: as it was shipped, as its run tells, or None for a folder that tells nothing."""
    if named.provenance is not None:
        return named.provenance
    if (named.folder / PROVENANCE).is_file():
        return read_provenance(named.folder)
    if not (is_uri(named.name) or is_run(named.name)):
        return None
    from nanonuclei.stages.shipped.made import data_of, scores_of, training_of
    from nanonuclei.tracking.origin.lineage import recorded_facts, run_of

    run_id = run_of(named.name)
    recorded = recorded_facts(run_id)
    return Provenance(
        format=FORMAT,
        task=config.task,
        files={},
        settings=settings_digest(named.folder / SETTINGS),
        half_difference=0.0,
        data=data_of(config, recorded),
        training=training_of(config, recorded),
        scores=scores_of(run_id),
    )
