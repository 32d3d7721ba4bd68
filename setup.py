"""Adds `params.yaml`, `recipes/` and `models/` to the wheel; all else about the package stands in `pyproject.toml`."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithDefaults(build_py):
    """Copies the files that DVC and users read at the root of the repository into the package `nanonuclei`."""

    def run(self) -> None:
        """Builds the package, then adds the copies; an editable installation reads the files of the clone instead."""
        super().run()
        if self.editable_mode:
            return
        models = sorted(path for path in Path("models").rglob("*") if path.is_file())
        for path in (Path("params.yaml"), *sorted(Path("recipes").glob("*.yaml")), *models):
            target = Path(self.build_lib, "nanonuclei", "defaults", path)
            self.mkpath(str(target.parent))
            self.copy_file(str(path), str(target))


setup(cmdclass={"build_py": BuildWithDefaults})
