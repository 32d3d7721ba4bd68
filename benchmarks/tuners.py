"""How soon Optuna with pruning finds what Keras Tuner's random search finds, and what a trial costs besides training.

search    For each seed, Keras Tuner draws `trials` settings at random and trains all of them to the end; Optuna with
          pruning then searches the same space, that of tuners.yaml, until its best trial is as good, or
          until it has trained for as long. Wanted: half of the time at most, in the median over the seeds.
overhead  Seconds per trial of the whole `tune` stage beside the training, MLflow's runs included, with SQLite and with
          PostgreSQL. Wanted: below 3.
load      Trials that train nothing, drawn by four workers on PostgreSQL: none may be lost or run twice.

    PYTHONPATH=src python benchmarks/tuners.py [search] [overhead] [load] [--trials 30] [--seeds 3] [--set ...]

All of it can be stopped and goes on with the same line: searches lie below `--workdir` and are continued, what was
measured is kept there. A PostgreSQL server is started from the installed programs, or named by `--postgresql URL`.
A search's time is that of the processor, in which other work on the machine does not count; beside it stand the epochs,
and the wall clock's seconds of training and validation, `fit_seconds`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "tune"))

import mlflow
import pandas as pd
from postgresql_server import NoServerError, server

from nanonuclei.config.params import flatten, with_settings
from nanonuclei.errors import NanonucleiError
from nanonuclei.report.compare_tables import as_markdown
from nanonuclei.stages.places import PARAMS
from nanonuclei.stages.prepare import prepared_dataset
from nanonuclei.stages.settings import Choices, resolve
from nanonuclei.stages.tune.trial import trial_data
from nanonuclei.stages.tune.tune import TuneOptions, tune
from nanonuclei.tasks.nuclei.config import NucleiExperiment
from nanonuclei.tune.base import COMPLETE, Search, TrialRecord, open_search
from nanonuclei.tune.objective import run_trial
from nanonuclei.writing import write_text

ROOT = Path(__file__).parents[1]
WORKER = ROOT / "tests" / "tune" / "worker.py"
PARTS = ("search", "overhead", "load")
TASK = Path(__file__).with_suffix(".yaml")
"""What is searched; what comes with --set goes on top."""
CPU = "cpu_seconds"
"""Of a trial, all threads together."""
NOTHING = "tune.epochs=1 train.steps_per_epoch=2 train.batch_size=2"
"""A training that is as good as none."""
MOST = 5
"""Optuna may take so many times the trials of Keras Tuner, should all be pruned early."""
NUM_WORKERS = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{' | '.join(PARTS)} (all)")
    parser.add_argument("--trials", type=int, default=30, help="of Keras Tuner's search (%(default)s)")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--dataset", default="auto")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="PATH=VALUE")
    parser.add_argument("--overhead-trials", type=int, default=8)
    parser.add_argument("--load-trials", type=int, default=500)
    parser.add_argument("--workdir", type=Path, default=Path("scratch/benchmarks/tuners"))
    parser.add_argument("--postgresql", metavar="URL")
    options = parser.parse_args()
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"unknown part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    parts = options.parts or PARTS
    options.workdir.mkdir(parents=True, exist_ok=True)
    for signum in (signal.SIGINT, signal.SIGTERM):  # also as a shell's background job, which would not hear the first
        signal.signal(signum, signal.default_int_handler)
    config = resolve(Choices("nuclei", options.dataset, TASK, tuple(options.settings)))
    try:
        if "search" in parts:
            say("searches", searches(config, num_seeds=options.seeds, trials=options.trials, workdir=options.workdir))
        if {"overhead", "load"} & set(parts):
            with _database(options.postgresql) as url:
                if "overhead" in parts:
                    say("overhead", overheads(config, url, trials=options.overhead_trials, workdir=options.workdir))
                if "load" in parts:
                    say("load", load(url, trials=options.load_trials, workdir=options.workdir))
    except KeyboardInterrupt:
        sys.exit("\nInterrupted. The same line goes on.")
    except NanonucleiError as error:
        sys.exit(f"Error: {error}")


def say(title: str, table: pd.DataFrame) -> None:
    cells = [
        ["-" if pd.isna(value) else f"{value:.4g}" if isinstance(value, float) else str(value) for value in row]
        for row in table.itertuples(index=False)
    ]
    print(f"\n{title}\n\n{as_markdown((list(table.columns), cells))}\n", flush=True)


def searches(config: NucleiExperiment, *, num_seeds: int, trials: int, workdir: Path) -> pd.DataFrame:
    """Runs, or goes on with, a pair of searches per seed; writes the course of each to `courses.csv`."""
    greater = config.tune.metric != "val/loss"
    rows, courses = [], []
    for seed in range(config.seed, config.seed + num_seeds):
        own = with_settings(config, {"seed": seed})
        there = _search(own, "keras-tuner", trials=trials, workdir=workdir)
        here = _search(own, "optuna", trials=1, workdir=workdir)
        a, b = course(there, greater_is_better=greater), course(here, greater_is_better=greater)
        budget = a["epochs"].iloc[-1]
        while not _reached(a, b, greater) and b["epochs"].iloc[-1] < budget and len(here) < MOST * trials:
            here = _search(own, "optuna", trials=len(here) + 1, workdir=workdir)
            b = course(here, greater_is_better=greater)
        courses += [a.assign(tuner="keras-tuner", seed=seed), b.assign(tuner="optuna", seed=seed)]
        spent, needed = a.iloc[-1], b.iloc[-1] if _reached(a, b, greater) else b.iloc[-1] * float("nan")
        rows.append(
            {
                "seed": seed,
                "Keras Tuner: best": spent["best"],
                "trials": len(there),
                "CPU s": spent["cpu"],
                "Optuna: best": b["best"].iloc[-1],
                "its trials": " ".join(f"{count} {state}" for state, count in Counter(r.state for r in here).items()),
                "its CPU s": b["cpu"].iloc[-1],
                "ratio of CPU s": needed["cpu"] / spent["cpu"],
                "of epochs": needed["epochs"] / spent["epochs"],
                "of wall-clock s": needed["seconds"] / spent["seconds"],
            }
        )
    pd.concat(courses).to_csv(workdir / "courses.csv", index=False)
    table = pd.DataFrame(rows)
    medians = [f"{table[name].fillna(float('inf')).median():.2f} {name}" for name in list(rows[0])[-3:]]
    print(f"\nMedians: {', '.join(medians)} (wanted: at most 0.5; inf: not reached)")
    return table


def course(records: Sequence[TrialRecord], *, greater_is_better: bool) -> pd.DataFrame:
    """Returns per trial the training until its end, ``cpu``, ``seconds`` and ``epochs``, and the best value so far.

    The best is that of the complete trials; a trial whose worker died counts as nothing.
    """
    figures = [record.outcome.figures for record in records]
    names = {"cpu": CPU, "seconds": "fit_seconds", "epochs": "num_epochs"}
    nothing = dict.fromkeys(names.values(), 0.0)
    spent = pd.DataFrame([each or nothing for each in figures], columns=list(names.values()), dtype=float)
    table = spent.set_axis(list(names), axis=1).cumsum(skipna=False)
    complete = [record.outcome.value if record.state == COMPLETE else None for record in records]
    best = pd.Series(complete, dtype=float)
    return table.assign(best=(best.cummax() if greater_is_better else best.cummin()).ffill())


def _reached(a: pd.DataFrame, b: pd.DataFrame, greater: bool) -> bool:
    """Returns whether the best value at the end of course `b` is as good as that of course `a`."""
    difference = b["best"].iloc[-1] - a["best"].iloc[-1]
    return bool(difference >= 0 if greater else difference <= 0)


def _search(config: NucleiExperiment, tuner: str, *, trials: int, workdir: Path) -> tuple[TrialRecord, ...]:
    catalog, _ = prepared_dataset(config, say=lambda text: None)
    data = trial_data(catalog, config)
    name = f"{tuner}-{config.seed}"
    same = {path: value for path, value in flatten(config).items() if not path.startswith("tune.")}
    same |= {"tune.epochs": config.tune.epochs, "split": catalog.split_fingerprint()}
    same |= {f"tune.space.{path}": str(span) for path, span in config.tune.space.items()}
    search = Search(name, config.tune, same, trials, seed=config.seed, folder=workdir / name)
    opened = open_search(tuner, search)

    def objective(proposal, report):
        folder, began = workdir / name / f"trial{proposal.number}", time.process_time()
        outcome = run_trial(config, proposal, data, folder=folder, report=report, on_epoch=lambda *_: None)
        outcome = replace(outcome, figures={**outcome.figures, CPU: time.process_time() - began})
        value = "" if outcome.value is None else f" {outcome.value:.4f}"
        print(f"{name} trial {proposal.number}: {outcome.state}{value} {outcome.error}", flush=True)
        return outcome

    opened.run(objective, say=print)
    return opened.records()


def overheads(config: NucleiExperiment, url: str | None, *, trials: int, workdir: Path) -> pd.DataFrame:
    """Measures the `tune` stage with both storages; what was measured before is kept."""
    mlflow.set_tracking_uri(f"sqlite:///{(workdir / 'mlflow.db').resolve()}")
    if mlflow.get_experiment_by_name("tuners") is None:
        mlflow.create_experiment("tuners", artifact_location=(workdir / "artifacts").resolve().as_uri())
    mlflow.set_experiment("tuners")
    settings = dict(item.split("=") for item in NOTHING.split())
    quick = with_settings(config, {path: int(value) for path, value in settings.items()})
    rows = []
    for storage, address in (("SQLite", None), ("PostgreSQL", url)):
        path = workdir / f"overhead-{storage}-{trials}.json"
        if not path.is_file():
            if storage == "PostgreSQL" and url is None:
                print("PostgreSQL: not measured, no server")
                continue
            study = f"overhead-{storage}-{int(time.time())}"
            run_id = tune(quick, options=TuneOptions("optuna", trials, storage=address, study=study))
            seconds = mlflow.get_run(run_id).data.metrics["trial_overhead_seconds"]
            write_text(path, json.dumps({"storage": storage, "trials": trials, "s per trial (median)": seconds}))
        rows.append(json.loads(path.read_text(encoding="utf-8")))
    return pd.DataFrame(rows)


def load(url: str | None, *, trials: int, workdir: Path) -> pd.DataFrame:
    """Lets four workers draw trials that train nothing; counts what was begun and ended."""
    path = workdir / f"load-{trials}.json"
    if url is None and not path.is_file():
        print("load: not measured, no PostgreSQL server")
        return pd.DataFrame()
    if not path.is_file():
        study = f"load-{int(time.time())}"
        folder = workdir / study
        folder.mkdir()
        task = {
            "params": str(PARAMS.resolve()),
            "settings": {},
            "study": study,
            "trials": trials,
            "seconds": 0.0,
            "folder": str(folder),
            "storage": url,
            "log": str(folder / "log.jsonl"),
        }
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        words = [sys.executable, str(WORKER), json.dumps(task)]
        workers = [subprocess.Popen(words, env=environment) for _ in range(NUM_WORKERS)]
        try:
            while len(list(folder.glob("ready-*"))) < NUM_WORKERS:
                if any(worker.poll() for worker in workers):
                    raise NanonucleiError("a worker did not start; its message stands above")
                time.sleep(0.1)
            started = time.perf_counter()
            (folder / "go").touch()
            codes = [worker.wait() for worker in workers]
            seconds = time.perf_counter() - started
        finally:
            for worker in workers:
                if worker.poll() is None:
                    worker.terminate()
                    worker.wait()
        ended = Counter(
            note["number"]
            for note in map(json.loads, (folder / "log.jsonl").read_text(encoding="utf-8").splitlines())
            if note["event"] == "end"
        )
        measured = {
            "workers": NUM_WORKERS,
            "trials": trials,
            "ended once": sum(count == 1 for count in ended.values()),
            "run twice": sum(count > 1 for count in ended.values()),
            "lost": trials - len(ended),
            "workers that failed": sum(code != 0 for code in codes),
            "s": round(seconds, 1),
            "s per trial and worker": round(seconds * NUM_WORKERS / trials, 3),
        }
        write_text(path, json.dumps(measured))
    return pd.DataFrame([json.loads(path.read_text(encoding="utf-8"))])


@contextlib.contextmanager
def _database(url: str | None) -> Iterator[str | None]:
    """Yields the URL of a server: the one named, or one of its own; None where its programs are not installed."""
    if url:
        yield url
        return
    with contextlib.ExitStack() as held:
        try:
            started: str | None = held.enter_context(server())
        except NoServerError as error:
            print(error)
            started = None
        yield started


if __name__ == "__main__":
    main()
