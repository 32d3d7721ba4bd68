"""Writes the fingerprint of the training images into the folder of a model that was shipped without one.

    PYTHONPATH=src python benchmarks/fingerprint.py PREPARED models/nuclei

PREPARED is a folder of prepared images, of the split that the model was trained on. Models that are trained since have
their fingerprint from their run. Prints how many images of the other splits look unlike the training images.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from nanonuclei.data.catalog import load_catalog
from nanonuclei.data.fingerprint import measure_samples, read_fingerprint, sample_measures, write_fingerprint
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
    looks = measure_samples(catalog.split("train"), reader.network_input, dataset=catalog.name)
    write_fingerprint(looks, given.model)
    made = made.model_copy(update={"files": folder_sha256(given.model)})
    write_text(given.model / PROVENANCE, made.model_dump_json(indent=1) + "\n")
    stored = read_fingerprint(given.model)
    for split in ("val", "test"):
        samples = catalog.split(split)
        told = [stored.unlike(sample_measures(sample, reader.network_input)) for sample in samples] if stored else []
        print(
            f"{split}: {sum(map(bool, told))} of {len(samples)} images look unlike the {looks.num_images} of training"
        )


if __name__ == "__main__":
    main()
