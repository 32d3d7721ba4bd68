"""The images that made a model, compared with what is here of them now."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from nanonuclei.data.versions import content_md5, dataset_in_cache, pinned_md5
from nanonuclei.tracking.origin.restoring import remedy_of_data


def compare_data(
    name: str, wanted: str | None, *, data: Path, cache: Path, committed: str | None = None
) -> tuple[Literal["holds", "broken", "unknown"], str]:
    """Returns verdict and reason.

    Args:
        name: Of the dataset.
        wanted: DVC's md5 of it that was recorded; None where the code made it from its seed.
        data: Folder of the datasets.
        cache: DVC's cache.
        committed: DVC's md5 of the folder of the datasets in the commit of the run; None where it pins none.
    """
    if wanted is None:
        return "holds", f"{name}: made by the code from its seed"
    folder = data / name
    here = content_md5(folder) if folder.exists() else None
    if here == wanted:
        return "holds", f"{folder} has md5 {wanted}"
    state = f"{folder} has md5 {here}, recorded {wanted}" if here else f"{folder} is missing, recorded {wanted}"
    pins = (pinned_md5(data.with_suffix(".dvc")), committed)
    kept = [pin is not None and dataset_in_cache(name, wanted, pinned=pin, cache=cache) for pin in pins]
    return "broken" if here else "unknown", f"{state}. {remedy_of_data(here=kept[0], committed=kept[1])}"
