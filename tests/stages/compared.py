"""What comparisons are tried on: runs of finished trainings that nobody trained."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from mlflow.entities import Metric
from mlflow.tracking import MlflowClient

from nanonuclei.cli import _parser
from nanonuclei.commands.options import choices_of
from nanonuclei.config.params import flatten, to_yaml
from nanonuclei.stages.prepare import prepared_dataset
from nanonuclei.stages.settings import Choices, resolve
from nanonuclei.tasks.nuclei.config import NucleiExperiment
from nanonuclei.tasks.nuclei.score import THRESHOLDS
from nanonuclei.tracking.runs import PARENT, log_settings, run_name

SETTINGS = (
    "data.simulated.num_images=12 data.simulated.size=64 network.depth=1 network.base_filters=4 train.epochs=2 "
    "train.steps_per_epoch=3 train.patch_size=32 windows.size=32 windows.stride=32 evaluate.bootstrap=50"
)
CHOICES = Choices("nuclei", "simulated", None, (SETTINGS,))


def quiet(_: str) -> None:
    pass


def score_table(config: NucleiExperiment, accuracy: float) -> pd.DataFrame:
    """A test image is as good as `accuracy` says, in every way."""
    catalog, _ = prepared_dataset(config, say=quiet)
    rows = []
    for sample in catalog.split("test"):
        matched = {"tp": 10 * accuracy, "fp": 10 * (1 - accuracy), "fn": 0.0, "ap": accuracy}
        rows.append(
            {
                **{name: getattr(sample, name) for name in ("sample_id", "modality", "field", "height", "width")},
                **dict.fromkeys(("accuracy", "iou", "dice", "shared_pixels", "iou_sum_50", "competition"), accuracy),
                **dict.fromkeys(("images", "pixels", "either_pixels", "num_true", "num_found"), 1.0),
                **dict.fromkeys(("loss", "binary_crossentropy", "count_difference"), 1.0 - accuracy),
                **{f"{kind}_{round(100 * t)}": value for kind, value in matched.items() for t in THRESHOLDS},
            }
        )
    return pd.DataFrame(rows)


def finished(config: NucleiExperiment, accuracy: float, *, place: str = "0", **tags: str) -> str:
    """Makes the run of a finished training in an experiment; an empty tag is left out."""
    client = MlflowClient()
    catalog, _ = prepared_dataset(config, say=quiet)
    given = {
        "stage": "train",
        "task": "nuclei",
        "finished": "true",
        "split.fingerprint": catalog.split_fingerprint(),
        **tags,
    }
    tags = {name: value for name, value in given.items() if value}
    run_id: str = client.create_run(place, tags=tags, run_name=run_name(config)).info.run_id
    log_settings(run_id, flatten(config))
    curve = [Metric(name, 0.1 * step, 0, step) for name in ("train/loss", "val/accuracy") for step in (1, 2)]
    numbers = [Metric(name, 60.0, 0, 0) for name in ("train_seconds", "test/network_seconds")]
    client.log_batch(run_id, metrics=[*curve, *numbers])
    client.log_text(run_id, to_yaml(config), "config.yaml")
    client.log_text(run_id, score_table(config, accuracy).to_csv(index=False), "evaluation/test_per_image.csv")
    client.set_terminated(run_id, "FINISHED" if given["finished"] else "KILLED")
    return run_id


class Trainings:
    """Takes the place of the child process: makes the run that the real command line would train."""

    def __init__(self) -> None:
        self.words: list[Sequence[str]] = []
        self.configs: list[NucleiExperiment] = []
        self.fails = False

    def __call__(self, words: Sequence[str], parent: str) -> int:
        self.words.append(words)
        if self.fails:
            return 2
        options = _parser().parse_args(words[1:])
        if options.resume:
            MlflowClient().set_tag(options.resume, "finished", "true")
            return 0
        config = resolve(choices_of(options), say=quiet)
        self.configs.append(config)
        better = config.train.learning_rate == 0.01
        finished(config, 0.8 + 0.1 * better + 0.01 * (config.seed - 7), **{PARENT: parent})
        return 0
