"""What a task knows of its datasets: where they lie, how they are read, simulated, written and split. No Keras."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nanonuclei.config.channels import Channel
from nanonuclei.config.params import Scalar
from nanonuclei.data.catalog import BadSample, SampleRef, sample_digest, write_sample
from nanonuclei.data.fields import find_fields
from nanonuclei.data.modality import guess_modality
from nanonuclei.data.problems import Fetched
from nanonuclei.data.splits import split_by_field
from nanonuclei.errors import ConfigError, DataError, nearest_name
from nanonuclei.imaging.types import Image
from nanonuclei.invocation import command
from nanonuclei.tasks.values import Looking, Noun

SIMULATED = "simulated"
"""Name of the dataset that a task draws itself."""


@dataclass(frozen=True)
class Facts:
    """What is kept of a sample once it is written.

    Attributes:
        sample_id: Its name.
        height: px.
        width: px.
        modality: Kind of image.
        num_objects: Objects in it.
        digest: 16 hex digits over all that is written of it.
        content: What dealing out asks of it, such as the image; of the dataset's own type.
    """

    sample_id: str
    height: int
    width: int
    modality: str
    num_objects: int
    digest: str
    content: Any


@dataclass(frozen=True)
class Dealt:
    """How samples are dealt to fields of view and splits.

    Attributes:
        fields: Number of the field of view per sample.
        splits: ``train``, ``val`` or ``test`` per sample.
        problems: Why they cannot be dealt; then the others are empty or of no use.
    """

    fields: Sequence[int]
    splits: Sequence[str]
    problems: Sequence[BadSample] = ()


class Dataset(ABC):
    """The datasets of one task; this class itself knows images with label maps, whose fields show in the images.

    Attributes:
        config: The experiment.
        noun: What an object is called.
        locations: Real datasets: name, and file or folder below `data/`.
        public: Those of `locations` that `fetch` gets without being told where from.
        by_name: Those of `locations` that are used where they are named alone: ``auto`` passes over them.
        licences: Origin and licence of each dataset.
        size_name: What `object_sizes` measures, px.
        pipeline: The dataset of the task's pipeline.
        simulated_recipe: Recipe for a first look at simulated images; empty where `params.yaml` is made for them.
        finetune_recipe: Recipe of a fine-tuning; empty where the task's models are not fine-tuned by that command.
        corrected: The dataset of `locations` that corrected predictions become; empty where none can.
        code: Modules and folders, beside the class's own module, that decide what is prepared, as the file system
            has them below the task's folder.
        is_labelled_in_pictures: Whether `pictures` are made of images, for people to annotate.
    """

    noun: ClassVar[Noun]
    locations: ClassVar[Mapping[str, str]] = {}
    public: ClassVar[frozenset[str]] = frozenset()
    by_name: ClassVar[frozenset[str]] = frozenset()
    licences: ClassVar[Mapping[str, str]] = {}
    size_name: ClassVar[str] = "area"
    pipeline: ClassVar[str] = SIMULATED
    simulated_recipe: ClassVar[str] = ""
    finetune_recipe: ClassVar[str] = ""
    corrected: ClassVar[str] = ""
    code: ClassVar[Sequence[str]] = ()
    is_labelled_in_pictures: ClassVar[bool] = False

    def __init__(self, config: Any) -> None:
        self.config = config

    @classmethod
    def locate(cls, name: str, data: Path) -> Path | None:
        """Returns where a real dataset lies below the data folder; None where it has not been fetched.

        Raises:
            DataError: No real dataset of the task has this name.
        """
        if name not in cls.locations:
            raise DataError(f"no real dataset is called {name!r}. {nearest_name(name, cls.locations)}")
        path = data / cls.locations[name]
        return path if path.exists() else None

    @classmethod
    def fetch_command(cls, name: str) -> str:
        """Returns the command that gets a real dataset, to be printed; with a source to fill in where it needs one.

        Args:
            name: One of `locations`.
        """
        return command("fetch", dataset=name, source="" if name in cls.public else "FOLDER_OR_ZIP")

    @classmethod  # noqa: B027 - a task may take no paths
    def check_source(cls, name: str, source: str) -> None:
        """Makes sure that a source which is a path exists, before anything slow is begun.

        Args:
            name: One of `locations`.
            source: See `fetch`.

        Raises:
            DataError: It does not exist.
        """

    def fetch(self, name: str, source: str, *, data: Path, report: Callable[[str], None]) -> Fetched:
        """Puts a real dataset below the data folder.

        Args:
            name: One of `locations`.
            source: Where it comes from.
            data: The data folder.
            report: Takes one line per step.

        Raises:
            DataError: It cannot be had, or is not what it should be.
        """
        raise DataError(f"{name} cannot be fetched. Put it at {data / self.locations[name]} by hand")

    def shaping(self) -> Mapping[str, object]:
        """Returns the settings that decide what is prepared, by their dotted paths."""
        data = self.config.data
        return {"data.seed": data.seed, "data.split": data.split.model_dump(), "data.on_bad_sample": data.on_bad_sample}

    def also_learned(self) -> str:
        """Returns the dataset that models of this config learn from beside `data.dataset`; empty for none."""
        return ""

    def on_other_images(self) -> Mapping[str, Scalar]:
        """Returns settings with which a model of this config reads images of another dataset as it reads its own."""
        return {}

    def can_teach(self, sample: SampleRef) -> bool:
        """Returns whether models of this config can learn from a prepared sample, by the kind of its truth."""
        return True

    def object_sizes(self, samples: Sequence[SampleRef]) -> Mapping[str, NDArray[np.float64]]:
        """Returns the sizes of all objects per modality, in the unit of `size_name`; here areas in px."""
        sizes: dict[str, list[NDArray[np.float64]]] = {}
        for sample in samples:
            counts = np.bincount(sample.labels().ravel())[1:].astype(np.float64)
            sizes.setdefault(sample.modality, []).append(counts[counts > 0])
        return {modality: np.concatenate(parts) for modality, parts in sizes.items()}

    @abstractmethod
    def samples(self, source: Path | None) -> Iterator[Any]:
        """Yields samples, and `BadSample` for what cannot be used.

        Args:
            source: The archive or folder; None for simulated images.

        Raises:
            DataError: The dataset as a whole cannot be read.
        """

    def write(self, folder: Path, sample: Any) -> None:
        """Writes one sample below a folder that is not yet in use; may run in a thread."""
        write_sample(folder, sample)

    def facts(self, sample: Any) -> Facts:
        """Returns what is kept of a sample, here a `data.catalog.Sample`."""
        image: Image = sample.image
        return Facts(
            sample_id=sample.sample_id,
            height=image.shape[0],
            width=image.shape[1],
            modality=guess_modality(image),
            num_objects=int(np.count_nonzero(np.bincount(sample.labels.ravel())[1:])),
            digest=sample_digest(image, sample.labels),
            content=image,
        )

    def deal(self, facts: Sequence[Facts]) -> Dealt:
        """Finds the fields of view and deals them to the splits."""
        if not facts:
            return Dealt((), ())
        fields = find_fields([one.content for one in facts])
        modalities = [one.modality for one in facts]
        data = self.config.data
        return Dealt(fields.tolist(), split_by_field(fields, modalities, shares=data.split, seed=data.seed))

    def pictures(
        self, images: Path, folder: Path, *, channel: Channel, size: int, looking: Looking | None
    ) -> tuple[int, int, list[BadSample]]:
        """Cuts images into pictures for people to annotate, and writes what the annotation program imports.

        Args:
            images: A folder or zip of images.
            folder: Where the files go.
            channel: The channel that objects are seen in.
            size: Side of a picture, px.
            looking: A model that looks at them; None where no model is asked.

        Returns:
            Numbers of pictures and of images, and what cannot be read.
        """
        raise ConfigError(f"images of {self.noun.many} are not annotated in pictures. Draw their label maps")
