"""A PostgreSQL server of one's own, started from the installed programs, for tests and benchmarks."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path


class NoServerError(Exception):
    """The server cannot be run here; the message says why."""


@contextlib.contextmanager
def server() -> Iterator[str]:
    """Yields the URL of a database; the server runs as another user where this is root, and is gone afterwards.

    Raises:
        NoServerError: Its programs are not installed, or root has nobody to run it as.
    """
    programs = _programs()
    if programs is None:
        raise NoServerError("no PostgreSQL server programs are installed (initdb, pg_ctl): apt install postgresql")
    account = _account()
    if os.getuid() == 0 and account is None:
        raise NoServerError("PostgreSQL refuses to run as root, and there is no user postgres or nobody to run it as")
    identity = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []} if account else {}
    folder = Path(tempfile.mkdtemp(prefix="nanonuclei-postgresql-"))
    if account:
        os.chown(folder, account.pw_uid, account.pw_gid)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def call(program: str, *words: str) -> None:
        with (folder / "log").open("ab") as log:
            done = subprocess.run(
                [programs / program, "-D", folder / "data", *words],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                timeout=120,
                check=False,
                **identity,
            )
        if done.returncode:
            raise RuntimeError((folder / "log").read_text())

    try:
        call("initdb", "-U", "tuner", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
        call("pg_ctl", "-w", "-o", options, "start")
        try:
            yield f"postgresql://tuner@127.0.0.1:{port}/postgres"
        finally:
            call("pg_ctl", "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path | None:
    """Returns the folder of the server's programs, which Debian keeps off the search path."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    asked = shutil.which("pg_config")
    if asked:
        told = subprocess.run([asked, "--bindir"], capture_output=True, text=True, check=True).stdout.strip()
        if (Path(told) / "initdb").is_file():
            return Path(told)
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return installed[-1].parent if installed else None


def _account() -> pwd.struct_passwd | None:
    """Returns whom the server runs as where this is root; None where it may run as oneself."""
    if os.getuid() != 0:
        return None
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    return known.get("postgres") or known.get("nobody")
