"""Which images train, which choose and which judge: whole fields of view are dealt out, modality by modality."""

from __future__ import annotations

import zlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from nanonuclei.config.shared import SplitConfig
from nanonuclei.counted import counted
from nanonuclei.data.catalog import SPLITS
from nanonuclei.errors import DataError


def split_by_field(
    fields: Sequence[int] | NDArray[np.int64], modalities: Sequence[str], *, shares: SplitConfig, seed: int
) -> list[str]:
    """Deals whole fields of view to the splits.

    Each modality is dealt out by itself, so its images have the asked shares in every split as nearly as whole fields
    allow, and every split gets a field of each modality that has three or more. Where no modality has three, all are
    dealt out as one. A field's modality is the most frequent one of its images, the first by name where two are.

    The split depends on `seed`, on which images share a field, on their modalities, and on the order in which the
    fields appear, so pass images in a reproducible order, such as sorted by sample id. It does not depend on the
    numbers of the fields, nor on the order of the images within the fields.

    Args:
        fields: ``(n,)`` number of the field of view of each image.
        modalities: ``n`` names.
        shares: Share of the images per split.
        seed: Seed of the draw, 0 or more.

    Returns:
        ``n`` names out of `SPLITS`.

    Raises:
        DataError: There are fewer than three fields, or not one modality per image.
    """
    if len(fields) != len(modalities):
        raise DataError(
            f"each image needs one field and one modality: got {len(fields)} fields and {len(modalities)} modalities. "
            f"Pass one of each per image"
        )
    members: dict[int, list[int]] = defaultdict(list)
    for place, field in enumerate(fields):
        members[int(field)].append(place)
    if len(members) < len(SPLITS):
        raise DataError(
            f"train, val and test need a field of view each, so at least {len(SPLITS)}: got "
            f"{counted(len(fields), 'image')} of {counted(len(members), 'field')}. Add images of other fields of view"
        )
    strata: dict[str, list[int]] = defaultdict(list)
    for field, places in members.items():
        counts = Counter(modalities[place] for place in places)
        strata[min(counts, key=lambda name: (-counts[name], name))].append(field)
    if max(len(stratum) for stratum in strata.values()) < len(SPLITS):
        strata = {"": list(members)}
    splits = [""] * len(fields)
    for modality, stratum in strata.items():
        sizes = {field: len(members[field]) for field in stratum}
        rng = np.random.default_rng([seed, zlib.crc32(modality.encode())])
        for split, dealt in _deal(sizes, shares=shares, rng=rng).items():
            for field in dealt:
                for place in members[field]:
                    splits[place] = split
    return splits


def _deal(sizes: Mapping[int, int], *, shares: SplitConfig, rng: np.random.Generator) -> dict[str, list[int]]:
    """Deals fields of the given sizes in random order, each to the split that lacks most; then evens the splits out."""
    total = sum(sizes.values())
    lacks = {split: total * float(getattr(shares, split)) for split in SPLITS}
    dealt: dict[str, list[int]] = {split: [] for split in SPLITS}
    fields = list(sizes)
    for place in rng.permutation(len(fields)):
        field = fields[place]
        split = max(SPLITS, key=lambda name: lacks[name])
        dealt[split].append(field)
        lacks[split] -= sizes[field]
    if len(fields) >= len(SPLITS):
        for split in SPLITS:
            if not dealt[split]:
                giver = min((name for name in SPLITS if len(dealt[name]) > 1), key=lambda name: lacks[name])
                smallest = min(dealt[giver], key=lambda field: sizes[field])
                _exchange(dealt, lacks, sizes=sizes, between=(giver, split), moved=(smallest, None))
    while (better := _best_exchange(dealt, lacks, sizes=sizes)) is not None:
        _exchange(dealt, lacks, sizes=sizes, between=better[0], moved=better[1])
    return dealt


_Exchange = tuple[tuple[str, str], tuple[int, int | None]]


def _best_exchange(
    dealt: Mapping[str, Sequence[int]], lacks: Mapping[str, float], *, sizes: Mapping[int, int]
) -> _Exchange | None:
    """The move of a field to another split, or against a field of it, that evens the splits most; None where none does.

    Even means a small sum of squares of what the splits lack. One field stands for all of its size in a split.
    """
    by_size = {split: {sizes[field]: field for field in dealt[split]} for split in SPLITS}
    best, gain = None, 1e-6
    for giver, taker in permutations(SPLITS, 2):
        for size, field in by_size[giver].items():
            returns: list[tuple[int, int | None]] = list(by_size[taker].items())
            if len(dealt[giver]) > 1:
                returns.append((0, None))
            for size_back, back in returns:
                moved = size - size_back
                change = 2 * moved * (lacks[taker] - lacks[giver] - moved)
                if change > gain:
                    best, gain = ((giver, taker), (field, back)), change
    return best


def _exchange(
    dealt: dict[str, list[int]],
    lacks: dict[str, float],
    *,
    sizes: Mapping[int, int],
    between: tuple[str, str],
    moved: tuple[int, int | None],
) -> None:
    """Moves a field from the first split to the second, and another one back unless it is None."""
    for source, target, field in ((between[0], between[1], moved[0]), (between[1], between[0], moved[1])):
        if field is not None:
            dealt[source].remove(field)
            dealt[target].append(field)
            lacks[source] += sizes[field]
            lacks[target] -= sizes[field]
