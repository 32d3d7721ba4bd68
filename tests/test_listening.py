"""A port that is taken, and a host of another machine, are told before a server begins."""

from __future__ import annotations

import re

import pytest

from nanonuclei.errors import ConfigError
from nanonuclei.listening import bound


def test_a_port_that_is_taken_is_told() -> None:
    with bound("127.0.0.1", 0) as first:
        first.listen()
        port = first.getsockname()[1]
        with pytest.raises(ConfigError, match=re.escape(f"127.0.0.1:{port} cannot be used")):
            bound("127.0.0.1", port)


@pytest.mark.parametrize("host", ["192.0.2.1", "999.1.1.1", "a..b", "x" * 80])
def test_a_host_that_is_not_of_this_machine_is_told(host: str) -> None:
    with pytest.raises(ConfigError, match=r"must be an address of this machine|cannot be used"):
        bound(host, 0)
