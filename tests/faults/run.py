"""Kills commands with `kill -9` at random moments, each followed by the documented way on, and counts what is wrong.

    PYTHONPATH=src python tests/faults/run.py --times 20                      # all commands
    PYTHONPATH=src python tests/faults/run.py --times 20 --only predict,fetch

Equal seeds draw equal shares of a command's time. Exit status 1 where something is wrong.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path


def main(words: list[str] | None = None) -> int:
    """Kills, and prints one line per kill and per command."""
    from tests.faults.kills import base_project, kill_once, usual_seconds
    from tests.faults.scenarios import SCENARIOS

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=20, help="kills of each command (%(default)s)")
    parser.add_argument("--only", default=",".join(SCENARIOS), help="commands (%(default)s)")
    parser.add_argument("--first", type=int, default=0, help="seed of the first kill (%(default)s)")
    options = parser.parse_args(words)
    num_wrong = 0
    for name in options.only.split(","):
        scenario, wrong = SCENARIOS[name], 0
        with tempfile.TemporaryDirectory() as folder:
            base = base_project(scenario, Path(folder) / "base")
            usual = usual_seconds(scenario, base)
            for seed in range(options.first, options.first + options.times):
                outcome = kill_once(scenario, base, seed=seed, usual=usual)
                wrong += bool(outcome.problem)
                said = outcome.problem or "right"
                print(f"{name}, seed {seed}, killed after {outcome.killed_after:.1f} s: {said}", flush=True)
        print(f"{name:10}{options.times:4} kills within {usual:5.1f} s   {wrong} wrong", flush=True)
        num_wrong += wrong
    return 1 if num_wrong else 0


if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[2])
    sys.exit(main())
