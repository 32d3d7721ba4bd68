"""The services of `deploy/compose.yaml`, as processes on loopback: their own commands, variables and configuration."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import requests
import yaml
from postgresql_server import NoServerError, server
from tests.conftest import ROOT

from nanonuclei.serving.probe import free_port

DEPLOY = ROOT / "deploy"
HOST = "localhost"
PATIENCE_SECONDS = 300.0


class MissingProgramError(Exception):
    """A program that the stack needs is not installed; the message names it."""


@dataclass
class Stack:
    """A lab at work.

    Attributes:
        folder: Working folder, with the secrets and the logs.
        ports: Port of each service, and of the proxy as ``http`` and ``https``.
        database: libpq's variables that lead to the database.
        processes: The processes by name of their service.
        seconds: Until all of them answered.
        processor_seconds: Time of the processor that they took until then, without the database.
    """

    folder: Path
    ports: Mapping[str, int]
    database: Mapping[str, str]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    seconds: float = 0.0
    processor_seconds: float = 0.0

    @property
    def door(self) -> str:
        return f"https://{HOST}:{self.ports['https']}"

    @property
    def certificate(self) -> str:
        return str(self.folder / "secrets" / "certificate")

    def secret(self, name: str) -> str:
        return (self.folder / "secrets" / name).read_text(encoding="utf-8").strip()

    def ask(self, path: str, *, method: str = "GET", account: str = "", **options: Any) -> requests.Response:
        """Asks the proxy; `account` is ``admin``, ``server`` or ``lab``."""
        secrets = {"admin": "admin-password", "server": "server-password", "lab": "door-password"}
        auth = (account, self.secret(secrets[account])) if account else None
        address = path if path.startswith("http") else f"{self.door}{path}"
        return requests.request(method, address, auth=auth, verify=self.certificate, timeout=60, **options)

    def environment(self, service: str) -> dict[str, str]:
        """The variables of a service of the compose file, with what stands for its network replaced."""
        given = _compose()["services"][service].get("environment", {})
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "AWS_"))},
            **{name: self._here(value) for name, value in given.items()},
            **(self.database if "PGHOST" in given else {}),
            "PYTHONPATH": str(ROOT / "src"),
        }

    def command(self, service: str) -> list[str]:
        """The command of a service, with its port and programs replaced."""
        words = [self._here(word) for word in _compose()["services"][service]["command"]]
        programs = {
            "mlflow": [sys.executable, "-m", "mlflow"],
            "nanonuclei": [sys.executable, "-m", "nanonuclei"],
            "python": [sys.executable],
        }
        words = [*programs[words[0]], *words[1:]]
        own = {
            "--host=0.0.0.0": "--host=127.0.0.1",
            "0.0.0.0": "127.0.0.1",
            "--port=5000": f"--port={self.ports['tracking']}",
        }
        own |= {"5001": str(self.ports["models"]), "7860": str(self.ports["page"])}
        return [own.get(word, word) for word in words]

    def start(self, name: str, words: Sequence[str], environment: Mapping[str, str]) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                list(words),
                cwd=self.folder,
                env=dict(environment),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def start_service(self, name: str) -> None:
        """Starts a service of the compose file with the secrets that it is given there."""
        words = ["/bin/sh", str(DEPLOY / "with-secrets.sh"), *self.command(name)]
        self.start(name, words, self.environment(name))

    def run(self, service: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Runs a Python script of `deploy` with the variables of a service to its end."""
        return subprocess.run(
            ["/bin/sh", str(DEPLOY / "with-secrets.sh"), sys.executable, *words],
            cwd=self.folder,
            env=self.environment(service),
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )

    def stop(self, name: str) -> None:
        """Ends a process of the stack and its children."""
        process = self.processes.pop(name)
        with contextlib.suppress(psutil.NoSuchProcess):
            own = psutil.Process(process.pid)
            for each in [own, *own.children(recursive=True)]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def processor_time(self) -> float:
        """Seconds of the processor that the processes at work have taken."""
        total = 0.0
        for process in self.processes.values():
            own = psutil.Process(process.pid)
            for each in (own, *own.children(recursive=True)):
                with contextlib.suppress(psutil.NoSuchProcess):
                    times = each.cpu_times()
                    total += times.user + times.system
        return total

    def memory(self) -> int:
        """Bytes that belong to the processes of the stack alone, and the database's; shared pages count once."""
        total = 0
        for process in self.processes.values():
            own = psutil.Process(process.pid)
            for each in (own, *own.children(recursive=True)):
                with contextlib.suppress(psutil.NoSuchProcess):
                    total += each.memory_full_info().pss
        for each in psutil.process_iter(["cmdline"]):
            if self.database["PGPORT"] in (each.info["cmdline"] or []):
                for part in (each, *each.children(recursive=True)):
                    with contextlib.suppress(psutil.Error):
                        total += part.memory_full_info().pss
        return total

    def wait(self, address: str, *, statuses: Sequence[int] = (200,)) -> None:
        """Waits until a server answers with one of the statuses."""
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end:
            with contextlib.suppress(requests.RequestException):
                if requests.get(address, timeout=5, verify=self.certificate).status_code in statuses:
                    return
            gone = [name for name, process in self.processes.items() if process.poll() is not None]
            if gone:
                raise RuntimeError(f"{gone[0]} ended: {(self.folder / f'{gone[0]}.log').read_text()[-2000:]}")
            time.sleep(0.1)
        raise RuntimeError(f"{address} did not answer within {PATIENCE_SECONDS:g} s")

    def _here(self, text: str) -> str:
        replaced = {
            "/run/secrets": str(self.folder / "secrets"),
            "/deploy": str(DEPLOY),
            "${LAB_ADDRESS:?}": f"{HOST}:{self.ports['https']}",
            "${LAB_HOST:?}": HOST,
            "tracking:5000": f"127.0.0.1:{self.ports['tracking']}",
            "objects:7070": f"127.0.0.1:{self.ports['objects']}",
            "$$": "$",
        }
        for old, new in replaced.items():
            text = text.replace(old, new)
        return text


