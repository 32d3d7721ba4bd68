"""Makes the scripts of benchmarks/ importable, as running one of them does."""

from __future__ import annotations

import re
import sys
from pathlib import Path

FOLDER = str(Path(__file__).parents[2] / "benchmarks")
if FOLDER not in sys.path:
    sys.path.append(FOLDER)


def unpadded(table: str) -> str:
    """Returns a Markdown table whose cells have one space to either side."""
    return re.sub(r" {2,}", " ", table)
