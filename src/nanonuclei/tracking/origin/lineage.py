"""Which data, split, settings and code made a model: walked back from it and compared with what can be seen here.

`tracking.facts` records; this module believes nothing of it that another witness cannot confirm: the run's tags, the
stored model's bytes, the logged catalog, the commit, the files in `data/`, DVC's cache.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import mlflow
import pandas as pd
import yaml
from mlflow.exceptions import MlflowException

from nanonuclei.config.params import flatten
from nanonuclei.data.catalog import fingerprint_of_table
from nanonuclei.data.versions import cache_folder, file_md5
from nanonuclei.errors import DataError, TrackingError
from nanonuclei.tracking.database import FAILING, not_answering
from nanonuclei.tracking.facts import FACTS, TAG, model_md5
from nanonuclei.tracking.origin.data import compare_data
from nanonuclei.tracking.origin.parents import compare_parent
from nanonuclei.tracking.origin.restoring import Restoring, pinned_in, restoring
from nanonuclei.tracking.runs import existing_run, first_line

Verdict = Literal["holds", "broken", "unknown"]
Recorded = Mapping[str, str]


@dataclass(frozen=True)
class Check:
    """One comparison.

    Attributes:
        run_id: The run whose record was checked.
        subject: What was compared, in a word.
        verdict: ``unknown`` where the other witness is not here.
        detail: What was seen, and the remedy.
    """

    run_id: str
    subject: str
    verdict: Verdict
    detail: str


@dataclass(frozen=True)
class Lineage:
    """A chain of runs, from the one asked for back to the data, and all checks of it.

    Attributes:
        chain: What each run recorded.
        checks: In the order of the chain.
        restoring: How code and data are brought back to that state.
    """

    chain: tuple[Recorded, ...]
    checks: tuple[Check, ...]
    restoring: Restoring = field(default_factory=Restoring)

    @property
    def holds(self) -> bool:
        """Whether every check was made and holds."""
        return all(check.verdict == "holds" for check in self.checks)


def trace(reference: str, *, data: Path = Path("data"), cache: Path | None = None) -> Lineage:
    """Walks from a run or model to the data and checks every step.

    Args:
        reference: A run's id, or ``models:/NAME@ALIAS``, ``models:/NAME/VERSION``, ``models:/m-ID``.
        data: Folder of the datasets.
        cache: DVC's cache; the configured one where None.

    Raises:
        TrackingError: There is no such run or model, or it recorded no lineage.
    """
    chain: list[Recorded] = []
    checks: list[Check] = []
    waiting = [run_of(reference)]
    while waiting:
        run_id = waiting.pop(0)
        recorded = recorded_facts(run_id)
        chain.append(recorded)
        checks += _check_run(recorded, chain[0])
        upstream = [value for name, value in recorded.items() if name.startswith("upstream.")]
        waiting += [other for other in upstream if other not in {r["run_id"] for r in chain} and other not in waiting]
    kept = cache or cache_folder()
    pin = pinned_in(chain[0].get("git.commit"), git=_git)
    for recorded in chain:
        for subject, dataset in (("data", "dataset"), ("replayed", "replayed")):
            if (subject == "data" and recorded is not chain[0]) or dataset not in recorded:
                continue  # the chain has one dataset
            name, wanted = recorded[dataset], recorded.get(f"{dataset}_md5")
            checks += _guarded(
                recorded, subject, lambda n=name, w=wanted: compare_data(n, w, data=data, cache=kept, committed=pin)
            )
    old = {name: one[name] for one in chain for name in ("replayed", "replayed_md5") if name in one}
    return Lineage(tuple(chain), tuple(checks), restoring({**old, **chain[0]}, data=data, cache=kept, git=_git))


def run_of(reference: str) -> str:
    """Returns the id of the run that logged a model.

    Args:
        reference: As in `trace`.

    Raises:
        TrackingError: There is no such run or model, or no run logged it.
    """
    if not reference.startswith("models:/"):
        run_id: str = existing_run(reference).info.run_id
        return run_id
    try:
        found: str | None = mlflow.models.get_model_info(reference).run_id
    except MlflowException as error:
        if error.error_code in FAILING:
            raise not_answering(error) from error
        raise TrackingError(f"no model {reference!r}: {first_line(error)}") from error
    if found is None:
        raise TrackingError(f"model {reference} was not logged by a run, so nothing is known of where it comes from")
    return found


def recorded_facts(run_id: str) -> Recorded:
    """Returns what a run's stage knew of itself, see `tracking.facts`.

    Raises:
        TrackingError: There is no such run, or it recorded nothing.
    """
    existing_run(run_id)
    try:
        recorded: dict[str, str] = mlflow.artifacts.load_dict(f"runs:/{run_id}/{FACTS}")
    except MlflowException as error:
        raise TrackingError(
            f"run {run_id} recorded no lineage ({FACTS}): its stage did not end, or is none that makes a model"
        ) from error
    return recorded


def _check_run(recorded: Recorded, first: Recorded) -> Iterator[Check]:
    for subject, check in (
        ("tags", _tags),
        ("chain", lambda r: _chain(r, first)),
        ("split", _split),
        ("parent", compare_parent),
        ("model", _model),
        ("code", _code),
        ("settings", _settings),
        ("environment", _environment),
    ):
        yield from _guarded(recorded, subject, lambda check=check: check(recorded))  # type: ignore[misc]


def _guarded(recorded: Recorded, subject: str, check: Callable[[], tuple[Verdict, str] | None]) -> Iterator[Check]:
    try:
        answer = check()
    except (MlflowException, OSError, DataError, ValueError, KeyError, yaml.YAMLError) as error:
        answer = ("unknown", first_line(error))
    if answer is not None:
        yield Check(recorded["run_id"], subject, *answer)


def _tags(recorded: Recorded) -> tuple[Verdict, str]:
    run = existing_run(recorded["run_id"])
    tags = run.data.tags
    expected = {f"{TAG}{name}": value for name, value in recorded.items()}
    names = {"split_fingerprint": "split.fingerprint", "model_uri": "model.uri", "dataset": "dataset.name"}
    names |= {"git.commit": "git.commit", "git.dirty": "git.dirty"}
    expected |= {tag: recorded[name] for name, tag in names.items() if name in recorded}
    wrong = [
        f"{tag} is {tags.get(tag)!r}, recorded {value!r}" for tag, value in expected.items() if tags.get(tag) != value
    ]
    if run.info.status != "FINISHED":
        wrong.append(f"the run is {run.info.status}")
    if wrong:
        return "broken", "; ".join(wrong)
    return "holds", f"{len(expected)} tags agree with the record"


def _chain(recorded: Recorded, first: Recorded) -> tuple[Verdict, str] | None:
    if recorded is first:
        return None
    shared = ["dataset", "dataset_md5", "split_fingerprint"]
    if recorded["stage"] == "train":
        shared.append("network_md5")
    wrong = [
        f"{name} is {recorded.get(name)!r}, in run {first['run_id']} {first.get(name)!r}"
        for name in shared
        if recorded.get(name) != first.get(name)
    ]
    if wrong:
        return "broken", "; ".join(wrong)
    return "holds", f"{', '.join(shared)} are those of run {first['run_id'][:8]}"


def _split(recorded: Recorded) -> tuple[Verdict, str] | None:
    if recorded["stage"] in ("evaluate", "ship"):
        return None  # reads what prepare wrote, the chain compares the fingerprints; or has no images here
    text = mlflow.artifacts.load_text(f"runs:/{recorded['run_id']}/data/catalog.csv")
    found = fingerprint_of_table(pd.read_csv(io.StringIO(text), dtype=str))
    if found != recorded["split_fingerprint"]:
        return "broken", f"the logged catalog has fingerprint {found}, recorded {recorded['split_fingerprint']}"
    return "holds", f"the logged catalog has fingerprint {found}"


def _model(recorded: Recorded) -> tuple[Verdict, str] | None:
    if "model_uri" not in recorded:
        return None
    uri = recorded["model_uri"]
    found = model_md5(uri)
    if found != recorded["model_md5"]:
        return "broken", f"the files of {uri} have md5 {found}, recorded {recorded['model_md5']}. Do not use that model"
    if "network_md5" in recorded:
        network = Path(mlflow.artifacts.download_artifacts(uri)) / "artifacts" / "network.keras"
        if file_md5(network) != recorded["network_md5"]:
            return "broken", f"the network in {uri} is not the one that was trained, md5 {recorded['network_md5']}"
    return "holds", f"all files of {uri} are as they were logged"


def _code(recorded: Recorded) -> tuple[Verdict, str]:
    commit = recorded.get("git.commit")
    if commit is None:
        return "broken", "made outside of a git repository: the code is not known"
    if _git("cat-file", "-e", f"{commit}^{{commit}}") is None:
        return "unknown", f"commit {commit} is not in this repository. `git fetch` it"
    if recorded["git.dirty"] == "true":
        return "broken", f"made with changes that commit {commit[:12]} does not hold: the code is not known"
    return "holds", f"commit {commit[:12]} is here, and nothing beside it was used"


def _settings(recorded: Recorded) -> tuple[Verdict, str] | None:
    run = existing_run(recorded["run_id"])
    commit = recorded.get("git.commit")
    if "pipeline" not in run.data.tags or commit is None:
        return None  # the settings of a single run came from its command line
    text = _git("show", f"{commit}:params.yaml")
    if text is None:
        return "unknown", f"params.yaml of commit {commit} is not here. `git fetch` it"
    expected = {path: str(value) for path, value in flatten(yaml.safe_load(text)[recorded["task"]]).items()}
    expected["data.dataset"] = recorded["dataset"]
    logged = {path: value for path, value in run.data.params.items() if path in expected}
    wrong = [
        f"{path} was {value}, committed {expected[path]}" for path, value in logged.items() if value != expected[path]
    ]
    if wrong or not logged:
        return "broken", "; ".join(wrong) or "the run logged no settings"
    return "holds", f"{len(logged)} settings are those of params.yaml in commit {commit[:12]}"


def _environment(recorded: Recorded) -> tuple[Verdict, str] | None:
    commit = recorded.get("git.commit")
    if "environment_md5" not in recorded or commit is None:
        return None
    text = _git("show", f"{commit}:requirements.txt")
    if text is None:
        return "unknown", f"requirements.txt of commit {commit} is not here. `git fetch` it"
    found = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    if found != recorded["environment_md5"]:
        return "broken", f"requirements.txt had md5 {recorded['environment_md5']}, committed is {found}"
    return "holds", "requirements.txt is the committed one"


def _git(*arguments: str) -> str | None:
    """Returns what git prints, unchanged, or None where it refuses."""
    done = subprocess.run(["git", *arguments], check=False, capture_output=True, timeout=20)
    return done.stdout.decode() if done.returncode == 0 else None


def describe(lineage: Lineage) -> str:
    """Returns the chain, the checks and the commands as plain text."""
    lines = []
    for recorded in lineage.chain:
        lines.append(f"{recorded['stage']:9} {recorded['run_id']}  commit {recorded.get('git.commit', '-')[:12]}")
        lines += [
            f"  {check.verdict:8} {check.subject:12} {check.detail}"
            for check in lineage.checks
            if check.run_id == recorded["run_id"]
        ]
    lines += [
        "",
        "To bring that state back:",
        *(f"  {text}" for text in lineage.restoring.commands),
        *lineage.restoring.notes,
    ]
    return "\n".join(lines)
