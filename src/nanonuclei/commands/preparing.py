"""Prepares real images before the slow imports of a command: broken samples are told soon, and leave nothing behind."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from nanonuclei.tracking.early.own_run import name_own_run

if TYPE_CHECKING:
    from nanonuclei.config.experiment import ExperimentConfig

DRAWING = ("matplotlib", "mlflow")
"""Packages that a command needs which draws figures into a run."""
TRAINING = ("keras", *DRAWING)
"""Packages that a command needs which trains."""


def can_be_early(config: ExperimentConfig, *, simulated: bool = False) -> bool:
    """Tells whether the images of a config are real ones that it alone decides how to prepare.

    The network of a model that a training begins with may ask for others.

    Args:
        config: Of the experiment.
        simulated: Whether simulated images count too; they are sound, and can be drawn later.
    """
    from nanonuclei.serving.named import names_model
    from nanonuclei.tasks.dataset import SIMULATED

    weights = getattr(config.network, "weights", "")
    return (simulated or config.data.dataset != SIMULATED) and not (isinstance(weights, str) and names_model(weights))


def prepare_early(
    config: ExperimentConfig,
    *,
    needs: Sequence[str],
    said: Sequence[str] = (),
    say: Callable[[str], None] = print,
    simulated: bool = False,
) -> bool:
    """Prepares the images of a config where that can be done early, see `can_be_early`.

    Args:
        config: With `data.dataset` decided.
        needs: Packages that the command imports afterwards.
        said: What is to be told before anything is said of images.
        say: Told that, and what is done.
        simulated: See `can_be_early`.

    Returns:
        Whether the images are prepared, and all was told.

    Raises:
        DataError: Samples are broken, and `data.on_bad_sample` is ``fail``; see `stages.prepare.prepare`.
        ModuleNotFoundError: A package is missing.
    """
    if not can_be_early(config, simulated=simulated):
        return False
    for name in needs:
        if importlib.util.find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    from nanonuclei.stages.new_folder import one_at_a_time
    from nanonuclei.stages.prepare import prepared_dataset

    for line in said:
        say(line)
    name_own_run(f"{config.task} {config.data.dataset}, images are prepared")
    with one_at_a_time():
        prepared_dataset(config, say=say)
    return True


def tell_after_imports(said: Sequence[str], *, told: bool) -> None:
    """Prints what was held back until no package is missing, unless it has been told."""
    for line in () if told else said:
        print(line)
