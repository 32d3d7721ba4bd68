"""Bodies of requests that are wrong in one of many ways, or right."""

from __future__ import annotations

import base64
import json
import random

from tests.hostile.damage import odd_files

JUNK: list[object] = [3, None, True, 1.5, [], {}, "", "%%%", "naïve", [1], {"b64": "QQ=="}, -1e300, 10**400, "A" * 5000]
LAYOUTS = ("dataframe_split", "dataframe_records", "instances", "inputs", "x")


def body(rng: random.Random, image: bytes) -> bytes:
    """Draws a body.

    Args:
        rng: Draws.
        image: Content of a file that it may hold.
    """
    text = base64.b64encode(image).decode()
    bomb = base64.b64encode(odd_files()["bomb-png.png"]).decode()
    kinds = [
        lambda: _table([text]),
        lambda: _table([text] * rng.randint(2, 40)),
        lambda: _table([text, bomb]),
        lambda: _table([rng.choice(JUNK)]),
        lambda: _table([text], **{rng.choice(["threshold", "num_views", "return", "unknown"]): rng.choice(JUNK)}),
        lambda: _table([_spoilt(text, rng)]),
        lambda: json.dumps({rng.choice(LAYOUTS): rng.choice(JUNK)}).encode(),
        lambda: json.dumps({rng.choice(LAYOUTS): _nested(rng, 6), rng.choice(LAYOUTS): [text]}).encode(),
        lambda: json.dumps(rng.choice(JUNK)).encode(),
        lambda: json.dumps(_nested(rng, 5)).encode(),
        lambda: _table([text])[: rng.randrange(2000)],
        lambda: rng.randbytes(rng.randrange(3000)),
        lambda: b"[" * rng.choice([10, 1_000, 200_000]),
        lambda: b'{"inputs": ' + b"9" * rng.choice([10, 5_000]) + b"}",
        lambda: b'{"inputs": [NaN, Infinity]}',
        "\ufeff{}".encode,
    ]
    return rng.choice(kinds)()


def _table(images: list[object], **params: object) -> bytes:
    rows = {"columns": ["image"], "data": [[image] for image in images]}
    return json.dumps({"dataframe_split": rows, **({"params": params} if params else {})}).encode()


def _spoilt(text: str, rng: random.Random) -> str:
    place = rng.randrange(len(text) + 1)
    return text[:place] + rng.choice(["=", "\n", " ", "é", "-", "\x00", ""]) + text[place + 1 :]


def _nested(rng: random.Random, depth: int) -> object:
    if depth == 0 or rng.random() < 0.2:
        return rng.choice(JUNK)
    if rng.random() < 0.5:
        return [_nested(rng, depth - 1) for _ in range(rng.randint(0, 3))]
    names = ["image", "columns", "data", "index", "params", *LAYOUTS]
    return {rng.choice(names): _nested(rng, depth - 1) for _ in range(rng.randint(0, 3))}
