"""Scores a model of nuclei on images as they are, under fourteen changes, and on fields without a nucleus.

    PYTHONPATH=src python benchmarks/robustness.py --model RUN_ID|models:/nuclei@champion [--modality all]
        [--split test|val] [--limit 20] [--seed 7] [--only "zoom 0.5" "half dimmed" ...] [--prepared FOLDER]
        [--out scratch/robustness]
    PYTHONPATH=src python benchmarks/robustness.py --sheet sheet.png

The first form prints a table and writes it as `robustness.csv` in the folder of `--out`. `perturbations` says what
each change does. AP50, recall and precision are over the nuclei of all images together (pooled), at IoU 0.5; the count
ratio is found nuclei / true nuclei; the share is AP50 / AP50 of the same images unchanged. Images to be enlarged are
cut to their centre first, to 512 px for zoom 2 and 256 px for zoom 4; their share refers to the same centres unchanged,
which have rows of their own. For empty fields, `--fields` images of 512 px per kind, the table tells how many nuclei
were found in all. `--limit` draws that many images by the seed.

The second form needs no model: it draws one test image under every change, with the outlines of its labels, and one
empty field of each kind.

Images are those of the test split of the prepared data set, which is made if needed, or with `--split val` those for
validation, by which settings may be chosen; `--prepared` names the folder of one that exists. Everything random follows
from `--seed`, the name of the change and the image: rows do not depend on which others are asked for.
"""

from __future__ import annotations

import argparse
import sys
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from perturbations import EMPTY_FIELDS, PERTURBATIONS, Perturbation, centre, unchanged

from nanonuclei.data.catalog import SampleRef, load_catalog
from nanonuclei.data.modality import MODALITIES
from nanonuclei.drawing.pictures import for_display, outlined
from nanonuclei.drawing.tables import MISSING
from nanonuclei.errors import ConfigError, DataError, NanonucleiError, nearest_name
from nanonuclei.imaging.matching import MatchCounts, match_counts
from nanonuclei.imaging.types import Image, Labels
from nanonuclei.report.compare_tables import as_markdown
from nanonuclei.stages.prepare import prepared_dataset
from nanonuclei.stages.settings import Choices, resolve

FIELD_SIZE = 512
"""Side of an empty field, px."""
TILE = 256
"""Side of a picture of the contact sheet, px."""
FILE = "robustness.csv"

Finder = Callable[[Image], Labels]
"""An image ``(height, width)`` or ``(height, width, 3)``, uint8 or uint16, to its label map ``(height, width)``."""


def finder(model: str) -> Finder:
    """Returns a stored model as a function from an image to its nuclei, computed as it is served.

    Args:
        model: See `serving.named.find_model`: ``nuclei``, which comes along, a run's id, a URI, or a folder.

    Raises:
        ConfigError: It is not a model of nuclei.
        TrackingError: There is no such run or model.
    """
    from nanonuclei.serving.named import open_model
    from nanonuclei.stages.places import PARAMS
    from nanonuclei.tasks import create_reader

    opened = open_model(model, settings={}, missing_from=PARAMS)
    config, network = opened.config, opened.network
    if config.task != "nuclei":
        raise ConfigError(f"the model must be one of nuclei, but {model} is one of {config.task}. Name another model")
    reader = create_reader(config)

    def find(image: Image) -> Labels:
        score_map = next(reader.score_maps(network, [reader.network_input(image)]))
        return reader.instances(score_map, (image.shape[0], image.shape[1])).pixels()

    return find


def chosen(samples: Sequence[SampleRef], *, modality: str, limit: int, seed: int) -> list[SampleRef]:
    """Returns the samples of a modality (or ``all``), or `limit` of them drawn by the seed, in their order.

    Raises:
        DataError: There is none.
    """
    own = [sample for sample in samples if modality in ("all", sample.modality)]
    if not own:
        raise DataError(f"at least one image must be of modality {modality}, got none. Take --modality all")
    if not 0 < limit < len(own):
        return own
    drawn = np.random.default_rng(seed).choice(len(own), limit, replace=False)
    return [own[place] for place in sorted(drawn)]


