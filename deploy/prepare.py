"""Makes what a lab's servers need, where it is missing: the bucket for files, and the account of the servers.

Called once the tracking server answers; a second call changes nothing.
"""

from __future__ import annotations

import os
import sys

import boto3
from botocore.exceptions import ClientError
from mlflow.exceptions import MlflowException
from mlflow.server.auth.client import AuthServiceClient

BUCKET, SERVER = "mlflow", "server"


def make_bucket() -> str:
    """Makes the bucket; returns what was done."""
    client = boto3.client("s3", endpoint_url=os.environ["MLFLOW_S3_ENDPOINT_URL"])
    try:
        client.create_bucket(Bucket=BUCKET)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
            raise
        return f"bucket {BUCKET} is there"
    return f"bucket {BUCKET} made"


def make_account() -> str:
    """Makes the account of the servers, which may read; returns what was done."""
    client = AuthServiceClient(os.environ["MLFLOW_TRACKING_URI"])
    try:
        client.create_user(SERVER, os.environ["SERVER_PASSWORD"])
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        client.update_user_password(SERVER, os.environ["SERVER_PASSWORD"])
        return f"account {SERVER} is there"
    return f"account {SERVER} made"


if __name__ == "__main__":
    try:
        print(f"{make_bucket()}, {make_account()}.")
    except KeyError as error:
        sys.exit(f"the variable {error} must be set; compose.yaml shows all of them")
