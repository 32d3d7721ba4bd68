"""What a task is: everything that differs between two questions about images, and nothing else.

A `Reader` is what serving and prediction need; it never imports Keras. A `Task` is a reader that can also be trained
and scored. Both hold a config and no other state. What a task knows of its datasets is in `tasks.dataset`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nanonuclei.config.channels import Channel
from nanonuclei.config.params import Scalar, flatten
from nanonuclei.data.catalog import SampleRef
from nanonuclei.imaging.instances import Instances
from nanonuclei.imaging.networks import Network
from nanonuclei.imaging.sizing.resizing import to_shape
from nanonuclei.imaging.types import Float32Array, Image, UInt8Array
from nanonuclei.tasks.gathering import InWindows
from nanonuclei.tasks.values import EXPORT_SHAPES, Assessment, Decided, Look, MapsOf, Noun, Objects, Report, Timing

if TYPE_CHECKING:
    import keras
    import pandas as pd
    from matplotlib.figure import Figure

    from nanonuclei.models.phases import Phase


class Reader(InWindows, ABC):
    """Reads the objects of one task off images with the help of its network.

    Attributes:
        config: The experiment.
        noun: What an object is called.
        columns: What a served model tells of an object, beside the numbers of image and object: column to MLflow type.
        table_columns: The columns of an object in the table that `predict` writes; those that every task has, such as
            the area, are measured anew there.
        column_texts: Meaning and unit of the task's own columns of that table. Lengths, of unit ``px``, are told in
            micrometres too where the size of a pixel is known.
        layers: What else is found in an image than its objects, and written as a label image: the plural that names its
            folder, and what the reader of the folder is told of it.
        parameters: Parameters of a request, and the setting that each stands for.
        cautions: What a model of this task must not be trusted with, one sentence or two each.
        stains: Which channel of an image file is read where `channel` names none: regular expressions of its name, in
            order of preference.
        large_inputs: Whether a single call of the network already takes much memory.
        open_settings: Settings with the values that ask for a choice on validation images, see `Task.decide`. A stored
            model has others there.
    """

    noun: ClassVar[Noun]
    columns: ClassVar[Mapping[str, str]]
    table_columns: ClassVar[Sequence[str]]
    column_texts: ClassVar[Mapping[str, tuple[str, str]]] = {}
    layers: ClassVar[Mapping[str, str]] = {}
    parameters: ClassVar[Mapping[str, str]]
    cautions: ClassVar[Sequence[str]]
    stains: ClassVar[Sequence[str]] = ()
    large_inputs: ClassVar[bool] = False
    open_settings: ClassVar[Mapping[str, Scalar]] = {}

    def __init__(self, config: Any) -> None:
        self.config = config

    @property
    def choices(self) -> str:
        """On which images settings were chosen, as sentences of the card of a model that comes along."""
        return (
            "Thresholds were chosen on the validation images. No test image was trained on, and no setting was chosen "
            "by one."
        )

    @property
    def channel(self) -> Channel | None:
        """Which channel of an image file is read; None: the image as it is, grey or in colours."""
        return None

    @property
    def further_channels(self) -> Mapping[str, Channel]:
        """Which other channels of an image file `beside` reads, by the settings that name them."""
        return {}

    @abstractmethod
    def network_input(self, image: Image) -> Float32Array:
        """Returns a full image as the network takes it, ``(height, width, 3)`` float32 in 0..1."""

    def scaled_by(self, sample: Image) -> Callable[[Image], Float32Array]:
        """Returns `network_input` for windows of a large image, by the grey values of pixels from all over it."""
        return self.network_input

    def beside(self, channels: NDArray[Any], names: Sequence[str]) -> Reader:
        """Returns a reader for one image, which may use what else the file of it shows.

        Args:
            channels: ``(channel, height, width)``, the numbers of the file.
            names: One per channel, empty where the file does not tell.

        Raises:
            DataError: A channel that the settings name is not there.
        """
        return self

    @abstractmethod
    def score_maps(self, network: Network, inputs: Iterable[Float32Array]) -> Iterator[Float32Array]:
        """Runs a network over full images.

        Args:
            network: See `Task.as_network` and `with_files`.
            inputs: Of `network_input`, of any sizes; read as needed, not all at once.

        Yields:
            ``(height, width, channels)`` float32 per image, in order; not always as large as the image.
        """

    @abstractmethod
    def objects(self, score_map: Float32Array, shape: tuple[int, int]) -> Objects:
        """Reads objects and all that is told of them off the score map of a full image.

        Args:
            score_map: Of `score_maps`.
            shape: Height and width of the image, px, in which objects are told.
        """

    def measures(self, areas: NDArray[np.int64], *, shown: float) -> dict[str, float]:
        """Returns numbers of a whole image, see `Objects.measures`.

        Args:
            areas: Of its objects, px.
            shown: Height of the score map by that of the image.
        """
        return {}

    def instances(self, score_map: Float32Array, shape: tuple[int, int]) -> Instances:
        """Reads objects off the score map of a full image of that height and width."""
        return self.objects(score_map, shape).instances

    def with_files(self, network: Network, files: Mapping[str, Path]) -> Network:
        """Returns a network that was loaded from a file, with what else `Task.network_files` stored beside it."""
        return network

    @abstractmethod
    def timing(self, network: Network) -> Timing:
        """Returns a typical call of a network."""

    @abstractmethod
    def example(self) -> UInt8Array:
        """Returns a small image that holds objects: the example of a request, ``(height, width)``."""

    @property
    def look_threshold(self) -> float:
        """Score from which a place in an image counts as positive."""
        return 0.5

    def look(self, score_map: Float32Array, shape: tuple[int, int]) -> Look:
        """Returns what a person who annotates images is shown of a score map: its first channel, and the objects."""
        found = self.instances(score_map, shape)
        return Look(to_shape(score_map[..., 0], shape), found.boxes.astype(np.float32), found.scores)


class Task(Reader):
    """A reader that can be trained and scored.

    Attributes:
        metric_names: The metrics that tables show, in order, by what people call them.
        curve_names: The metrics of a training (not the loss) to title and axis of their panels, in order.
        charted: Metrics in the figure with intervals.
        headlines: Metrics whose difference a comparison tells in words.
        lower_is_better: Metrics that are better when smaller.
        group_metric: The metric that `dvc metrics` shows of each modality; empty for none.
        gap_metrics: Metrics that are logged on seen and unseen images after a training, with their difference.
    """

    metric_names: ClassVar[Mapping[str, str]]
    curve_names: ClassVar[Mapping[str, tuple[str, str]]] = {}
    charted: ClassVar[Sequence[str]]
    headlines: ClassVar[Sequence[str]]
    lower_is_better: ClassVar[frozenset[str]] = frozenset()
    group_metric: ClassVar[str] = ""
    gap_metrics: ClassVar[Sequence[str]] = ()

    def check(self) -> None:
        """Checks, before anything slow begins, what the config alone does not show.

        Raises:
            ConfigError: The config does not fit the network.
        """

    @abstractmethod
    def batches(self, samples: Sequence[SampleRef], *, training: bool) -> keras.utils.PyDataset:
        """Returns an endless augmented stream for training, or every patch of a split once."""

    @abstractmethod
    def build_network(self) -> keras.Model:
        """Returns the network with random weights, not compiled; needs no file of weights."""

    @abstractmethod
    def build_model(self) -> keras.Model:
        """Returns the network as a training begins with it, pretrained if the config says so, compiled for phase one.

        Raises:
            ConfigError: The weights of the encoder cannot be had.
        """

    @abstractmethod
    def compile_for(self, model: keras.Model, phase: Phase) -> None:
        """Chooses the weights that learn in a phase, and compiles with loss, metrics and a new optimizer."""

    @abstractmethod
    def as_network(self, model: keras.Model) -> Network:
        """Returns a trained model, in the precision of the inference, as what `score_maps` calls."""

    @property
    def training_side(self) -> int:
        """Side of what the network sees in training, px."""
        return int(self.config.train.patch_size)

    @property
    def warm_up_shapes(self) -> Sequence[tuple[int, ...]]:
        """Shapes of batches that make the compiler ready, so that the time of a score is that of work."""
        return ()

    @property
    def export_shapes(self) -> Sequence[tuple[int, ...]]:
        """Shapes of random images on which an exported network is compared with Keras, at least two."""
        return EXPORT_SHAPES

    def network_files(self) -> Mapping[str, str]:
        """Returns texts that `with_files` needs, by the name of the file beside the network."""
        return {}

    @property
    def is_open(self) -> bool:
        """Whether a setting is still to be decided on validation images."""
        settings = flatten(self.config)
        return any(settings[path] == value for path, value in self.open_settings.items())

    def samples_to_decide_on(self, samples: Sequence[SampleRef]) -> Sequence[SampleRef]:
        """Returns the validation images that `decide` looks at: all, or as many as memory holds."""
        return samples

    def decide(self, samples: Sequence[SampleRef], score_maps: Iterable[Float32Array]) -> Decided:
        """Returns the settings that the config leaves open, as they are best on validation images.

        Raises:
            DataError: There is no sample.
        """
        return Decided({})

    @abstractmethod
    def assess(self, sample: SampleRef, score_map: Float32Array) -> Assessment:
        """Scores one image."""

    @abstractmethod
    def score(self, sums: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
        """Returns metrics from statistics summed over images; works on arrays, one entry per resampling."""

    def figures(
        self, report: Report, samples: Sequence[SampleRef], *, maps: MapsOf, split: str
    ) -> Iterator[tuple[str, Figure | str]]:
        """Yields what else a run holds of a score: figures, and texts such as tables.

        Args:
            report: The score.
            samples: The images of the split.
            maps: From samples to their score maps.
            split: Its name.

        Yields:
            The artifact's path, such as ``figures/test_worst.png``, and its content.
        """
        yield from ()

    def plots(self, report: Report) -> Mapping[str, pd.DataFrame]:
        """Returns tables that `dvc plots` draws, by name, beside precision and recall."""
        return {}