def generator(seed: int, *names: str) -> np.random.Generator:
    """Returns the random generator of one change of one image."""
    return np.random.default_rng([seed, *(zlib.crc32(name.encode()) for name in names)])


def counts(
    find: Finder, perturbation: Perturbation, samples: Sequence[SampleRef], *, name: str, seed: int
) -> MatchCounts:
    """Changes every sample, finds its nuclei and returns the sums of matches at IoU 0.5."""
    per_image = []
    for sample in samples:
        image, labels = perturbation(sample.image(), sample.labels(), generator(seed, name, sample.sample_id))
        per_image.append(match_counts(labels, find(image), (0.5,)))
    return sum(per_image[1:], per_image[0])


def planned(names: Sequence[str]) -> dict[str, Perturbation]:
    """Returns the rows that are asked for, with the unchanged images and centres that their shares refer to."""
    rows = {name: PERTURBATIONS[name] for name in PERTURBATIONS if name in names}
    crops = sorted({row.crop for row in rows.values()})
    references = {_reference(crop): Perturbation(unchanged, crop) for crop in crops}
    return references | rows


def changes_table(find: Finder, samples: Sequence[SampleRef], *, names: Sequence[str], seed: int) -> pd.DataFrame:
    """Returns a row per change: kind, name, images, true and found nuclei, scores, count ratio, share."""
    rows: list[dict[str, object]] = []
    unchanged_scores: dict[int, float] = {}
    for name, perturbation in planned(names).items():
        summed = counts(find, perturbation, samples, name=name, seed=seed)
        score = summed.matchings()[0]
        reference = unchanged_scores.setdefault(perturbation.crop, score.accuracy)
        rows.append(
            {
                "kind": "change",
                "name": name,
                "images": len(samples),
                "true": summed.n_true,
                "found": summed.n_pred,
                "ap50": score.accuracy,
                "recall": score.recall,
                "precision": score.precision,
                "count_ratio": summed.n_pred / summed.n_true if summed.n_true else float("nan"),
                "share": score.accuracy / reference if reference else float("nan"),
            }
        )
        print(f"{name}: AP50 {score.accuracy:.3f}, {summed.n_pred} found of {summed.n_true}", flush=True)
    return pd.DataFrame(rows)


def fields_table(find: Finder, *, num_fields: int, seed: int) -> pd.DataFrame:
    """Returns a row per kind of empty field: images, and nuclei found in all of them."""
    rows = []
    for name, draw in EMPTY_FIELDS.items():
        images = [draw(FIELD_SIZE, generator(seed, name, str(number))) for number in range(num_fields)]
        found = sum(len(np.unique(labels[labels > 0])) for labels in map(find, images))
        rows.append({"kind": "empty field", "name": name, "images": num_fields, "true": 0, "found": found})
    return pd.DataFrame(rows)


def markdown(table: pd.DataFrame) -> str:
    """Returns the rows of one kind as a table in Markdown."""
    header = ["empty field", "images", "nuclei found"]
    if table["kind"].iloc[0] == "empty field":
        return as_markdown((header, [[r["name"], str(r["images"]), str(r["found"])] for r in table.to_dict("records")]))
    header = ["change", "images", "nuclei", "AP50", "recall", "precision", "count ratio", "share of unchanged"]
    columns = ("ap50", "recall", "precision", "count_ratio", "share")
    cells = [
        [row["name"], str(row["images"]), str(row["true"]), *(_number(row[column]) for column in columns)]
        for row in table.to_dict("records")
    ]
    return as_markdown((header, cells))


