"""What a command can know of its arguments from one look at files, before its slow imports."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nanonuclei.errors import ConfigError, DataError, NanonucleiError, TrackingError, check_local, nearest_name
from nanonuclei.tasks import check_can_be_fetched, dataset_type, task_names, task_package
from nanonuclei.tracking.database import RUN_ID, SHORT_RUN_ID, full_run_id
from nanonuclei.tracking.early.registered import champion_already, champion_of, run_behind
from nanonuclei.tracking.early.runs import check_holds_model, tags_of

HISTORY = "history.json"
"""As `stages.shipped.adopt.HISTORY`."""
DIGEST = "shipped.digest"
"""As `stages.shipped.register.DIGEST`."""
DATA = "data"
"""As `stages.places.DATA`."""
PUBLIC = "public"
"""The source that `fetch` takes where none is given."""
SIMULATED = "simulated"
"""As `tasks.dataset.SIMULATED`."""


def check_dataset(name: str, others: Sequence[str], *, source: str | None = None) -> None:
    """Makes sure that a task has a dataset, and that what it is fetched from exists.

    Args:
        name: Of the dataset.
        others: Further names that are allowed.
        source: Where it comes from, see `Dataset.fetch`; None where it is not fetched.

    Raises:
        NanonucleiError: No task has a dataset of that name.
        DataError: The source is a path that does not exist, or a server that does not answer.
    """
    datasets = {task: dataset_type(task) for task in task_names()}
    known = {*others, *(own for dataset in datasets.values() for own in dataset.locations)}
    if name not in known:
        raise NanonucleiError(f"unknown dataset {name!r}. {nearest_name(name, known)}")
    for task, dataset in datasets.items():
        if source is None or name not in dataset.locations:
            continue
        if source in ("", PUBLIC) and name not in dataset.public:
            raise NanonucleiError(
                f"{name} needs a source, since it is not public: a folder or zip of images with their annotations. "
                f"`{dataset.fetch_command(name)}`"
            )
        dataset.check_source(name, source)
        check_can_be_fetched(task, name, source, data=Path(DATA))


def check_fetched(name: str) -> None:
    """Makes sure that a real dataset has been fetched.

    Args:
        name: Of a dataset; one that no task has, such as the simulated one, needs nothing.

    Raises:
        DataError: It has not.
    """
    from nanonuclei.stages.settings import wrong_folder

    for dataset in (dataset_type(task) for task in task_names()):
        if name in dataset.locations and dataset.locate(name, Path(DATA)) is None:
            raise DataError(
                f"this needs the images of {name}, but {DATA}/{dataset.locations[name]} is missing. Get them with "
                f"`{dataset.fetch_command(name)}`{wrong_folder()}"
            )


def check_images_of(run_id: str) -> None:
    """Makes sure that the images of a run are here; left to its stage where MLflow alone knows the run.

    Raises:
        DataError: They have not been fetched.
    """
    check_fetched((tags_of(run_id) or {}).get("dataset.name", ""))


def check_can_be_promoted(task: str, reference: str) -> None:
    """Makes sure that the images are here on which a model is held against the gate, and that it is not champion yet.

    Args:
        task: Name of the registered model.
        reference: A run, or a model that comes along, which needs no images where there is no champion.

    Raises:
        DataError: The images have not been fetched.
        DoneAlreadyError: The model is champion.
    """
    from nanonuclei.serving.named import is_uri
    from nanonuclei.serving.shipped.places import shipped_folder
    from nanonuclei.serving.shipped.provenance import PROVENANCE, file_sha256, read_provenance

    champion = champion_of(task)
    if run := run_named(reference):
        if champion is not None and champion.run == run:
            raise champion_already(task, champion.version, run)
        check_images_of(run)
        return
    folder = None if is_uri(reference) else shipped_folder(reference) or Path(reference)
    if champion is None or not champion.version or folder is None or not (folder / PROVENANCE).is_file():
        return
    if (tags_of(champion.run) or {}).get(DIGEST) == file_sha256(folder / PROVENANCE):
        raise champion_already(task, champion.version, champion.run)
    check_fetched(read_provenance(folder).data.name)


def check_task(reference: str, task: str) -> None:
    """Makes sure that a model is of a task, as far as one look at files or database tells; the rest is left to MLflow.

    Raises:
        TrackingError: It is of another task.
    """
    if (made := known_task(reference)) and made != task:
        raise TrackingError(f"{reference} is a model for {made}, not for {task}. Promote it as {made}")


def check_settings(settings: Sequence[str]) -> None:
    """Makes sure that texts ``path=value`` can be read, and that some task has settings of these names.

    Raises:
        ConfigError: One cannot, or no task has it.
    """
    from nanonuclei.config.experiment import experiment_names
    from nanonuclei.config.params import Scalar, flatten, load_experiment, nearest_path, parse_settings
    from nanonuclei.stages.places import PARAMS

    wanted = parse_settings([text for text in settings if text])
    known: dict[str, Scalar] = {}
    for task in experiment_names() if wanted else ():
        try:
            known |= flatten(load_experiment(task, path=PARAMS))
        except ConfigError:  # the command may not read params.yaml, or the task has no section there
            return
    for name in wanted:
        if name not in known:
            raise ConfigError(f"unknown setting {name!r}. {nearest_path(name, known)}")


def check_prepared_task(task: str) -> None:
    """Makes sure that a task exists and the pipeline has prepared its images.

    Raises:
        ConfigError: There is no such task.
        DataError: The images are not prepared.
    """
    from nanonuclei.stages.pipeline.pinned import check_prepared

    task_package(task)
    check_prepared(task)


def check_trained_elsewhere(what: str, folder: str) -> None:
    """Makes sure that a folder holds a training that took place elsewhere.

    Args:
        what: Begin of the message, such as ``weights must be``.
        folder: The folder.

    Raises:
        NanonucleiError: It holds none, or is an address.
    """
    check_local("weights", folder)
    if not (Path(folder) / HISTORY).is_file():
        lacks = f"has no {HISTORY}" if Path(folder).is_dir() else "is none"
        raise NanonucleiError(
            f"{what} a folder that benchmarks/train_here.py wrote, but {folder} {lacks}. Check the path"
        )


def check_model(reference: str) -> None:
    """Makes sure that a run, a folder or a model that comes along exists; other URIs are looked up where they are read.

    Raises:
        TrackingError: There is none of that name.
    """
    if RUN_ID.fullmatch(reference) or (SHORT_RUN_ID.fullmatch(reference) and not Path(reference).exists()):
        check_holds_model(full_run_id(reference))
        return
    from nanonuclei.serving.named import check_name

    check_name(reference)


def known_task(reference: str) -> str:
    """Returns the task of a model, as far as one look at files or database tells; empty where it does not.

    Args:
        reference: Of a model that is there, see `check_model`.
    """
    from nanonuclei.serving.folder import CONFIG, stored_task
    from nanonuclei.serving.named import is_uri
    from nanonuclei.serving.shipped.places import shipped_folder
    from nanonuclei.serving.shipped.provenance import PROVENANCE, read_provenance

    if run := run_named(reference):
        return (tags_of(run) or {}).get("task", "")
    if is_uri(reference):
        return ""
    folder = shipped_folder(reference) or Path(reference)
    if (folder / PROVENANCE).is_file():
        return read_provenance(folder).task
    return stored_task(folder / CONFIG) if (folder / CONFIG).is_file() else ""


def run_named(reference: str) -> str:
    """Returns the id of the run that a reference to a model names or whose model it names; empty where it is not known.

    Raises:
        TrackingError: It is a run's id, and there is no such run.
    """
    from nanonuclei.serving.named import is_run, is_uri

    if is_run(reference):
        return full_run_id(reference)
    return run_behind(reference) if is_uri(reference) else ""
