"""What a training begins with where it does not begin anew: a stored model, and old images that are shown again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import numpy as np

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.config.params import Scalar, flatten, load_experiment, with_settings
from nanonuclei.config.section import STRUCTURE, paths_of
from nanonuclei.data.catalog import Catalog, SampleRef
from nanonuclei.data.versions import dataset_md5, file_md5
from nanonuclei.errors import ConfigError, TrackingError
from nanonuclei.report.compare import MIN_FIELDS
from nanonuclei.serving.folder import CONFIG, NETWORK, ONNX, stored_task
from nanonuclei.serving.named import find_model, is_run, is_uri, names_model
from nanonuclei.serving.shipped.places import shipped_folder
from nanonuclei.stages.places import DATA, PARAMS
from nanonuclei.stages.prepare import prepared_dataset
from nanonuclei.stages.samples import training_samples
from nanonuclei.tasks import create_dataset, dataset_type
from nanonuclei.tasks.base import Task
from nanonuclei.tasks.dataset import SIMULATED
from nanonuclei.tracking.facts import PARENT_MD5, PARENT_MODEL, REPLAYED, REPLAYED_MD5

FEWEST_REPLAYED = 512
"""Old images that are shown again, at least, where there are as many: many kinds of them cost no more than few."""


@dataclass(frozen=True)
class Start:
    """A stored model that a training begins with.

    Attributes:
        reference: Names it for good: a folder, or the URI of a logged model; no alias, which can move.
        config: Its experiment.
        file: Its network, as Keras stores it or in ONNX form.
        replayed: Old training images, shown again beside the new ones.
        replayed_name: Name of their dataset; empty where there are none.
    """

    reference: str
    config: ExperimentConfig
    file: Path
    replayed: tuple[SampleRef, ...] = ()
    replayed_name: str = ""

    @property
    def md5(self) -> str:
        """Of the network's file."""
        return file_md5(self.file)

    def tags(self) -> dict[str, str]:
        """Returns what a run is told by."""
        named = {}
        if self.replayed_name:
            version = dataset_md5(DATA, self.replayed_name)
            named = {REPLAYED: self.replayed_name, **({REPLAYED_MD5: version} if version else {})}
        return {PARENT_MODEL: self.reference, PARENT_MD5: self.md5, **named}

    def structure(self) -> dict[str, Scalar]:
        """Returns the settings of its network, its target and its loss."""
        settings = flatten(self.config)
        return {path: settings[path] for path in paths_of(self.config, STRUCTURE)}

    def samples(self, new: Sequence[SampleRef]) -> tuple[SampleRef, ...]:
        """Returns the training images: the new ones repeated until they are about as many as the old ones."""
        if not self.replayed:
            return tuple(new)
        return (*(tuple(new) * max(1, round(len(self.replayed) / len(new)))), *self.replayed)

    def begun(self, task: Task) -> Any:
        """Returns a task whose trainings begin with the model; imports Keras."""
        from nanonuclei.engine.stored.warm_start import StartedFrom, trained_weights

        return StartedFrom(task, trained_weights(task, self.file))


def begin_with(reference: str) -> Start:
    """Finds a model to begin with.

    Args:
        reference: See `serving.named.find_model`.

    Raises:
        DataError: A model that comes along was changed.
        TrackingError: There is no such model.
    """
    named = find_model(reference)
    file = next((named.folder / name for name in (NETWORK, ONNX) if (named.folder / name).is_file()), None)
    path = named.folder / CONFIG
    if file is None or not path.is_file():
        raise TrackingError(f"{reference} must hold {NETWORK} or {ONNX}, and {CONFIG}. Name another model")
    config = load_experiment(stored_task(path), path=path, missing_from=PARAMS, stored=True)
    return Start(_for_good(reference, named.folder), config, file)


def with_replay(start: Start, name: str, *, new: int, say: Callable[[str], None] = print) -> Start:
    """Adds old training images to show again, drawn by the model's seed.

    Args:
        start: The model.
        name: Dataset of the old images.
        new: Number of new training images.
        say: Told what is done.

    Returns:
        The same where the old images are not at hand, or their truth is of no use to the model.
    """
    catalog = old_catalog(start.config, name, say=say)
    if catalog is None:
        return start
    config = with_settings(start.config, {"data.dataset": name})
    teaching = create_dataset(config).can_teach
    old = [sample for sample in training_samples(catalog, config) if teaching(sample)]
    if not old:
        return start
    wanted = min(len(old), max(FEWEST_REPLAYED, new))
    drawn = np.random.default_rng(start.config.seed).choice(len(old), wanted, replace=False)
    return Start(start.reference, start.config, start.file, tuple(old[place] for place in sorted(drawn)), name)