def contact_sheet(sample: SampleRef, *, seed: int) -> Image:
    """Draws one sample under every change, outlined, and an empty field of each kind: RGB, six pictures in a row."""
    pictures = []
    for name, perturbation in PERTURBATIONS.items():
        image, labels = perturbation(sample.image(), sample.labels(), generator(seed, name, sample.sample_id))
        pictures.append(_picture(outlined(for_display(image, size=max(labels.shape)), labels), name))
        if name == "half dimmed":  # outlines hide what becomes of dim nuclei
            pictures.append(_picture(for_display(image, size=max(labels.shape)), "half dimmed, no outlines"))
    for name, draw in EMPTY_FIELDS.items():
        pictures.append(_picture(for_display(draw(FIELD_SIZE, generator(seed, name, "0")), size=FIELD_SIZE), name))
    pictures += [np.zeros_like(pictures[0])] * (-len(pictures) % 6)
    return np.vstack([np.hstack(pictures[start : start + 6]) for start in range(0, len(pictures), 6)])


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Writes a table under a temporary name, then renames it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    table.to_csv(partial, index=False)
    partial.replace(path)


def _number(value: float) -> str:
    return f"{value:.3f}" if np.isfinite(value) else MISSING


def _reference(crop: int) -> str:
    return f"unchanged, centre of {crop} px" if crop else "unchanged"


def _picture(image: Image, title: str) -> Image:
    part, _ = centre(image, np.zeros(image.shape[:2], np.uint8), 2 * TILE)
    method = cv2.INTER_AREA if max(part.shape[:2]) > TILE else cv2.INTER_NEAREST
    scale = TILE / max(part.shape[:2])
    small = cv2.resize(part, None, fx=scale, fy=scale, interpolation=method)
    picture = np.zeros((TILE + 24, TILE + 4, 3), np.uint8)
    picture[24 : 24 + small.shape[0], : small.shape[1]] = small
    cv2.putText(picture, title, (4, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA)
    return picture


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a run's id, a model's URI, or the folder of a logged model")
    parser.add_argument("--modality", default="fluorescence", choices=["all", *MODALITIES], help="(%(default)s)")
    parser.add_argument("--split", default="test", choices=["test", "val"], help="(%(default)s)")
    parser.add_argument("--limit", type=int, default=0, help="images that are drawn by the seed; 0: all (%(default)s)")
    parser.add_argument("--seed", type=int, default=7, help="of everything random (%(default)s)")
    parser.add_argument("--only", nargs="*", default=list(PERTURBATIONS), metavar="CHANGE", help="changes to score")
    parser.add_argument("--fields", type=int, default=4, help="empty fields of each kind; 0: none (%(default)s)")
    parser.add_argument("--prepared", type=Path, help="folder of a prepared data set (default: of params.yaml)")
    parser.add_argument("--out", type=Path, default=Path("scratch/robustness"), help="folder of the table")
    parser.add_argument("--sheet", type=Path, metavar="PNG", help="draw the changes of one image, and end")
    options = parser.parse_args()
    if not options.model and not options.sheet:
        parser.error("give --model to score one, or --sheet to look at the changes")
    return options


def run(options: argparse.Namespace) -> None:
    """Draws the contact sheet, or scores the model.

    Raises:
        NanonucleiError: The model, the images or a change are not there.
    """
    unknown = [name for name in options.only if name not in PERTURBATIONS]
    if unknown:
        hint = nearest_name(unknown[0], PERTURBATIONS)
        raise ConfigError(f"--only must name changes of the table, got {unknown[0]!r}. {hint}")
    catalog = load_catalog(options.prepared) if options.prepared else prepared_dataset(resolve(Choices("nuclei")))[0]
    samples = chosen(catalog.split(options.split), modality=options.modality, limit=options.limit, seed=options.seed)
    if options.sheet:
        fullest = max(samples, key=lambda sample: sample.num_objects if sample.num_objects < 60 else 0)
        cv2.imwrite(str(options.sheet), cv2.cvtColor(contact_sheet(fullest, seed=options.seed), cv2.COLOR_RGB2BGR))
        return
    find = finder(options.model)
    tables = [changes_table(find, samples, names=options.only, seed=options.seed)]
    if options.fields:
        tables.append(fields_table(find, num_fields=options.fields, seed=options.seed))
    write_csv(pd.concat(tables, ignore_index=True), options.out / FILE)
    print(f"\n{len(samples)} images for {options.split} ({options.modality}), model {options.model}")
    for table in tables:
        print(f"\n{markdown(table)}")


def main() -> None:
    try:
        run(_options())
    except NanonucleiError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
