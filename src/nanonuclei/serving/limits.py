"""What may be asked of a server or of the page at a time: pixels, bytes, threads. Imports no MLflow."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from nanonuclei.errors import ConfigError

REQUEST_LIMITS = {"max_pixels": 8192 * 8192, "max_bytes": 256 * 2**20, "threads": 0, "memory": 1_500_000_000}
"""What a server may do: pixels of the images and bytes of the body of a request, threads (0: all cores), and bytes of
memory. It accepts fewer pixels and bytes where memory or speed ask for that, see `serving.admission.capacity`."""

VARIABLES = {name: f"NANONUCLEI_{name.upper()}" for name in REQUEST_LIMITS}
"""Environment variables that change the limits, before the model's own configuration."""


def limits(model_config: Mapping[str, Any]) -> dict[str, int]:
    """Returns the limits: of the environment, else of the model's configuration, else `REQUEST_LIMITS`.

    Raises:
        ConfigError: One is no whole number of 0 or more.
    """
    found: dict[str, int] = {}
    for name, usual in REQUEST_LIMITS.items():
        value = os.environ.get(VARIABLES[name], model_config.get(name, usual))
        if not str(value).isdecimal():
            raise ConfigError(f"{VARIABLES[name]} must be a whole number of 0 or more, got {value!r}. Correct it")
        found[name] = int(value)
    return found
