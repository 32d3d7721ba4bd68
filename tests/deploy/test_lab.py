"""A lab on loopback: real PostgreSQL, nginx and MLflow with the shipped configuration; and its backup."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import mlflow
import psycopg
import pytest
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from tests.conftest import ROOT
from tests.deploy.stack import DEPLOY, HOST, PATIENCE_SECONDS, MissingProgramError, Stack, make_databases, stack

from nanonuclei.page.door import ASKER, PAGE
from nanonuclei.stages.shipped import register
from nanonuclei.tracking.origin.lineage import trace

pytestmark = pytest.mark.slow

SECONDS_TO_START, MOST_MEMORY = 40.0, 1.5e9
"""s of the processor, to which other work on the machine adds nothing, and bytes."""
NUM_RUNS, NUM_VERSIONS = 100, 3
EXAMPLE = ROOT / "models" / "nuclei" / "examples" / "example.png"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A lab without a model."""
    try:
        with stack(tmp_path_factory.mktemp("lab")) as running:
            yield running
    except MissingProgramError as error:
        pytest.skip(str(error))


@pytest.fixture
def _as_admin(lab: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """MLflow's client goes through the door as the administrator."""
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", lab.secret("admin-password"))
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", lab.certificate)
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    mlflow.set_tracking_uri(lab.door)
    yield
    mlflow.set_tracking_uri(None)


def test_lab_is_ready_soon_and_small(lab: Stack) -> None:
    assert lab.processor_seconds < SECONDS_TO_START, f"ready after {lab.seconds:.0f} s"
    assert lab.memory() < MOST_MEMORY


SEARCH = "/api/2.0/mlflow/experiments/search?max_results=1"
PING = "/models/nuclei/ping"
SET_TAG = "/api/2.0/mlflow/runs/set-tag"


@pytest.mark.parametrize(
    ("path", "account", "status"),
    [
        ("/health", "", 200),
        ("/", "", 401),
        (SEARCH, "", 401),
        (SEARCH, "lab", 401),
        (SEARCH, "server", 200),
        (SEARCH, "admin", 200),
        (PING, "", 401),
        (PING, "admin", 401),
        (PING, "lab", 503),  # no champion yet
        ("/models/nuclei/metrics", "lab", 404),
        ("/models/nuclei/docs", "lab", 404),
        ("/models/nuclei/openapi.json", "lab", 404),
        ("/models/other/ping", "lab", 404),
        ("/docs", "admin", 404),
        ("/openapi.json", "admin", 404),
        ("/metrics", "admin", 404),
    ],
)
def test_door_opens_what_an_account_may_see(lab: Stack, path: str, account: str, status: int) -> None:
    assert lab.ask(path, account=account).status_code == status


def test_door_knows_its_own_names_only(lab: Stack) -> None:
    assert lab.ask("/health", headers={"Host": "elsewhere.example"}).status_code == 421
    plain = lab.ask(f"http://127.0.0.1:{lab.ports['http']}/x?y=1", allow_redirects=False)
    assert (plain.status_code, plain.headers["location"]) == (308, f"{lab.door}/x?y=1")


def test_door_bounds_bodies_and_rates(lab: Stack) -> None:
    path = "/models/nuclei/invocations"
    assert lab.ask(path, method="POST", account="lab", data=b" " * (65 * 2**20)).status_code == 413
    assert lab.ask(SEARCH, method="POST", account="admin", data=b" " * (17 * 2**20)).status_code == 413
    statuses: set[int] = set()
    with ThreadPoolExecutor(40) as threads:
        while 429 not in statuses:  # a slow machine needs more than one round to ask more often than may be
            statuses |= set(threads.map(lambda _: lab.ask(PING, account="lab").status_code, range(80)))
    assert statuses <= {429, 503}


WRITES = [
    ("POST", "/api/2.0/mlflow/runs/create", {"experiment_id": "0"}),
    ("POST", "/api/2.0/mlflow/experiments/create", {"name": "theirs"}),
    ("POST", "/api/2.0/mlflow/registered-models/create", {"name": "theirs"}),
    ("POST", "/ajax-api/2.0/mlflow/runs/create", {"experiment_id": "0"}),
    ("PUT", "/api/2.0/mlflow-artifacts/artifacts/theirs.txt", {}),
    ("POST", "/models/nuclei/invocations", {}),
]
"""Method, path and body of requests that write, or make the lab work."""


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
def test_nobody_writes_without_a_name(lab: Stack, method: str, path: str, body: dict[str, str]) -> None:
    assert lab.ask(path, method=method, json=body).status_code == 401


def test_account_that_may_read_writes_to_no_run_of_another(lab: Stack) -> None:
    def post(path: str, body: dict[str, str]) -> dict[str, Any]:
        answer: dict[str, Any] = lab.ask(f"/api/2.0/mlflow/{path}", method="POST", account="admin", json=body).json()
        return answer

    run = post("runs/create", post("experiments/create", {"name": "of admin"}))
    tag = {"run_id": run["run"]["info"]["run_id"], "key": "a", "value": "b"}
    asked = [lab.ask(SET_TAG, method="POST", account=name, json=tag).status_code for name in ("server", "admin")]
    assert asked == [403, 200]


def test_page_is_behind_the_door_by_its_own_name(lab: Stack) -> None:
    lab.start_service("page")
    lab.wait(f"http://127.0.0.1:{lab.ports['page']}/")
    host = f"page.{HOST}:{lab.ports['https']}"
    assert lab.ask("/", headers={"Host": host}).status_code == 401
    assert lab.ask("/", account="lab", headers={"Host": host}).status_code == 200
    page = {"Host": host, "Origin": f"https://{host}", ASKER: PAGE, "X-File-Name": "example.png"}
    taken = lab.ask("/api/images", method="POST", account="lab", data=EXAMPLE.read_bytes(), headers=page)
    assert taken.status_code == 200, taken.text
    assert lab.memory() < MOST_MEMORY
    stranger = {**page, "Origin": "https://elsewhere.example"}
    taken = lab.ask("/api/images", method="POST", account="lab", data=EXAMPLE.read_bytes(), headers=stranger)
    assert taken.status_code == 403
    lab.stop("page")


@pytest.mark.usefixtures("_as_admin")
def test_model_version_names_no_file_outside_of_the_store(lab: Stack) -> None:
    client = MlflowClient()
    client.create_registered_model("outside")
    for source in ("/etc", "file:///etc", "s3://other/x", "mlflow-artifacts:/../x"):
        with pytest.raises(MlflowException, match=r"Invalid model version source|INVALID_PARAMETER_VALUE"):
            client.create_model_version("outside", source)


def verdicts(version: int) -> list[tuple[str, str]]:
    """Subject and verdict of every step of the lineage of a version."""
    return [(check.subject, check.verdict) for check in trace(f"models:/nuclei/{version}").checks]


def add_runs(lab: Stack, run_id: str, number: int) -> None:
    """Copies a run within the database, as often as `number` says; the server would take seconds for it."""
    copies = (
        "insert into runs select (jsonb_populate_record(r, jsonb_build_object('run_uuid', md5(n::text)))).* "
        "from runs r, generate_series(1, %s) n where r.run_uuid = %s"
    )
    user, host, port = (lab.database[name] for name in ("PGUSER", "PGHOST", "PGPORT"))
    with psycopg.connect(f"postgresql://{user}@{host}:{port}/mlflow") as database:
        database.execute(copies, (number, run_id))


@pytest.mark.usefixtures("_as_admin")
def test_backup_brings_back_runs_versions_and_lineage_after_all_is_lost(
    lab: Stack, monkeypatch: pytest.MonkeyPatch, request_body: object, tmp_path: Path
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(register, "problem", lambda uri: "")  # a process that serves; here the stack's own does
    assert register.promote_named("nuclei", "nuclei", say=lambda _: None)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (answer := lab.ask(PING, account="lab")).status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.3)
    body = request_body(EXAMPLE.read_bytes())  # type: ignore[operator]
    kind = {"Content-Type": "application/json"}
    answer = lab.ask("/models/nuclei/invocations", method="POST", account="lab", data=body, headers=kind)
    assert (answer.status_code, answer.headers["nanonuclei-version"]) == (200, "nuclei/1")
    assert len(answer.json()["predictions"]) == 3

    client = MlflowClient()
    add_runs(lab, client.create_run("0").info.run_id, NUM_RUNS - 3)  # beside a model and its promotion
    first = client.get_model_version("nuclei", "1")
    for _ in range(NUM_VERSIONS - 1):
        model_id = first.source.removeprefix("models:/")
        client.create_model_version("nuclei", first.source, run_id=first.run_id, model_id=model_id)
    before = verdicts(1)
    assert ("model", "holds") in before
    assert not [subject for subject, verdict in before if verdict == "broken" and subject != "code"]
    script, saved = str(DEPLOY / "backup.py"), str(tmp_path / "saved")
    done = lab.run("backup", script, "save", saved)
    assert done.returncode == 0, done.stderr
    refused = lab.run("backup", script, "restore", saved)
    assert (refused.returncode, "empty lab" in refused.stderr) == (2, True)

    lab.stop("tracking")
    lab.stop("objects")  # it keeps its files in memory
    make_databases(lab)
    lab.start("objects", [sys.executable, "-m", "moto.server", "-p", str(lab.ports["objects"])], os.environ)
    lab.wait(f"http://127.0.0.1:{lab.ports['objects']}/")
    done = lab.run("backup", script, "restore", saved)
    assert done.returncode == 0, done.stderr
    lab.start_service("tracking")
    lab.wait(f"{lab.door}/health")

    assert len(client.search_runs(["0"], max_results=1000)) == NUM_RUNS
    assert verdicts(1) == before
    versions = [client.get_model_version("nuclei", str(version)) for version in range(1, NUM_VERSIONS + 1)]
    assert {(version.source, version.run_id) for version in versions} == {(first.source, first.run_id)}
    assert client.get_model_version_by_alias("nuclei", "champion").version == "1"
    assert lab.ask("/models/nuclei/health", account="lab").json()["version"] == "1"
