"""A port of this machine for a server, taken before anything slow is begun."""

from __future__ import annotations

import errno
import os
import socket

from nanonuclei.errors import ConfigError
from nanonuclei.invocation import option


def bound(host: str, port: int) -> socket.socket:
    """Returns a socket that is bound to an address and does not listen yet.

    Args:
        host: Name or number of an address of this machine.
        port: Number of a port; 0 for any that is free.

    Raises:
        ConfigError: It is no address of this machine, or in use.
    """
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        found = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        told = error.strerror if isinstance(error, OSError) else "no name of a host"
        raise _not_of_this_machine(host, told) from error
    try:
        if os.name == "posix":
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(place)
    except OSError as error:
        found.close()
        if error.errno == errno.EADDRNOTAVAIL:
            raise _not_of_this_machine(host, error.strerror) from error
        raise cannot_be_used(host, port, error) from error
    return found


def _not_of_this_machine(host: str, told: str | None) -> ConfigError:
    return ConfigError(f"host must be an address of this machine, got {host!r} ({told}). Leave it out")


def cannot_be_used(host: str, port: int, error: OSError) -> ConfigError:
    """Returns the error that tells that an address is in use, or not this machine's."""
    return ConfigError(
        f"a free port of this machine is needed, but {host}:{port} cannot be used ({error.strerror}). Name another "
        f"with `{option('port', str(min(port + 1, 65_535)))}`"
    )
