"""Runs hostile cases against the reader of image files, `fetch` and the decoding of requests, and counts what comes.

    PYTHONPATH=src python tests/hostile/run.py --cases 2000

Equal numbers are equal cases; `--first N --cases 1` repeats one. Exit status 1 where there is a fault.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path


def main(words: list[str] | None = None) -> int:
    """Runs the cases and prints a table, and every fault."""
    from tests.hostile.verdicts import judge, peak_bytes

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=2000, help="how many (%(default)s)")
    parser.add_argument("--first", type=int, default=0, help="number of the first (%(default)s)")
    options = parser.parse_args(words)
    counts: Counter[tuple[str, str]] = Counter()
    faults, slowest, started = [], 0.0, time.perf_counter()
    for number in range(options.first, options.first + options.cases):
        verdict = judge(number)
        slowest = max(slowest, verdict.seconds)
        counts[verdict.target, "fault" if verdict.is_fault else verdict.outcome] += 1
        if verdict.is_fault:
            faults.append(verdict)
            print(f"case {number}, {verdict.target}: {verdict.outcome[:200]}", flush=True)
    for (target, outcome), count in sorted(counts.items()):
        print(f"{target:8}{outcome:16}{count:6}")
    seconds = time.perf_counter() - started
    print(
        f"{options.cases} cases in {seconds:.0f} s, the slowest in {slowest:.1f} s; peak memory "
        f"{peak_bytes() / 1e6:.0f} MB; {len(faults)} faults"
    )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[2])
    sys.exit(main())
