"""An S3 server on loopback that holds one empty bucket."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

BUCKET = "lab"
KEYS = ("reader", "secret")


@contextlib.contextmanager
def object_store() -> Iterator[tuple[Any, str]]:
    """Starts a server; yields a client of it and its address."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    client = boto3.client(
        "s3",
        endpoint_url=address,
        aws_access_key_id=KEYS[0],
        aws_secret_access_key=KEYS[1],
        region_name="us-east-1",
    )
    client.create_bucket(Bucket=BUCKET)
    try:
        yield client, address
    finally:
        server.stop()