def _ended_seconds() -> float:
    """Seconds of the processor that ended children of this process took."""
    return os.times().children_user + os.times().children_system


def _compose() -> dict[str, Any]:
    compose: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    return compose


@contextlib.contextmanager
def stack(folder: Path) -> Iterator[Stack]:
    """Starts a lab in a folder, and ends it.

    Raises:
        MissingProgramError: PostgreSQL or nginx is not installed.
    """
    for program in ("nginx", "openssl", "pg_dump"):
        if shutil.which(program) is None:
            raise MissingProgramError(f"{program} is not installed: apt install nginx-light openssl postgresql")
    ports = {name: free_port() for name in ("objects", "tracking", "models", "page", "http", "https")}
    subprocess.run(["sh", DEPLOY / "make-secrets.sh", folder / "secrets", HOST], check=True, capture_output=True)
    with contextlib.ExitStack() as ended:
        try:
            found = re.fullmatch(r"postgresql://(\w+)@([\d.]+):(\d+)/\w+", ended.enter_context(server()))
        except NoServerError as error:
            raise MissingProgramError(str(error)) from error
        assert found is not None
        lab = Stack(folder, ports, {"PGUSER": found[1], "PGHOST": found[2], "PGPORT": found[3]})
        ended.callback(lambda: [lab.stop(name) for name in list(lab.processes)])
        make_databases(lab)
        started, ended_before = time.monotonic(), _ended_seconds()
        objects = ["-m", "moto.server", "-H", "127.0.0.1", "-p", str(ports["objects"])]
        lab.start("objects", [sys.executable, *objects], os.environ)
        lab.start_service("tracking")
        lab.start("proxy", _nginx(lab), os.environ)
        lab.wait(f"http://127.0.0.1:{ports['tracking']}/health")
        lab.wait(f"http://127.0.0.1:{ports['objects']}/")
        done = lab.run("prepare", str(DEPLOY / "prepare.py"))
        assert done.returncode == 0, done.stderr
        lab.start_service("models")
        lab.wait(f"http://127.0.0.1:{ports['models']}/ping", statuses=(200, 503))
        lab.wait(f"{lab.door}/health")
        lab.seconds = time.monotonic() - started
        lab.processor_seconds = lab.processor_time() + _ended_seconds() - ended_before
        yield lab


def make_databases(lab: Stack) -> None:
    """Makes the two databases anew, empty."""
    environment = {**os.environ, **lab.database}
    for name in ("mlflow", "accounts"):
        subprocess.run(["dropdb", "--if-exists", "--force", name], env=environment, check=True, capture_output=True)
        subprocess.run(["createdb", name], env=environment, check=True, capture_output=True)


def _nginx(lab: Stack) -> list[str]:
    values = {
        "LAB_HOST": HOST,
        "LAB_ADDRESS": f"{HOST}:{lab.ports['https']}",
        "HTTP_PORT": lab.ports["http"],
        "HTTPS_PORT": lab.ports["https"],
        **{name.upper(): f"127.0.0.1:{lab.ports[name]}" for name in ("tracking", "models", "page")},
        "RESOLVER": "127.0.0.1",
        "SECRETS": lab.folder / "secrets",
    }
    text = (DEPLOY / "nginx.conf.template").read_text(encoding="utf-8")
    text = re.sub(r"\$\{(\w+)\}", lambda name: str(values[name[1]]), text)  # as envsubst does
    (lab.folder / "lab.conf").write_text(text, encoding="utf-8")
    paths = "".join(
        f"{name}_temp_path {lab.folder}/nginx-{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;" if os.getuid() == 0 else ""
    main = (
        f"{user} daemon off; worker_processes 1; pid {lab.folder}/nginx.pid; error_log {lab.folder}/nginx-errors.log; "
        f"events {{}} http {{ access_log off; {paths} include {lab.folder}/lab.conf; }}"
    )
    (lab.folder / "nginx.conf").write_text(main, encoding="utf-8")
    return ["nginx", "-p", str(lab.folder), "-c", str(lab.folder / "nginx.conf"), "-e", str(lab.folder / "start.log")]
