"""The datasets of the nanotubes task: images with masks, lines, boxes or as patches, and simulated images."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nanonuclei.config.channels import Channel
from nanonuclei.config.params import Scalar
from nanonuclei.data.catalog import BadSample, SampleRef, sample_digest
from nanonuclei.data.fields import find_fields
from nanonuclei.data.files.planes.channels import BRIGHTEST
from nanonuclei.data.files.source import check_archive, existing_source
from nanonuclei.data.modality import guess_modality
from nanonuclei.data.problems import Fetched
from nanonuclei.errors import DataError
from nanonuclei.imaging.types import Image
from nanonuclei.tasks.dataset import SIMULATED, Dataset, Dealt, Facts
from nanonuclei.tasks.nanotubes.config import LINE, NanotubeExperiment
from nanonuclei.tasks.nanotubes.reader import NOUN
from nanonuclei.tasks.nanotubes.sources.drawn.archive import ARCHIVE, MINE, DealtTubes, read_archive
from nanonuclei.tasks.nanotubes.sources.images import TNT_ARCHIVE, num_labels, read_tnt, simulated_tubes, tnt_source
from nanonuclei.tasks.nanotubes.sources.overlaps import find_overlaps
from nanonuclei.tasks.nanotubes.sources.samples import TubeSample, tube_truth, write_tube_sample
from nanonuclei.tasks.nanotubes.sources.splits import TubeFacts, cut_quadrants, missing_classes, split_tubes
from nanonuclei.tasks.values import Looking

TNT = "tnt"


class NanotubeDataset(Dataset):
    """Images with their lines, boxes or patches."""

    config: NanotubeExperiment
    noun = NOUN
    locations = {TNT: TNT_ARCHIVE, MINE: ARCHIVE}
    by_name = frozenset({MINE})
    licences = {
        TNT: "Images of nanotubes that whoever trained brought along: their owners say what they may be used for. For "
        "the model that comes along, panels of openly licensed figures (CC-BY) and images without nanotubes (CC0), as "
        "docs/nanotubes.md lists them",
        MINE: "your own images, your own rights",
        SIMULATED: "made by this project's simulator, no rights of others",
    }
    size_name = "length"
    code = ("sources", "simulate", "lines/line.py", "data_config.py")
    finetune_recipe = "finetune-nanotubes"
    corrected = MINE
    is_labelled_in_pictures = True

    @property
    def _marks_lines(self) -> bool:
        return self.config.network.answer == LINE

    @classmethod
    def check_source(cls, name: str, source: str) -> None:
        """Makes sure that a source which is a path exists, and that it tells where nanotubes are."""
        if name == MINE:
            from nanonuclei.tasks.nanotubes.sources.drawn.fetch_mine import check_mine

            forms = "the path of a folder or zip of images with corrected lines"
            path = existing_source(source, forms)
            check_archive(path, forms)
            check_mine(path)
        elif source != SIMULATED:
            from nanonuclei.tasks.nanotubes.sources.fetch import check_tnt

            check_tnt(tnt_source(source))

    def fetch(self, name: str, source: str, *, data: Path, report: Callable[[str], None]) -> Fetched:
        """Packs images and annotations, also simulated or corrected ones; see `sources.fetch` and `sources.drawn`."""
        if name == MINE:
            from nanonuclei.tasks.nanotubes.sources.drawn.fetch_mine import fetch_mine

            return fetch_mine(source, data, channels=self.config.data.channels, report=report)
        from nanonuclei.tasks.nanotubes.sources.fetch import fetch_tnt

        settings = self.config.data
        return fetch_tnt(source, data, simulated=settings.simulated, seed=settings.seed, report=report)

    def shaping(self) -> dict[str, object]:
        """Returns the settings that decide what is prepared."""
        data = self.config.data
        own: dict[str, object] = {}
        if data.dataset == SIMULATED:
            own = {"data.simulated": data.simulated.model_dump()}
        elif data.dataset != MINE:
            own = {"data.channels": data.channels.model_dump()}
        window = self.config.train.patch_size
        kind = {"train.patch_size": window, "network.answer": self.config.network.answer}
        return {**super().shaping(), "data.split_by": data.split_by, **kind, **own}

    def samples(self, source: Path | None) -> Iterator[TubeSample | DealtTubes | BadSample]:
        """Yields the images, or their quadrants, that windows fit into; drawn where there is no source."""
        data, window = self.config.data, self.config.train.patch_size
        if data.dataset == MINE and source is not None:
            yield from self._corrected(source)
            return
        items = simulated_tubes(data.simulated, seed=data.seed) if source is None else read_tnt(source, data.channels)
        for item in items:
            if isinstance(item, BadSample):
                yield item
                continue
            file = item.file or item.sample_id
            try:
                parts = cut_quadrants(item, gap=window) if data.split_by == "quadrant" else (item,)
            except DataError as error:
                yield BadSample(item.sample_id, file, str(error))
                continue
            height, width = parts[0].image.shape[:2]
            if self._marks_lines and item.truth.kind != "patch":
                yield from parts  # a patch for marking lines may be larger than its image, which is mirrored then
                continue
            is_patch, what = item.truth.kind == "patch", "quadrants have" if len(parts) > 1 else "has"
            if min(height, width) < window:
                least = f"less than a window of {window}. Lower train.patch_size, or leave it out"
                problem = f"{what} {width}x{height} px, {least}"
                yield BadSample(item.sample_id, file, problem)
            elif is_patch and max(height, width) > window:
                problem = (
                    f"a patch of {width}x{height} px, more than a window of {window}: the nanotube may be anywhere. "
                    f"Set train.patch_size to the side of the patches"
                )
                yield BadSample(item.sample_id, file, problem)
            else:
                yield from parts

    def _corrected(self, source: Path) -> Iterator[DealtTubes | BadSample]:
        """Yields corrected images, of which a window must fit into each where windows are scored."""
        window = self.config.train.patch_size
        for item in read_archive(source):
            if isinstance(item, DealtTubes) and not self._marks_lines:
                height, width = item.sample.image.shape[:2]
                if min(height, width) < window:
                    problem = f"has {width}x{height} px, less than a window of {window}. Correct a larger image"
                    yield BadSample(item.sample.sample_id, item.sample.file, problem)
                    continue
            yield item

    def write(self, folder: Path, sample: TubeSample | DealtTubes) -> None:
        """Writes image, label map, lines or boxes, nuclei and cells of one sample."""
        write_tube_sample(folder, sample.sample if isinstance(sample, DealtTubes) else sample)

    def facts(self, sample: TubeSample | DealtTubes) -> Facts:
        """Returns what is kept of a sample; of a patch also its pixels, of one that is dealt already, how."""
        if isinstance(sample, DealtTubes):
            return dataclasses.replace(self.facts(sample.sample), content=(sample.field, sample.split))
        is_patch = sample.truth.kind == "patch"
        num_tubes = len(sample.truth.boxes) if sample.truth.kind == "boxes" else num_labels(sample.truth.labels)
        twin = sample_digest(sample.image, sample.image[:0])
        own = TubeFacts(sample.sample_id, sample.group, twin, sample.truth.kind, num_tubes)
        return Facts(
            sample_id=sample.sample_id,
            height=sample.image.shape[0],
            width=sample.image.shape[1],
            modality=guess_modality(sample.image),
            num_objects=num_tubes,
            digest=sample.digest(),
            content=(own, sample.image if is_patch else None),
        )

    def deal(self, facts: Sequence[Facts]) -> Dealt:
        """Deals fields of view to the splits; patches that continue or overlap each other are together.

        Corrected images are in the splits to which they were dealt when they were fetched.
        """
        if self.config.data.dataset == MINE:
            return Dealt([one.content[0] for one in facts], [one.content[1] for one in facts])
        patches: list[Image] = [image for _, image in (one.content for one in facts) if image is not None]
        found = (find_fields(patches).tolist(), find_overlaps(patches).tolist()) if patches else ((), ())
        numbers = zip(*found, strict=True)
        own: list[TubeFacts] = []
        for one, image in (each.content for each in facts):
            neighbours, overlapping = next(numbers) if image is not None else (None, None)
            own.append(dataclasses.replace(one, neighbours=neighbours, overlapping=overlapping))
        data = self.config.data
        try:
            fields, splits = split_tubes(own, shares=data.split, seed=data.seed)
        except DataError as error:
            shared = len(patches) - len(set(found[1]))
            hint = ". Patches that share pixels are of one field: cut them out of more images" if shared else ""
            return Dealt((), (), [BadSample("split", "splits", f"{error}{hint}")])
        return Dealt(fields, splits, missing_classes(own, splits))

    def also_learned(self) -> str:
        """Returns the simulated images, which a network that marks lines is shown in any training."""
        return SIMULATED if self._marks_lines and self.config.marking.simulated > 0.0 else ""

    def on_other_images(self) -> Mapping[str, Scalar]:
        """Returns the channel that stands for an image as it is, for models of simulated images, see `channel`."""
        return {"data.channels.tubes": BRIGHTEST} if self.config.data.dataset == SIMULATED else {}

    def can_teach(self, sample: SampleRef) -> bool:
        """Returns whether the truth is known to the line, where lines are to be marked."""
        return not self._marks_lines or tube_truth(sample).kind == "mask"

    def object_sizes(self, samples: Sequence[SampleRef]) -> Mapping[str, NDArray[np.float64]]:
        """Returns the lengths of all nanotubes per modality, px: of lines, or of the longer side of boxes."""
        lengths: dict[str, list[float]] = {}
        for sample in samples:
            truth = tube_truth(sample)
            own = lengths.setdefault(sample.modality, [])
            own += [line.length for line in truth.lines]
            own += np.max(truth.boxes[:, 2:] - truth.boxes[:, :2], axis=1, initial=0.0).tolist()
        return {modality: np.array(values, np.float64) for modality, values in lengths.items()}

    def pictures(
        self, images: Path, folder: Path, *, channel: Channel, size: int, looking: Looking | None
    ) -> tuple[int, int, list[BadSample]]:
        """Cuts pictures, and writes tasks and labelling interface for Label Studio."""
        from nanonuclei.tasks.nanotubes.sources.label_pictures import write_pictures

        return write_pictures(images, folder, channel=channel, size=size, looking=looking)