def with_old_images(start: Start, dataset: str, *, new: int, say: Callable[[str], None] = print) -> Start:
    """Adds old training images of the model, or, where they are not at hand, those that it also learned from.

    Args:
        start: The model.
        dataset: Of the new images.
        new: Number of new training images.
        say: Told what is done.

    Returns:
        The same where none are at hand.
    """
    for name in (old_dataset(start, dataset), create_dataset(start.config).also_learned()):
        if name and name != dataset:
            mixed = with_replay(start, name, new=new, say=say)
            if mixed.replayed:
                return mixed
    return start


def old_catalog(config: ExperimentConfig, name: str, *, say: Callable[[str], None] = print) -> Catalog | None:
    """Returns the images that a model was trained on, prepared; None where they are not at hand.

    Args:
        config: Of the model.
        name: Of the dataset.
        say: Told what is done.
    """
    dataset = dataset_type(config.task)
    if name != SIMULATED and (name not in dataset.locations or dataset.locate(name, DATA) is None):
        return None
    return prepared_dataset(with_settings(config, {"data.dataset": name}), say=say)[0]


def old_test_images(
    config: ExperimentConfig, name: str, *, say: Callable[[str], None] = print
) -> tuple[SampleRef, ...]:
    """Returns the test images of a dataset that a model knew before; none where they cannot be compared on.

    Args:
        config: Of the model.
        name: Of the dataset.
        say: Told why there are none.
    """
    catalog = old_catalog(config, name, say=lambda _: None)
    known = f"The test images of {name}, known to the model before,"
    if catalog is None:
        say(f"{known} are not here: what it forgot is not known.")
        return ()
    samples = catalog.split("test")
    if not can_be_compared_on(samples):
        say(f"{known} are of one field of view: what it forgot is not known.")
        return ()
    return tuple(samples)


def can_be_compared_on(samples: Sequence[SampleRef]) -> bool:
    """Returns whether images are of as many fields of view as an interval needs."""
    return len({sample.field for sample in samples}) >= MIN_FIELDS


def old_dataset(start: Start, new: str) -> str:
    """Returns the dataset that a model knows from before, whose score must not be lost.

    Args:
        start: The model.
        new: Dataset of the new images. A model that was fine-tuned on it before tells by its run what it knew then.
    """
    name = str(start.config.data.dataset)
    if name != new:
        return name
    try:
        run_id = mlflow.models.get_model_info(start.reference).run_id if is_uri(start.reference) else None
        return str(mlflow.get_run(run_id).data.tags.get(REPLAYED, "")) if run_id else ""
    except mlflow.exceptions.MlflowException:
        return ""


def start_of_run(tags: Mapping[str, str], *, new: int) -> Start | None:
    """Returns what the training of a run began with; None where it began anew.

    Args:
        tags: Of the run.
        new: Number of new training images.

    Raises:
        TrackingError: The model is not there any more, or is another one.
    """
    if PARENT_MODEL not in tags:
        return None
    start = begin_with(tags[PARENT_MODEL])
    if start.md5 != tags[PARENT_MD5]:
        raise TrackingError(
            f"the run began with {start.reference}, whose network had md5 {tags[PARENT_MD5]} and now has {start.md5}. "
            "Put that model back, or start a new run"
        )
    replayed = tags.get(REPLAYED)
    return with_replay(start, replayed, new=new, say=lambda _: None) if replayed else start


def started(config: ExperimentConfig) -> tuple[ExperimentConfig, Start | None]:
    """Returns the config and start of a training whose `network.weights` name a model, with the network of that model.

    Raises:
        ConfigError: The model is one of another task.
        TrackingError: There is no such model.
    """
    weights = getattr(config.network, "weights", None)
    if not isinstance(weights, str) or not names_model(weights):
        return config, None
    start = begin_with(weights)
    if start.config.task != config.task:
        raise ConfigError(
            f"network.weights must name a model of {config.task}, but {weights} is one of {start.config.task}"
        )
    return with_settings(config, start.structure()), start


def _for_good(reference: str, folder: Path) -> str:
    """Returns a name of a model that does not move."""
    if is_run(reference):
        from nanonuclei.serving.store import model_uri
        from nanonuclei.tracking.runs import existing_run

        return model_uri(existing_run(reference))
    if is_uri(reference):
        return str(mlflow.models.get_model_info(reference).model_uri)
    return reference if shipped_folder(reference) else folder.as_posix()
