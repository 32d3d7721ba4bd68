"""How soon the page answers: an image dropped, then a slider moved, over HTTP on loopback.

Images are a simulated example that comes along, repeated to each size, and turned. Prints a row per size: seconds from
the first byte of the upload to the objects; of an answer to the threshold; the number of objects. The best of several
counts, as other programs of the machine take time as well.

    PYTHONPATH=src python benchmarks/page.py
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import requests

from nanonuclei.page.door import ASKER, PAGE

EXAMPLE = Path(__file__).parents[1] / "models" / "nuclei" / "examples" / "simulated-3.png"
SIDES = (256, 512, 1024)
THRESHOLDS = (0.35, 0.45, 0.55, 0.65)
TURNS = 3
VIEW = {"channel": 0, "z": "max", "scene": 0, "time": 0}


def asked(url: str, **more: object) -> dict[str, object]:
    answer = requests.post(url, headers={ASKER: PAGE}, timeout=600, **more)  # type: ignore[arg-type]
    answer.raise_for_status()
    found: dict[str, object] = answer.json()
    return found


def measure(url: str, side: int) -> tuple[float, float, int]:
    """Returns the least seconds of a first answer and of a slider, and the number of objects."""
    example = cv2.imread(str(EXAMPLE), cv2.IMREAD_GRAYSCALE)
    times = -(-side // example.shape[0])
    image, first, moved, count = np.tile(example, (times, times))[:side, :side], [], [], 0
    for turn in range(TURNS):
        content = cv2.imencode(".png", np.rot90(image, turn))[1].tobytes()
        started = time.perf_counter()
        key = asked(f"{url}/api/images", data=content)["id"]
        answer = asked(f"{url}/api/images/{key}/objects", json={"view": VIEW, "values": {}})
        first.append(time.perf_counter() - started)
        count = int(str(answer["count"]))
        for threshold in THRESHOLDS:
            started = time.perf_counter()
            asked(f"{url}/api/images/{key}/objects", json={"view": VIEW, "values": {"threshold": threshold}})
            moved.append(time.perf_counter() - started)
    return min(first), min(moved), count


def main() -> None:
    """Starts a page, measures, prints."""
    words = [sys.executable, "-u", "-m", "nanonuclei", "page", "--port", "0", "--no-browser"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as page:
        assert page.stdout is not None
        told = next(line for line in page.stdout if line.startswith("The page is at "))
        print("side px | first answer s | slider s | objects")
        for side in SIDES:
            seconds, moved, count = measure(told.split()[4], side)
            print(f"{side} | {seconds:.2f} | {moved:.3f} | {count:,}", flush=True)
        page.terminate()
        page.communicate()


if __name__ == "__main__":
    main()
