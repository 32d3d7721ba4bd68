"""What `docs/security.md` promises, one test per promise; the page names those that stand elsewhere."""

from __future__ import annotations

import ast
import os
import pickle
import re
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow.tracking import MlflowClient
from tests.conftest import ROOT

from nanonuclei.errors import ConfigError, without_password
from nanonuclei.models.torch_file import read_torch_file
from nanonuclei.tracking.runs import existing_run, log_settings, stage_run

PACKAGE = ROOT / "src" / "nanonuclei"
LOADERS = {
    *("pickle.load", "pickle.loads", "cloudpickle.load", "cloudpickle.loads", "dill.load", "joblib.load"),
    *(
        "marshal.loads",
        "shelve.open",
        "torch.load",
        "yaml.load",
        "yaml.unsafe_load",
        "yaml.full_load",
        "pd.read_pickle",
    ),
}
"""Calls that run what a file says."""


def calls(path: Path) -> list[tuple[str, ast.Call]]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [(ast.unparse(node.func), node) for node in ast.walk(tree) if isinstance(node, ast.Call)]


def test_no_module_calls_what_runs_the_content_of_a_file() -> None:
    for path in PACKAGE.rglob("*.py"):
        for name, call in calls(path):
            assert name not in LOADERS, path
            keywords = {word.arg: ast.unparse(word.value) for word in call.keywords}
            assert keywords.get("allow_pickle", "False") == "False", path
            assert keywords.get("safe_mode", "True") == "True", path
            assert keywords.get("weights_only", "True") == "True", path


RUNNING = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "torch", "runpy", "code", "codeop"}
"""Modules that can run what a file says, under whatever name they are imported."""
ALLOWED = {
    ("models/torch_file.py", "pickle"),  # with an unpickler that knows tensors alone
    ("engine/devices.py", "torch"),  # asks for graphics cards
    ("stages/export/mended.py", "exec"),  # runs a function of the installed bioimageio.spec
}


def test_modules_that_can_run_the_content_of_a_file_are_imported_in_few_places() -> None:
    found = set()
    for path in PACKAGE.rglob("*.py"):
        place = path.relative_to(PACKAGE).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [one.name for one in node.names]
            else:
                names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found |= {(place, name.split(".")[0]) for name in names if name.split(".")[0] in RUNNING}
            if isinstance(node, ast.Name) and node.id in ("exec", "eval", "__import__"):
                found.add((place, node.id))
    assert found == ALLOWED


