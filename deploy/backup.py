"""Saves the runs, accounts and files of a lab into a folder, and restores them.

    python backup.py save FOLDER       # while the lab runs
    python backup.py check FOLDER      # whether the folder is as it was saved
    python backup.py restore FOLDER    # into an empty lab, with the tracking server stopped

PGHOST, PGPORT, PGUSER and PGPASSWORD tell the database, MLFLOW_S3_ENDPOINT_URL and AWS_... the object store.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path, PurePosixPath
from typing import Any

import boto3
import psycopg
from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError

DATABASES, BUCKET = ("mlflow", "accounts"), "mlflow"
MANIFEST, OBJECTS = "manifest.json", "objects"


class BackupError(Exception):
    """Something is not as it must be; the message says what, and what to do."""


def save(folder: Path) -> str:
    """Saves everything into a new folder, which appears once it is whole.

    The databases come first: files are never changed once a run refers to them, so those of the runs that were saved
    are all there afterwards.

    Raises:
        BackupError: The folder exists, or a database cannot be read.
    """
    if folder.exists():
        raise BackupError(f"a backup needs a new folder, but {folder} exists. Name another")
    folder.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own: in a container every save has the same number of a process.
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", suffix=".partial", dir=folder.parent) as name:
        partial = Path(name) / folder.name
        partial.mkdir(mode=0o700)
        num_files = _save_into(partial)
        partial.rename(folder)
    return f"{folder}: {len(DATABASES)} databases and {num_files} files saved"


def _save_into(folder: Path) -> int:
    """Writes databases, files and the manifest into an empty folder; returns how many files the store has."""
    for name in DATABASES:
        _run("pg_dump", "--format=custom", f"--file={folder / name}.dump", name)
    store = _store()
    keys = _keys(store)
    for key in keys:
        target = folder / OBJECTS / _inside(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        store.download_file(BUCKET, key, str(target))
    files = {path.relative_to(folder).as_posix(): _sha256(path) for path in sorted(folder.rglob("*")) if path.is_file()}
    (folder / MANIFEST).write_text(json.dumps(files, indent=1) + "\n", encoding="utf-8")
    return len(keys)


def check(folder: Path) -> str:
    """Compares a backup with its manifest.

    Raises:
        BackupError: A file is missing or was changed.
    """
    files = _manifest(folder)
    wrong = [
        name for name, digest in files.items() if not (folder / name).is_file() or _sha256(folder / name) != digest
    ]
    if wrong:
        raise BackupError(
            f"a backup must be as it was saved, but {len(wrong)} of {len(files)} files are missing or were changed: "
            f"{', '.join(wrong[:3])}. Take another backup"
        )
    return f"{folder}: {len(files)} files are as they were saved"


def restore(folder: Path) -> str:
    """Restores a backup into an empty lab.

    Raises:
        BackupError: The backup is damaged, or the lab holds runs or files.
    """
    check(folder)
    store = _store()
    for name in DATABASES:
        if tables := _num_tables(name):
            raise BackupError(
                f"a backup is restored into an empty lab, but the database {name} has {tables} tables. Stop the "
                "tracking server, drop and make the database anew"
            )
    if _make_bucket(store):
        raise BackupError(f"a backup is restored into an empty lab, but the bucket {BUCKET} holds files. Empty it")
    for name in DATABASES:
        _run(
            "pg_restore",
            "--no-owner",
            "--exit-on-error",
            "--single-transaction",
            f"--dbname={name}",
            f"{folder / name}.dump",
        )
    keys = [name.removeprefix(f"{OBJECTS}/") for name in _manifest(folder) if name.startswith(f"{OBJECTS}/")]
    for key in keys:
        store.upload_file(str(folder / OBJECTS / _inside(key)), BUCKET, key)
    return f"{folder}: {len(DATABASES)} databases and {len(keys)} files restored"


def _store() -> Any:
    return boto3.client("s3", endpoint_url=os.environ["MLFLOW_S3_ENDPOINT_URL"])


def _keys(store: Any) -> list[str]:
    pages = store.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    found = [item["Key"] for page in pages for item in page.get("Contents", ())]
    return [key for key in found if not key.endswith("/")]


def _make_bucket(store: Any) -> int:
    """Makes the bucket where it is missing; returns how many files it holds."""
    try:
        return len(_keys(store))
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchBucket":
            raise
    store.create_bucket(Bucket=BUCKET)
    return 0


def _num_tables(database: str) -> int:
    with psycopg.connect(f"dbname={database}") as connection:
        row = connection.execute(
            "select count(*) from information_schema.tables where table_schema = 'public'"
        ).fetchone()
    return int(row[0]) if row else 0


def _inside(key: str) -> Path:
    """Returns a key as a path below a folder.

    Raises:
        BackupError: It leads out of it.
    """
    path = PurePosixPath(key)
    if path.is_absolute() or ".." in path.parts:
        raise BackupError(f"names of files must stay in their folder, got {key!r}. Remove that file from the store")
    return Path(*path.parts)


def _manifest(folder: Path) -> dict[str, str]:
    try:
        files: dict[str, str] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BackupError(f"{folder} must be a backup, but {MANIFEST} cannot be read. Name another folder") from error
    for name in files:
        _inside(name)
    return files


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _run(*words: str) -> None:
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    if done.returncode:
        raise BackupError(f"{words[0]} failed: {done.stderr.strip()[:500]}. Check PGHOST and its like")


def main() -> int:
    """Does what the command line asks for; returns 2 where it cannot be done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("save", "check", "restore"))
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    try:
        print({"save": save, "check": check, "restore": restore}[options.action](options.folder))
    except BackupError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    except (Boto3Error, BotoCoreError, ClientError, psycopg.Error, OSError, KeyError) as error:
        told = " ".join(f"{type(error).__name__}: {error}".split())[:500]
        print(
            f"Error: {options.action} needs the database, the store and a folder that it may write to, but: {told}. "
            "Start database and objects, and look who may write to the folder",
            file=sys.stderr,
        )
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
