"""Starts the command line: `nanonuclei`, `python -m nanonuclei`, or `python src/nanonuclei` without an installation."""

import os
import sys
from pathlib import Path

SOURCES = str(Path(__file__).resolve().parents[1])


def find_own_package() -> None:
    """Has this process and its children import the package from the folder that holds this file.

    `python src/nanonuclei` puts that folder itself first on the path of modules, where `import nanonuclei` finds
    nothing.
    """
    sys.path[0] = SOURCES
    others = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path and path != SOURCES]
    os.environ["PYTHONPATH"] = os.pathsep.join([SOURCES, *others])


def main() -> int:
    """Runs the command line and returns its exit status; 2 where this Python lacks the packages."""
    try:
        from nanonuclei.cli import main as run
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("nanonuclei"):
            raise
        lock = Path(SOURCES).parent / "requirements.txt"
        remedy = f"`uv pip install -r {lock}`" if lock.is_file() else "the package anew"
        print(
            f"Error: {sys.executable} lacks the package {error.name}. Install {remedy} into its environment, or "
            "activate the one that has it",
            file=sys.stderr,
        )
        return 2
    return run()


if __name__ == "__main__":
    if not __package__:  # started as a folder
        find_own_package()
    sys.exit(main())
