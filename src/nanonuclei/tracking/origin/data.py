"""The images that made a model, compared with what is here of them now."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from nanonuclei.data.versions import content_md5, dataset_in_cache, pinned_md5
from nanonuclei.tracking.origin.restoring import remedy_of_data


def compare_data(
    name: str, wanted: str | None, *, data: Path, cache: Path
) -> tuple[Literal["holds", "broken", "unknown"], str]:
    """Returns verdict and reason.

    Args:
        name: Of the dataset.
        wanted: DVC's md5 of it that was recorded; None where the code made it from its seed.
        data: Folder of the datasets.
        cache: DVC's cache.
    """
    if wanted is None:
        return "holds", f"{name}: made by the code from its seed"
    folder = data / name
    here = content_md5(folder) if folder.exists() else None
    if here == wanted:
        return "holds", f"{folder} has md5 {wanted}"
    state = f"{folder} has md5 {here}, recorded {wanted}" if here else f"{folder} is missing, recorded {wanted}"
    pinned = pinned_md5(data.with_suffix(".dvc"))
    kept = pinned is not None and dataset_in_cache(name, wanted, pinned=pinned, cache=cache)
    return "broken" if here else "unknown", f"{state}. {remedy_of_data(in_cache=kept)}"
