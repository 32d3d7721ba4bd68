"""The files of a lab: services have few rights, images are pinned, secrets are files, backups are checked."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from tests.conftest import ROOT

DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
LASTING = ("database", "objects", "tracking", "models", "page", "proxy")


@pytest.fixture(scope="module")
def backup() -> ModuleType:
    spec = importlib.util.spec_from_file_location("lab_backup", DEPLOY / "backup.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", SERVICES)
def test_services_have_no_rights_that_they_do_not_need(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert name == "folders" or service.get("user", "10001") != "0:0"  # it hands a folder over, without a network


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned(name: str) -> None:
    service = SERVICES[name]
    assert "build" in service or service["image"].split(":")[1][0] in "0123456789v", service["image"]


@pytest.mark.parametrize("name", LASTING)
def test_services_that_last_are_asked_for_their_health(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"]
    assert SERVICES[name]["restart"] == "unless-stopped"


def test_only_the_proxy_can_be_reached_from_outside() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["proxy"]
    assert all(COMPOSE["networks"][name]["internal"] for name in ("inside", "storage"))


def test_no_secret_stands_in_a_file_of_the_repository() -> None:
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if any(word in name for word in ("PASSWORD", "SECRET", "KEY")):
                assert value.startswith("/run/secrets"), name
        named = {
            value.rpartition("/")[2] for value in service.get("environment", {}).values() if "/run/secrets/" in value
        }
        assert named <= set(service.get("secrets", ()))
    assert "secrets/" in (DEPLOY / ".gitignore").read_text().splitlines()


def test_containers_run_as_a_user_without_rights() -> None:
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    for target in ("tracking", "serving"):
        stage = text.split(f" AS {target}\n")[1].split("\nFROM ")[0]
        assert "\nUSER 10001:10001\n" in stage
        assert "\nHEALTHCHECK " in stage


def test_program_starts_with_its_secrets(tmp_path: Path) -> None:
    (tmp_path / "word").write_text("hush\n")
    script = ["/bin/sh", str(DEPLOY / "with-secrets.sh"), "/bin/sh", "-c", 'echo "$PASS_WORD"']
    good = subprocess.run(
        script,
        env={**os.environ, "SECRET_PASS_WORD": str(tmp_path / "word")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (good.returncode, good.stdout) == (0, "hush\n")
    bad = subprocess.run(
        script,
        env={**os.environ, "SECRET_PASS_WORD": str(tmp_path / "none")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert bad.returncode == 2
    assert "must name a file that can be read" in bad.stderr


def saved(folder: Path, backup: ModuleType) -> Path:
    (folder / "objects").mkdir(parents=True)
    (folder / "objects" / "a").write_text("content")
    (folder / "manifest.json").write_text(json.dumps({"objects/a": backup._sha256(folder / "objects" / "a")}))
    return folder


def test_damaged_backup_is_told_before_anything_is_restored(backup: ModuleType, tmp_path: Path) -> None:
    folder = saved(tmp_path / "b", backup)
    assert "1 files are as they were saved" in backup.check(folder)
    (folder / "objects" / "a").write_text("changed")
    with pytest.raises(backup.BackupError, match="1 of 1 files are missing or were changed: objects/a"):
        backup.restore(folder)


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "objects/../../x"])
def test_backup_that_leads_out_of_its_folder_is_refused(backup: ModuleType, tmp_path: Path, name: str) -> None:
    folder = saved(tmp_path / "b", backup)
    (folder / "manifest.json").write_text(json.dumps({name: "0"}))
    with pytest.raises(backup.BackupError, match="must stay in their folder"):
        backup.check(folder)


def test_backup_does_not_overwrite_another(backup: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(backup.BackupError, match="needs a new folder"):
        backup.save(tmp_path)


def test_save_that_fails_leaves_nothing_and_hinders_no_other(
    backup: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*words: str) -> None:
        raise backup.BackupError("pg_dump failed")

    monkeypatch.setattr(backup, "_run", fail)
    for _ in range(2):  # in a container both have the same number of a process
        with pytest.raises(backup.BackupError, match="pg_dump failed"):
            backup.save(tmp_path / "backups" / "b")
        assert list((tmp_path / "backups").iterdir()) == []


def test_backup_is_for_its_owner_alone(backup: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup, "_save_into", lambda folder: 0)
    backup.save(tmp_path / "b")
    assert (tmp_path / "b").stat().st_mode & 0o077 == 0


def test_store_that_does_not_answer_is_told_in_one_line(
    backup: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(backup, "_run", lambda *words: None)
    monkeypatch.setattr("sys.argv", ["backup.py", "save", str(tmp_path / "b")])
    monkeypatch.delenv("MLFLOW_S3_ENDPOINT_URL", raising=False)
    assert backup.main() == 2
    told = capsys.readouterr().err
    assert told.startswith("Error: save needs the database, the store and a folder")
    assert told.count("\n") == 1


def test_no_secret_is_a_word_of_a_command() -> None:
    for script in ("make-secrets.sh", "with-secrets.sh"):
        lines = (DEPLOY / script).read_text(encoding="utf-8").splitlines()
        assert [line for line in lines if "openssl" in line and "$(cat" in line] == [], script
