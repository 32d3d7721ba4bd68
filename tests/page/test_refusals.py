"""What the page refuses: files that are no images, too much, and requests that do not come from it."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import requests
from tests.page.conftest import Client
from tests.stages.bright_model import disc_image

from nanonuclei.data.files.limits import ImageLimits
from nanonuclei.errors import DataError
from nanonuclei.page.memory import Memory
from nanonuclei.page.uploads import Uploads, clean_name

PNG = cv2.imencode(".png", disc_image())[1].tobytes()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"not an image", "notes.txt: not a readable image: damaged, cut short or of another format"),
        (b"", "notes.txt: not an image: 0 bytes"),
        (PNG[:40], "notes.txt: not a readable image"),
    ],
)
def test_wrong_file_is_refused_in_one_sentence(page: Client, content: bytes, sentence: str) -> None:
    answer = page.ask("POST", "/api/images", data=content, headers={"x-file-name": "..%2F..%2Fnotes.txt"})
    told = answer.json()["message"]
    assert answer.status_code == 400
    assert told.startswith(sentence)
    assert str(page.folder) not in told
    assert list(page.folder.iterdir()) == []


def test_file_that_is_broken_further_on_is_refused_when_it_is_decoded(page: Client) -> None:
    answer = page.ask("POST", "/api/images", data=PNG[:-30], headers={"x-file-name": "cut.png"})
    if answer.status_code == 200:
        answer = page.objects(answer.json()["id"])
    assert answer.status_code == 400
    assert answer.json()["message"].startswith("cut.png: not a readable image")


def test_large_images_and_bodies_are_refused(page: Client) -> None:
    answer = page.ask("POST", "/api/images", data=b"", headers={"content-length": str(2**40)})
    assert (answer.status_code, answer.json()["message"][:40]) == (413, "a file must have at most 256 MiB. Cut th")

    key = page.upload(disc_image())["id"]
    chunked = iter([b"{" + bytes(2**15)] * 4)  # without a length, 131,076 bytes
    answer = page.ask("POST", f"/api/images/{key}/objects", data=chunked)
    assert (answer.status_code, answer.json()["message"][:35]) == (413, "a file must have at most 64 KiB. Cu")
    header = bytearray(cv2.imencode(".png", np.zeros((2, 2), np.uint8))[1].tobytes())
    header[16:24] = (60_000).to_bytes(4, "big") * 2
    refused = page.ask("POST", "/api/images", data=bytes(header))
    assert refused.status_code == 400
    assert "60000x60000 px" in refused.json()["message"]


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", {}, 200),
        ("GET", {"host": "rebound.example:80"}, 421),
        ("GET", {"host": "localhost"}, 200),
        ("GET", {"host": "[::1]:7860"}, 200),
        ("GET", {"host": "192.0.2.1"}, 421),
        ("POST", {"x-asked-by": "nanonuclei"}, 200),
        ("POST", {}, 403),
        ("POST", {"x-asked-by": "nanonuclei", "origin": "http://evil.example"}, 403),
        ("POST", {"x-asked-by": "nanonuclei", "origin": "null"}, 403),
        ("POST", {"x-asked-by": "nanonuclei", "host": "rebound.example"}, 421),
    ],
)
def test_only_the_page_itself_may_ask(page: Client, method: str, headers: dict[str, str], status: int) -> None:
    path = "/api/model" if method == "GET" else "/api/examples/0"
    answer = requests.request(method, page.url + path, headers=headers, timeout=30)
    assert answer.status_code == status
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "access-control-allow-origin" not in answer.headers


def test_own_origin_may_ask(page: Client) -> None:
    assert page.ask("POST", "/api/examples/0", headers={"origin": page.url}).status_code == 200


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"threshold": 1.5}, "instances.threshold"),
        ({"treshold": 0.5}, "unknown parameter 'treshold'. Did you mean threshold or seed_threshold?"),
        ({"threshold": [1]}, "threshold must be a number or a word"),
        ({"diameter": 5000.0}, "windows.diameter must be the size of the objects"),
    ],
)
def test_wrong_settings_are_told(page: Client, values: dict[str, object], sentence: str) -> None:
    answer = page.objects(page.upload(disc_image())["id"], **values)
    assert answer.status_code == 400
    assert sentence in answer.json()["message"]


def test_image_is_reached_by_its_random_id_alone_and_deleted_on_request(page: Client) -> None:
    one, other = page.upload(disc_image()), page.upload(disc_image())
    assert one["id"] != other["id"]
    assert len(one["id"]) >= 20
    assert len(list(page.folder.iterdir())) == 2
    assert page.ask("DELETE", f"/api/images/{one['id']}").status_code == 204
    assert [path.name for path in page.folder.iterdir()] == [other["id"]]
    gone = page.objects(one["id"])
    assert (gone.status_code, gone.json()["message"][:36]) == (400, "this image is no longer on the page:")
    assert page.objects("../../etc/passwd").status_code == 404


def kept(folder: Path, **bounds: int) -> Uploads:
    folder.mkdir()
    return Uploads(folder, limits=ImageLimits(), **bounds)


def add(uploads: Uploads) -> str:
    path = uploads.new_path()
    path.write_bytes(PNG)
    return uploads.keep(path, "a.png")[0].id


def test_few_images_are_kept_and_those_used_last_stay(tmp_path: Path) -> None:
    uploads = kept(tmp_path / "few", most=2)
    first, second = add(uploads), add(uploads)
    uploads.get(first)
    third = add(uploads)
    assert {path.name for path in (tmp_path / "few").iterdir()} == {first, third}
    with pytest.raises(DataError, match="no longer on the page"):
        uploads.get(second)
    small = kept(tmp_path / "small", most_bytes=2 * len(PNG))
    assert [add(small) for _ in range(3)][1:] == [path.id for path, _ in small._kept.values()]


@pytest.mark.parametrize(
    ("given", "cleaned"),
    [("a/b\\c.tif", "c.tif"), ("..", "image"), ("x\r\ny\x00.png", "xy.png"), ("µm ß.tif", "µm ß.tif"), ("", "image")],
)
def test_file_names_lose_folders_and_control_characters(given: str, cleaned: str) -> None:
    assert clean_name(given) == cleaned


def test_memory_is_bounded_and_forgets_what_was_not_used_for_longest() -> None:
    memory = Memory(10)
    for name in "abc":
        memory.put((name, "scores"), name, 4)
    assert [memory.get((name, "scores")) for name in "abc"] == [None, "b", "c"]
    memory.put(("d", "scores"), "d", 11)
    assert (memory.get(("d", "scores")), memory.num_bytes) == (None, 8)
    memory.forget(["b"])
    assert memory.num_bytes == 4


def test_index_and_its_files_are_served_without_anything_from_elsewhere(page: Client) -> None:
    for path in ("/", "/static/page.js", "/static/viewer.js", "/static/figures.js", "/static/page.css"):
        answer = requests.get(page.url + path, timeout=30)
        assert answer.status_code == 200
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", answer.text), path
    assert requests.get(f"{page.url}/static/../app.py", timeout=30).status_code == 404
