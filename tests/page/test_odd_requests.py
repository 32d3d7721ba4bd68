"""Requests of odd types, names and addresses: each is answered, or refused in one sentence; the page never fails."""

from __future__ import annotations

import json
import random
import socket
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from tests.hostile.bodies import JUNK
from tests.page.conftest import Client
from tests.stages.bright_model import disc_image

ODD: list[Any] = [
    *JUNK,
    float("nan"),
    float("inf"),
    -1,
    2**63,
    False,
    "max",
    "grey",
    "\ud800",
    "a\nb",
    [[]],
    {"": None},
]
NUM_REQUESTS = 150


def check_told(status: int, text: str) -> None:
    """Makes sure that a request was answered, or refused in one sentence."""
    assert status in (200, 204, 400, 404, 405), (status, text[:300])
    if status == 400:
        sentence = json.loads(text)["message"]
        assert "\n" not in sentence
        assert "Traceback" not in sentence
        assert "/tmp" not in sentence
        assert len(sentence) < 600


def test_odd_values_and_views_are_told(page: Client) -> None:
    rng, key = random.Random(0), page.upload(disc_image())["id"]
    names = ["threshold", "seed_threshold", "min_area", "diameter", "num_views", "", "unknown"]
    for _ in range(NUM_REQUESTS):
        view = {part: rng.choice([value, rng.choice(ODD)]) for part, value in page.view.items() if rng.random() < 0.9}
        values = {rng.choice(names): rng.choice(ODD) for _ in range(rng.randint(0, 2))}
        asked = rng.choice([{"view": view, "values": values}, {"view": rng.choice(ODD)}, rng.choice(ODD)])
        answer = page.ask("POST", f"/api/images/{key}/objects", data=json.dumps(asked).encode())
        check_told(answer.status_code, answer.text)
        query = {"view": json.dumps(view), "values": json.dumps(rng.choice([values, rng.choice(ODD)]))}
        kind = quote(str(rng.choice(["csv", "labels", *ODD[:8]]))[:80], safe="") or "x"
        answer = page.ask("GET", f"/api/images/{key}/files/{kind}", params=query)
        check_told(answer.status_code, "" if answer.status_code == 200 else answer.text)
    assert page.objects(key).status_code == 200


@pytest.mark.parametrize(
    "name", ["", "%", "%ff%fe.png", "%0a%0d.png", "..%2f..%2fetc%2fpasswd", "x" * 5000, "🧬".encode()]
)
def test_file_names_of_all_kinds_are_taken_and_come_back(page: Client, name: str | bytes) -> None:
    image = page.upload(disc_image(), name=name)  # type: ignore[arg-type]
    assert "/" not in image["file"]
    assert image["file"].isprintable()
    for kind in ("csv", "geojson", "labels"):
        answer = page.file(image["id"], kind)
        assert answer.status_code in (200, 400), answer.text
        assert answer.status_code == 200 or "unknown file" in answer.text


REQUESTS = [
    b"GET /static/..%2f..%2f..%2fetc/passwd HTTP/1.1",
    b"GET /static/../../etc/passwd HTTP/1.1",
    b"GET /static/%00 HTTP/1.1",
    b"GET /static/" + b"x" * 300 + b" HTTP/1.1",
    b"GET /api/examples/99999999999999999999999999 HTTP/1.1",
    b"GET /api/images/%ff%fe/picture?view=%7b%7d HTTP/1.1",
    b"GET /api/images/a/files/%2e%2e?view=%ff HTTP/1.1",
    b"GET /static HTTP/1.1",
]


@pytest.mark.parametrize("line", REQUESTS)
def test_odd_addresses_are_not_found_or_refused(page: Client, line: bytes) -> None:
    place = urlsplit(page.url)
    with socket.create_connection((str(place.hostname), int(place.port or 80)), timeout=30) as connection:
        connection.sendall(line + b"\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        answer = b""
        while part := connection.recv(65_536):
            answer += part
    status = int(answer.split(b" ", 2)[1])
    assert status in (307, 400, 404, 405), answer[:300]
    assert b"root:" not in answer
