"""Trains on panels of some papers, scores those of others: what a network that marks nanotubes does on unseen papers.

    PYTHONPATH=src python benchmarks/leave_papers_out.py PREPARED PANELS --recipe recipes/nanotubes.yaml
    PYTHONPATH=src python benchmarks/leave_papers_out.py PREPARED PANELS --network NETWORK.keras --each

PREPARED is a folder of prepared images as the prepare stage writes it, PANELS a folder with annotations.csv and
panels.csv. Papers are dealt to folds; a network is trained per fold on all images but the fold's panels, and its maps
of those are kept in `--out`. Thresholds that are left open are chosen per fold on the panels of the other folds. Prints
recall, precision and F1 with 95 % intervals over papers, see `panels`. A fold whose maps are there is not trained
again. `--figure FILE` draws true and found lines of the panels that `--show` names.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray
from panels import COUNTS, Panel, intervals, rates, read_panels, score_panel

from nanonuclei.config.params import load_experiment, parse_settings, with_settings
from nanonuclei.config.recipes import load_recipe
from nanonuclei.data.catalog import SampleRef, load_catalog
from nanonuclei.imaging.types import Float32Array
from nanonuclei.tasks.nanotubes.config import NanotubeExperiment
from nanonuclei.tasks.nanotubes.lines.candidates import to_instances
from nanonuclei.tasks.nanotubes.reader import NanotubeReader

if TYPE_CHECKING:
    import keras

THRESHOLDS = (0.3, 0.5, 0.7)
"""Values of `tubes.window_threshold` that are tried where it is auto."""

SCORES = (0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9)
"""Values of `tubes.min_score` that are tried where it is auto."""

SHOWN = ("meso_G", "hek_wga", "mono_wga", "rpe_wga", "sheet_b", "renal_C")
"""Panels of the figure."""

SIDE, GAP = 300, 6
"""Height of a panel in the figure, and the gap between panels, px."""

TRUE, DOUBTFUL, FOUND = (64, 160, 255), (255, 220, 64), (255, 64, 160)
"""Colours of lines, RGB."""

Choice = tuple[float, float]
"""`tubes.window_threshold` and `tubes.min_score`."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prepared", type=Path)
    parser.add_argument("panels", type=Path)
    parser.add_argument("--recipe", type=Path, default=Path("recipes/nanotubes.yaml"))
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="PATH=VALUE")
    parser.add_argument("--out", type=Path, default=Path("scratch/papers"), help="folder of the maps (%(default)s)")
    parser.add_argument("--folds", type=int, default=3, help="%(default)s")
    parser.add_argument("--network", type=Path, help="a network that has seen no panel, in place of trainings")
    parser.add_argument("--figure", type=Path, help="a picture of true and found lines, JPEG or PNG")
    parser.add_argument("--show", nargs="*", default=list(SHOWN), metavar="PANEL", help="panels of the figure")
    parser.add_argument("--each", action="store_true", help="a row per panel")
    options = parser.parse_args()
    settings = {**load_recipe(options.recipe), **parse_settings(options.settings)}
    config = load_experiment("nanotubes", path=Path("params.yaml"), settings=settings)
    assert isinstance(config, NanotubeExperiment)
    panels = read_panels(options.panels)
    folds = deal(panels, options.folds)
    options.out.mkdir(parents=True, exist_ok=True)
    for number, fold in enumerate(folds):
        missing = [panel for panel in fold if not (options.out / f"{panel.name}.npy").is_file()]
        if missing and options.network is not None:
            write_maps(config, keras_network(options.network), missing, out=options.out)
        elif missing:
            print(f"fold {number}: training without {', '.join(sorted({p.paper for p in fold}))}", flush=True)
            left_out = {panel.name for panel in fold}
            train = [s for s in load_catalog(options.prepared).samples if s.sample_id not in left_out]
            held_out = [s for s in load_catalog(options.prepared).samples if s.sample_id in left_out]
            network = train_fold(config, train, held_out, out=options.out / f"fold-{number}")
            write_maps(config, network, missing, out=options.out)
    maps = {panel.name: np.load(options.out / f"{panel.name}.npy").astype(np.float32) for panel in panels}
    rows = dict(zip([panel.name for panel in panels], np.zeros((len(panels), len(COUNTS))), strict=True))
    tables = {panel.name: table(panel, maps[panel.name], config) for panel in panels}
    drawn: dict[str, NDArray[np.uint8]] = {}
    for number, fold in enumerate(folds):
        others = [panel for other in folds[:number] + folds[number + 1 :] for panel in other]
        choice = best_choice(others, tables)
        print(f"fold {number}: window_threshold {choice[0]:g}, min_score {choice[1]:g}")
        rows |= {panel.name: tables[panel.name][choice] for panel in fold}
        drawn |= {p.name: picture(p, maps[p.name], config, choice) for p in fold if p.name in options.show}
    if options.figure is not None:
        write_figure([drawn[name] for name in options.show], options.figure)
    report("out of fold, thresholds chosen on the other folds", panels, rows, each=options.each)
    choice = best_choice(panels, tables)
    report(
        f"out of fold, window_threshold {choice[0]:g} and min_score {choice[1]:g} chosen on all folds",
        panels,
        {panel.name: tables[panel.name][choice] for panel in panels},
        each=False,
    )


