"""Writes the fingerprint of the training images into the folder of a model that was shipped without one, or an older.

    PYTHONPATH=src python benchmarks/fingerprint.py PREPARED models/nuclei

PREPARED is a folder of prepared images, of the split that the model was trained on. Models that are trained since have
their fingerprint from their run. Prints how many images of the other splits look unlike the training images.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from nanonuclei.data.catalog import load_catalog
from nanonuclei.data.fingerprint.look import look_of
from nanonuclei.data.fingerprint.stored import FORMER_FILE, fingerprint_of, measure_samples, write_fingerprint
from nanonuclei.errors import DataError
from nanonuclei.serving.folder import CONFIG, stored_config
from nanonuclei.serving.shipped.provenance import PROVENANCE, folder_sha256, read_provenance
from nanonuclei.tasks import create_reader
from nanonuclei.writing import write_text


def main() -> None:
    """Measures the training images, writes the file, and brings the provenance's hashes up to date."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prepared", type=Path)
    parser.add_argument("model", type=Path)
    given = parser.parse_args()
    catalog, made = load_catalog(given.prepared), read_provenance(given.model)
    if catalog.split_fingerprint() != made.data.split:
        raise DataError(
            f"the images must be those of the model, split {made.data.split}, got {catalog.split_fingerprint()}. "
            "Prepare them with the settings of the model"
        )
    reader = create_reader(stored_config(given.model / CONFIG))
    measured = measure_samples((*catalog.split("train"), *catalog.split("val")), reader.network_input)
    write_fingerprint(measured, given.model, dataset=catalog.name)
    (given.model / FORMER_FILE).unlink(missing_ok=True)
    made = made.model_copy(update={"files": folder_sha256(given.model)})
    write_text(given.model / PROVENANCE, made.model_dump_json(indent=1) + "\n")
    looks = fingerprint_of(measured, dataset=catalog.name).looks
    for split in ("val", "test"):
        samples = catalog.split(split)
        told = [looks.unlike(look_of(reader.network_input(sample.image()))) for sample in samples]
        of = f"of {len(samples)} images look unlike the {len(looks.rows)} of training"
        print(f"{split}: {sum(map(bool, told))} {of}")


if __name__ == "__main__":
    main()
