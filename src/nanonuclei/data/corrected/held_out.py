"""Which corrected images are held out: decided when they are fetched, and kept when more come."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nanonuclei.counted import counted
from nanonuclei.errors import DataError

SPLITS = "splits.csv"
"""Table in the archive: ``sample_id, field, split``. It is written by `fetch`, so that images that were held out once
stay held out when more come."""

FEWEST = {"test": 2, "val": 1, "train": 1}
"""Fields of view of each split, at least: an interval needs two images that nothing was chosen on."""

SHARES = {"test": 0.2, "val": 0.1}
"""Shares of the fields of view that are held out for the comparison, and that say when a training ends."""

SEED = 7
"""Of the draw of what is held out."""


@dataclass(frozen=True)
class Dealing:
    """How many fields of view each split gets.

    Attributes:
        fewest: At least.
        shares: Of those that do not train.
        what: What messages add to "fields of view".
    """

    fewest: Mapping[str, int]
    shares: Mapping[str, float]
    what: str = ""


USUAL = Dealing(FEWEST, SHARES)
"""For images of which each holds many objects."""


def deal(
    ids: Sequence[str], fields: Sequence[int], before: Mapping[str, str], *, dealing: Dealing = USUAL
) -> list[str]:
    """Deals fields of view to the splits; those with an image that was dealt before stay where they were.

    Args:
        ids: Of the images.
        fields: Field of view of each.
        before: Split of images that were dealt before, by id.
        dealing: How many are held out.

    Raises:
        DataError: There are too few fields of view to hold some out.
    """
    fewest = dealing.fewest
    held: dict[int, str] = {}
    for one, field in zip(ids, fields, strict=True):
        if one in before:
            held.setdefault(field, before[one])
    waiting = sorted({field for field in fields if field not in held})
    number = len(set(fields))
    if number < sum(fewest.values()):
        raise DataError(
            f"{sum(fewest.values())} fields of view{dealing.what} are needed at least, so that {fewest['test']} can be "
            "held out to tell whether the model is better, and one says when to end: got "
            f"{counted(len(ids), 'image')} of {number}. Correct more images"
        )
    wanted = {split: max(fewest[split], round(share * number)) for split, share in dealing.shares.items()}
    for field in np.random.default_rng(SEED).permutation(np.array(waiting, np.int64)).tolist():
        lacking = [split for split, least in wanted.items() if list(held.values()).count(split) < least]
        held[field] = lacking[0] if lacking else "train"
    return [held[field] for field in fields]


def splits_table(dealt: Sequence[tuple[str, int, str]]) -> bytes:
    """Returns the table of ids, fields and splits as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["sample_id", "field", "split"])
    writer.writerows(sorted(dealt))
    return text.getvalue().encode()


def parse_splits(content: bytes) -> dict[str, tuple[int, str]]:
    """Returns field of view and split of each image by its id, of what `splits_table` made."""
    rows = csv.DictReader(io.StringIO(content.decode("utf-8")))
    return {row["sample_id"]: (int(row["field"]), row["split"]) for row in rows}
