"""Label: pictures and tasks for Label Studio, where people mark objects; `fetch` reads what they made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from nanonuclei.config.channels import Channel
from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.config.params import load_experiment
from nanonuclei.counted import counted
from nanonuclei.data.problems import left_out, problems_table
from nanonuclei.errors import ConfigError, DataError
from nanonuclei.imaging.types import Image
from nanonuclei.serving.named import open_model
from nanonuclei.stages.places import PARAMS
from nanonuclei.tasks import create_dataset, create_reader, dataset_type, task_names
from nanonuclei.tasks.values import Look, Looking
from nanonuclei.writing import whole_folder


def label(
    images: Path,
    output: Path,
    *,
    channel: Channel = 0,
    size: int = 512,
    model: str | None = None,
    say: Callable[[str], None] = print,
) -> bool:
    """Cuts images into pictures and writes tasks that Label Studio imports, one per picture.

    Args:
        images: Folder or zip of images.
        output: Folder to make, with pictures and what the annotation program imports. It appears when all is written.
        channel: Name or index of the channel that objects are seen in.
        size: Side of a picture, px.
        model: See `serving.named.find_model`: its candidates become predictions, and the pictures that it is least sure
            about come first.
        say: Told what was made.

    Returns:
        Whether all images can be read.

    Raises:
        ConfigError: The model is one of a task whose images are not annotated in pictures.
        DataError: There is no image that can be read, the folder is in use, or cannot be written.
        TrackingError: There is no such run or model.
    """
    if not 64 <= size <= 4096:
        raise DataError(f"size must be in 64..4096 px, got {size}. Take about 512, which a screen shows whole")
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise DataError(f"{output} must be a new or empty folder, but holds files. Name another one")
    if model:
        config, looking = _loaded(model)
    else:
        config, looking = load_experiment(_labelled_task(), path=PARAMS), None
    dataset = create_dataset(config)
    with whole_folder(output) as partial:
        num_pictures, num_images, problems = dataset.pictures(
            images, partial, channel=channel, size=size, looking=looking
        )
        if problems:
            say(problems_table(problems))
        if not num_pictures:
            raise DataError(f"{images} must hold an image that can be read, but none can. Mend them, see above")
    found = f"{counted(num_pictures, 'picture')} of {counted(num_images, 'image')}"
    say(f"{output}: {found}. Import its tasks into Label Studio.")
    if told := left_out(num_images, problems, noun="image"):
        say(f"Warning: {told}, see above.")
    return not problems


def _labelled_task() -> str:
    """Returns the task whose images are annotated in pictures."""
    return next(task for task in task_names() if dataset_type(task).is_labelled_in_pictures)


def _loaded(model: str) -> tuple[ExperimentConfig, Looking]:
    """Returns the config of a trained model, and what looks at images with it."""
    opened = open_model(model, missing_from=PARAMS)
    config = opened.config
    if not dataset_type(config.task).is_labelled_in_pictures:
        raise ConfigError(
            f"pictures are made for tasks whose images are annotated in them, but {model} is a model of {config.task}. "
            "Leave out the model, or name another one"
        )
    reader = create_reader(config)

    def look(image: Image) -> Look:
        score_map = next(iter(reader.score_maps(opened.network, [reader.network_input(image)])))
        return reader.look(score_map, (image.shape[0], image.shape[1]))

    return config, Looking(model, reader.look_threshold, look)
