"""Label: pictures and tasks for Label Studio, where people mark nanotubes; `fetch` reads what they made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from nanonuclei.config.nanotube_data import Channel
from nanonuclei.data.label_studio import LABELLING_INTERFACE, write_tasks
from nanonuclei.data.label_windows import Look, cut_pictures
from nanonuclei.data.sources import problems_table
from nanonuclei.errors import ConfigError, DataError
from nanonuclei.imaging.types import Image
from nanonuclei.writing import whole_folder

TASKS = "tasks.json"
INTERFACE = "labelling-interface.xml"


def label(
    images: Path,
    output: Path,
    *,
    channel: Channel = 0,
    size: int = 512,
    model: str | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Cuts images into pictures and writes tasks that Label Studio imports, one per picture.

    Args:
        images: Folder or zip of images.
        output: Folder to make: ``windows/*.png``, `TASKS` and `INTERFACE`; it appears when everything is written.
        channel: Name or index of the channel that nanotubes are seen in.
        size: Side of a picture, px.
        model: A run's id, or a model's URI: its candidates become predictions, and the pictures that it is least sure
            about come first.
        say: Told what was made.

    Raises:
        ConfigError: The model is one of another task.
        DataError: There is no image that can be read, the folder is in use, or cannot be written.
        TrackingError: There is no such run or model.
    """
    if not 64 <= size <= 4096:
        raise DataError(f"size must be in 64..4096 px, got {size}. Take about 512, which a screen shows whole")
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise DataError(f"{output} must be a new or empty folder, but holds files. Name another one")
    look, threshold = _looking(model) if model else (None, 0.5)
    with whole_folder(output) as partial:
        tasks, problems = cut_pictures(images, partial, channel=channel, size=size, look=look)
        if problems:
            say(problems_table(problems))
        if not tasks:
            raise DataError(f"{images} must hold an image that can be read, but none can. Mend them, see above")
        write_tasks(partial / TASKS, tasks, model=model or "", threshold=threshold)
        (partial / INTERFACE).write_text(LABELLING_INTERFACE, encoding="utf-8")
    num_images = len({task.source for task in tasks})
    say(f"{output}: {len(tasks):,} pictures of {num_images:,} images. Import {output / TASKS} into Label Studio.")


def _looking(model: str) -> tuple[Callable[[Image], Look], float]:
    """Returns what looks at images with a trained model, and its score of a positive window."""
    from nanonuclei.engine.networks import network_of
    from nanonuclei.engine.predict import map_maker
    from nanonuclei.stages.predict import loaded
    from nanonuclei.tasks import create_task
    from nanonuclei.tasks.nanotubes import NanotubeTask

    config, network = loaded(model, {})
    task = create_task(config)
    if not isinstance(task, NanotubeTask):
        raise ConfigError(f"pictures are labelled with a model of nanotubes, but {model} is one of {config.task}")
    maps, _ = map_maker(config, network_of(task, network))

    def look(image: Image) -> Look:
        score_map = next(iter(maps([task.network_input(image)])))
        found = task.instances(score_map)
        return Look(score_map[..., 0], found.boxes.astype(np.float32), found.scores)

    return look, task.window_threshold
