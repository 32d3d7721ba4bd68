"""What tests need that run the product in a copy of the project: its environment, and the runs it logged."""

from __future__ import annotations

import os
import sqlite3
import sys
from pathlib import Path


def environment(clone: Path, **more: str) -> dict[str, str]:
    """Returns variables under which Python's own programs and the package of the clone are found."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
    return {**kept, "PATH": path, "PYTHONPATH": str(clone / "src"), "PYTHONUNBUFFERED": "1", **more}


def runs(clone: Path) -> dict[str, dict[str, str]]:
    """Returns the tags of every run, with its state, read straight from the database."""
    with sqlite3.connect(clone / "mlflow.db") as database:
        found = {row[0]: {"state": row[1]} for row in database.execute("select run_uuid, status from runs")}
        for run_id, key, value in database.execute("select run_uuid, key, value from tags"):
            found[run_id][key] = value
    return found
