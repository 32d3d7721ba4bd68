"""Requests for the servers of a lab."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

import pytest


@pytest.fixture(scope="session")
def request_body() -> Callable[[bytes], bytes]:
    """Writes a request for one image, given as the bytes of its file."""

    def write(content: bytes) -> bytes:
        table = {"columns": ["image"], "data": [[base64.b64encode(content).decode()]]}
        return json.dumps({"dataframe_split": table}).encode()

    return write