def deal(panels: Sequence[Panel], number: int) -> list[list[Panel]]:
    """Deals papers to folds, those with most nanotubes first, to the fold that has fewest."""
    papers = {paper: [p for p in panels if p.paper == paper] for paper in sorted({p.paper for p in panels})}
    folds: list[list[Panel]] = [[] for _ in range(number)]
    for own in sorted(papers.values(), key=lambda own: -sum(len(p.sure) for p in own)):
        min(folds, key=lambda fold: (sum(len(p.sure) for p in fold), len(fold))).extend(own)
    return folds


def train_fold(
    config: NanotubeExperiment, train: Sequence[SampleRef], held_out: Sequence[SampleRef], *, out: Path
) -> keras.Model:
    """Trains without some panels; `out` is the working folder."""
    import keras

    from nanonuclei.engine.train import fit
    from nanonuclei.tasks import create_task

    keras.backend.clear_session()
    # Nothing is chosen by the validation: the last weights are kept.
    task = create_task(with_settings(config, {"train.keep": "last", "train.early_stopping_patience": 0}))
    return fit(task, train, held_out, workdir=out).model


def keras_network(path: Path) -> keras.Model:
    """Reads a trained network."""
    import nanonuclei.tasks.nanotubes.marking.network  # noqa: F401 - registers the layers of the network
    from nanonuclei.engine.export import load_network

    return load_network(path)


def write_maps(config: NanotubeExperiment, model: keras.Model, panels: Sequence[Panel], *, out: Path) -> None:
    """Writes the maps of panels, ``(height, width)`` float16 each."""
    from nanonuclei.engine.networks import network_of
    from nanonuclei.tasks import create_task

    task = create_task(config)
    network = network_of(task, model)
    for panel in panels:
        (score_map,) = task.score_maps(network, [task.network_input(panel.image)])
        np.save(out / f"{panel.name}.npy", score_map[..., 0].astype(np.float16))


def table(panel: Panel, scores: Float32Array, config: NanotubeExperiment) -> dict[Choice, NDArray[np.float64]]:
    """Returns the `COUNTS` of a panel for each choice of thresholds that the config leaves open."""
    grey = NanotubeReader(config).network_input(panel.image)[..., 0]
    score_map = np.stack([scores, grey], axis=-1)
    found: dict[Choice, NDArray[np.float64]] = {}
    tubes = config.tubes
    thresholds = THRESHOLDS if tubes.window_threshold == "auto" else (tubes.window_threshold,)
    for threshold in thresholds:
        reader = NanotubeReader(with_settings(config, {"tubes.window_threshold": threshold}))
        cells = reader.cells(score_map)
        for least in SCORES if tubes.min_score == "auto" else (tubes.min_score,):
            candidates = reader.candidates(score_map, cells, min_score=least)
            found[threshold, least] = score_panel(panel, to_instances(candidates, panel.shape).pixels() > 0)
    return found