class Command:
    """What runs a command where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_a_file_of_weights_cannot_run_a_command(tmp_path: Path) -> None:
    weights = tmp_path / "weights.pth"
    weights.write_bytes(pickle.dumps(Command(tmp_path / "made")))
    with pytest.raises(ConfigError, match="is not allowed in a file of weights"):
        read_torch_file(weights)
    np.savez(tmp_path / "weights.npz", a=np.array([Command(tmp_path / "made")], object))
    with np.load(tmp_path / "weights.npz") as stored, pytest.raises(ValueError, match="allow_pickle=False"):
        stored["a"]
    assert not (tmp_path / "made").exists()


@pytest.mark.slow
def test_a_stored_network_cannot_bring_code(tmp_path: Path) -> None:
    import keras

    from nanonuclei.engine.export import load_network

    keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x)]).save(tmp_path / "network.keras")
    with pytest.raises(ValueError, match="unsafe"):
        load_network(tmp_path / "network.keras")


OWN_MODELS = "^models:/m-[0-9a-f]{32}$"
"""Sources that a server should be told to take, by `MLFLOW_CREATE_MODEL_VERSION_SOURCE_VALIDATION_REGEX`."""
ELSEWHERE = ("file:///etc", "/etc", "../up", "runs:/{run}/../../etc", "s3://elsewhere/model", "models:/m-" + "0" * 32)


@pytest.mark.slow
def test_a_model_version_cannot_name_a_source_outside_of_the_store(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.server import app, handlers

    client = MlflowClient()
    run = client.create_run("0").info.run_id
    own = client.create_logged_model("0", source_run_id=run).model_id
    client.create_registered_model("a")
    monkeypatch.setenv("MLFLOW_CREATE_MODEL_VERSION_SOURCE_VALIDATION_REGEX", OWN_MODELS)
    for name in ("_MLFLOW_SERVER_FILE_STORE", "_MLFLOW_SERVER_REGISTRY_STORE"):
        monkeypatch.setenv(name, mlflow.get_tracking_uri())
    for name in ("_tracking_store", "_model_registry_store"):
        monkeypatch.setattr(handlers, name, None)

    def asked(source: str) -> int:
        words = {"name": "a", "source": source, "model_id": own}
        return app.test_client().post("/api/2.0/mlflow/model-versions/create", json=words).status_code

    assert {source: asked(source.format(run=run)) for source in ELSEWHERE} == dict.fromkeys(ELSEWHERE, 400)
    assert client.search_model_versions("name = 'a'") == []
    assert asked(f"models:/{own}") == 200
    assert len(client.search_model_versions("name = 'a'")) == 1


def test_a_run_holds_no_secret_of_the_environment_or_of_an_address(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    secret = "s3cr3t-of-this-test"
    for name in ("AWS_SECRET_ACCESS_KEY", "KAGGLE_KEY", "MLFLOW_TRACKING_PASSWORD", "PGPASSWORD"):
        monkeypatch.setenv(name, secret)
    address = f"https://me:{secret}@example.org/repository.git"
    tags = {"mlflow.source.name": f"{address}#src", "mlflow.source.git.repoURL": f"https://{secret}@example.org/x.git"}
    made = MlflowClient().create_run("0", tags=tags).info.run_id  # as `mlflow run` does in a clone of such an address
    monkeypatch.setenv("MLFLOW_RUN_ID", made)

    def fail() -> None:
        with stage_run("train", name="n", tags={}, system_metrics=False):
            log_settings(made, {"a": 1})
            raise RuntimeError(f"cannot reach postgresql://me:{secret}@host/database")

    with pytest.raises(RuntimeError, match="cannot reach"):
        fail()
    run = existing_run(made)
    assert run.data.tags["error"] == "cannot reach postgresql://me:***@host/database"
    assert run.data.tags["mlflow.source.name"] == "https://me:***@example.org/repository.git#src"
    assert run.data.tags["mlflow.source.git.repoURL"] == "https://***@example.org/x.git"
    for path in project.rglob("*"):
        if path.is_file() and not path.is_symlink():
            assert secret.encode() not in path.read_bytes(), path
    said = capfd.readouterr()
    assert secret not in said.out + said.err


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:pw@host/x", "https://me:***@host/x"),
        ("https://token@host/x", "https://***@host/x"),
        ("ssh://git@host/x", "ssh://git@host/x"),
        ("git@host:x.git", "git@host:x.git"),
        ("https://host/a@b", "https://host/a@b"),
        ("http://host:5000/a@b", "http://host:5000/a@b"),
        ("http://[::1]:5000/a@b", "http://[::1]:5000/a@b"),
        ("postgresql://me:p/w@host/x", "postgresql://me:***@host/x"),
        ("postgresql://me:p@w@host/x", "postgresql://me:***@host/x"),
        (
            "postgresql://host/x?user=me&password=pw&sslmode=require",
            "postgresql://host/x?user=me&password=***&sslmode=require",
        ),
        ("https://host/x?X-Amz-Signature=ab12#y", "https://host/x?X-Amz-Signature=***#y"),
        ("https://host/x?sig=ab12&design=3", "https://host/x?sig=***&design=3"),
    ],
)
def test_addresses_are_shown_without_password_and_token(text: str, shown: str) -> None:
    assert without_password(text) == shown


PLACES = re.compile(rb"/(home|root|Users|work|tmp|mnt)/\w")


def test_a_model_that_comes_along_tells_no_place_of_the_machine_that_made_it() -> None:
    for path in (ROOT / "models").rglob("*"):
        if path.is_file():
            assert not PLACES.search(path.read_bytes()), path


def test_every_test_that_the_page_names_is_there() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs" / "security.md").read_text(encoding="utf-8"))
    assert len(named) > 10
    for file, test in named:
        assert f"def {test}(" in (ROOT / file).read_text(encoding="utf-8"), (file, test)