def picture(panel: Panel, scores: Float32Array, config: NanotubeExperiment, choice: Choice) -> NDArray[np.uint8]:
    """Returns a panel beside itself with its lines: true and doubtful ones, and a bit aside the found ones."""
    settings = {"tubes.window_threshold": choice[0], "tubes.min_score": choice[1]}
    reader = NanotubeReader(with_settings(config, settings))
    grey = reader.network_input(panel.image)[..., 0]
    score_map = np.stack([scores, grey], axis=-1)
    plain = panel.image if panel.image.ndim == 3 else np.repeat(panel.image[..., None], 3, axis=-1)
    zoom = SIDE / panel.shape[0]
    small = cv2.resize(plain, (round(panel.shape[1] * zoom), SIDE), interpolation=cv2.INTER_AREA)
    lined = (small * 0.6).astype(np.uint8)
    for lines, colour in ((panel.doubtful, DOUBTFUL), (panel.sure, TRUE)):
        for line in lines:
            cv2.polylines(lined, [np.rint(line * zoom).astype(np.int32)], False, colour, 2, cv2.LINE_AA)
    for candidate in reader.candidates(score_map, reader.cells(score_map)):
        points = np.rint(candidate.line.points[:, ::-1] * zoom).astype(np.int32) + 3
        cv2.polylines(lined, [points], False, FOUND, 2, cv2.LINE_AA)
    return np.concatenate([small, np.full((SIDE, GAP // 2, 3), 255, np.uint8), lined], axis=1)


def write_figure(pictures: Sequence[NDArray[np.uint8]], path: Path) -> None:
    """Writes pictures two in a row."""
    rows = [pictures[first : first + 2] for first in range(0, len(pictures), 2)]
    gap = np.full((SIDE, GAP, 3), 255, np.uint8)
    joined = [np.concatenate([part for one in row for part in (one, gap)], axis=1) for row in rows]
    widest = max(row.shape[1] for row in joined)
    padded = [np.pad(row, ((0, GAP), (0, widest - row.shape[1]), (0, 0)), constant_values=255) for row in joined]
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.concatenate(padded)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 82])


def best_choice(panels: Sequence[Panel], tables: Mapping[str, Mapping[Choice, NDArray[np.float64]]]) -> Choice:
    """Returns the thresholds of the highest strict F1 over some panels, the mean of its neighbours deciding.

    A single peak of a grid is mostly luck: each choice is judged with those beside it.
    """
    choices = list(tables[panels[0].name])
    firsts, seconds = (sorted({choice[axis] for choice in choices}) for axis in (0, 1))
    f1 = np.array(
        [
            [rates(np.sum([tables[p.name][one, two] for p in panels], axis=0))["strict_f1"] for two in seconds]
            for one in firsts
        ]
    )
    padded = np.pad(f1, 1, mode="edge")
    places = itertools.product((0, 1, 2), (0, 1, 2))
    smooth = np.mean([padded[y : y + f1.shape[0], x : x + f1.shape[1]] for y, x in places], axis=0)
    row, column = np.unravel_index(int(np.argmax(smooth)), smooth.shape)
    return firsts[row], seconds[column]


def report(name: str, panels: Sequence[Panel], rows: Mapping[str, NDArray[np.float64]], *, each: bool) -> None:
    """Prints the rates over all panels."""
    counts = np.array([rows[panel.name] for panel in panels])
    if each:
        for panel, row in zip(panels, counts.astype(int).tolist(), strict=True):
            print(f"  {panel.name:14}", ", ".join(f"{key} {n}" for key, n in zip(COUNTS, row, strict=True)))
    figures, spread = rates(counts.sum(axis=0)), intervals(panels, counts)
    parts = [f"{key} {float(v):.3f} ({spread[key][0]:.2f} to {spread[key][1]:.2f})" for key, v in figures.items()]
    totals = dict(zip(COUNTS, counts.sum(axis=0).astype(int).tolist(), strict=True))
    print(f"{name}: {totals['found']} of {totals['tubes']} nanotubes, {totals['lines']} lines; {', '.join(parts)}")


if __name__ == "__main__":
    main()
