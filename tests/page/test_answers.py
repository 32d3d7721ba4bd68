"""What the page answers: the objects of any file that predict reads, by the settings asked for, and files of them."""

from __future__ import annotations

import io
import json
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile
from tests.conftest import disc_labels, tube_sample
from tests.page.conftest import BRIGHT, Client, running
from tests.stages.bright_model import DISCS, SHAPE, disc_image, write_looks

from nanonuclei.page.outcome import FILES
from nanonuclei.report.exports.overlay import QUIET
from nanonuclei.serving.named import NamedModel, OpenedModel
from nanonuclei.tasks.nanotubes.config import NanotubeExperiment
from nanonuclei.tasks.nanotubes.reader import NanotubeReader
from nanonuclei.tasks.nuclei.config import NucleiExperiment

AREAS = np.bincount(disc_labels(SHAPE, DISCS).ravel())[1:].tolist()


def areas(answer: dict[str, object]) -> list[int]:
    columns = {column["name"]: column["values"] for column in answer["columns"]}  # type: ignore[attr-defined, index]
    return columns["area"]


def ring_area(ring: list[int]) -> float:
    x, y = np.array(ring).reshape(-1, 2).T
    return abs(float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))) / 2


def test_dropped_image_gives_its_objects_with_outlines_and_figures(page: Client) -> None:
    found = page.upload(disc_image())
    assert found["file"] == "discs.png"
    assert found["recordings"][0]["channels"] == [{"value": 0, "text": "0: grey"}]
    answer = page.objects(found["id"]).json()
    assert (answer["count"], answer["text"], answer["closed"]) == (3, "3 nuclei", True)
    assert sorted(areas(answer)) == sorted(AREAS)
    assert [ring_area(rings[0]) for rings in answer["shapes"]] == areas(answer)
    assert answer["size"] == "equivalent_diameter"
    assert answer["network"]


def test_reading_settings_are_answered_without_the_network_and_a_diameter_with_it(page: Client) -> None:
    key = page.upload(disc_image())["id"]
    page.objects(key)
    before = len(page.calls)
    fewer = page.objects(key, min_area=min(AREAS) + 1, threshold=0.6).json()
    assert (fewer["count"], fewer["network"], len(page.calls)) == (2, False, before)
    enlarged = page.objects(key, diameter=12.0).json()
    assert enlarged["network"]
    assert len(page.calls) > before
    again = page.objects(key, diameter=12.0, min_area=1).json()
    assert not again["network"]


def test_image_that_looks_unlike_the_training_images_is_told(
    experiment: Callable[..., NucleiExperiment], tmp_path: Path
) -> None:
    write_looks(tmp_path)
    opened = OpenedModel(NamedModel("bright", tmp_path), experiment(BRIGHT), lambda batch: batch[..., :1])
    with running(opened, tmp_path / "uploads") as url:
        page = Client(url)
        inverted = page.upload(255 - disc_image())["id"]
        told = page.objects(inverted).json()["unlike"]
        assert told.startswith("Unlike the training images: background 1, in the nearest training image 0.")
        assert told.endswith("Check its outlines before you believe its count.")
        assert page.objects(inverted, threshold=0.6).json()["unlike"] == told
        assert page.objects(page.upload(disc_image())["id"]).json()["unlike"] == ""
        red = page.upload(np.dstack([np.zeros_like(disc_image())] * 2 + [disc_image()]))["id"]
        assert (
            "Choose a channel, if one colour" in page.objects(red, view={**page.view, "channel": None}).json()["unlike"]
        )


def test_controls_tell_which_of_them_run_the_network(page: Client) -> None:
    model = page.ask("GET", "/api/model").json()
    controls = {one["name"]: one for one in model["controls"]}
    assert {name: one["network"] for name, one in controls.items()} == {
        "threshold": False,
        "min_score": False,
        "min_area": False,
        "diameter": True,
    }
    assert controls["min_area"]["value"] == 5
    assert list(controls["diameter"]["words"]) == ["none"]  # this network was not taught sizes
    assert model["head"][0].startswith("Model bright: trained on")
    assert any("Not for diagnosis" in line for line in model["limits"])


def test_files_to_take_along_hold_the_objects_that_are_shown(page: Client) -> None:
    key = page.upload(disc_image(), "my%20image%C3%9F.png")["id"]
    least = min(AREAS) + 1
    answers = {kind: page.file(key, kind, min_area=least) for kind in FILES}
    assert {kind: answer.status_code for kind, answer in answers.items()} == dict.fromkeys(FILES, 200)
    assert answers["csv"].headers["content-disposition"] == ("attachment; filename*=UTF-8''my%20image%C3%9F-nuclei.csv")
    table = pd.read_csv(io.BytesIO(answers["csv"].content))
    assert table["area"].tolist() == [area for area in AREAS if area >= least]
    assert table["image"].unique().tolist() == ["my imageß"]
    assert len(json.loads(answers["geojson"].content)["features"]) == 2
    assert zipfile.ZipFile(io.BytesIO(answers["roi"].content)).namelist() == ["0001.roi", "0002.roi"]
    labels = cv2.imdecode(np.frombuffer(answers["labels"].content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert (labels.dtype, labels.max(), labels.shape) == (np.uint16, 2, SHAPE)
    assert answers["overlay"].content.startswith(b"\x89PNG")


def stack(tmp_path: Path) -> bytes:
    """Two times, two planes, two channels without names; the discs are in channel 1, plane 1, of both times."""
    images = np.zeros((2, 2, 2, *SHAPE), np.uint16)
    images[:, 1, 1] = disc_image().astype(np.uint16) * 256
    images[1, 1, 1, :45] = 1000  # only the lowest disc is left at time 1
    tifffile.imwrite(tmp_path / "stack.tif", images, imagej=True, metadata={"axes": "TZCYX"})
    return (tmp_path / "stack.tif").read_bytes()


def test_channel_plane_and_time_of_a_stack_are_chosen(page: Client, tmp_path: Path) -> None:
    found = page.upload(stack(tmp_path), "stack.tif")
    (recording,) = found["recordings"]
    assert (recording["planes"], recording["times"], len(recording["channels"])) == (2, 2, 2)
    assert recording["channel"] == 1  # the usual one of `predict`, too
    assert recording["note"].endswith("Choose it above: this is channel 1, which alone shows some.")
    num_calls = len(page.calls)
    assert page.objects(found["id"], view={**page.view, "channel": 1}).json()["count"] == 3
    assert len(page.calls) == num_calls

    def count(**view: object) -> int:
        return page.objects(found["id"], view={**page.view, **view}).json()["count"]

    assert count(channel=1) == 3
    assert count(channel=1, time=1) == 1
    assert count(channel=0) == 0
    assert count(channel=1, z=0) == 0
    assert page.objects(found["id"], view={**page.view, "channel": 1}).json()["choice"] == (
        "channel 1 of 2, maximum over 2 focal planes"
    )
    refused = page.objects(found["id"], view={**page.view, "time": 2})
    assert (refused.status_code, refused.json()["message"]) == (
        400,
        "stack.tif: no time 2; there are 2, from 0. Choose another",
    )


@pytest.mark.parametrize(("num", "usual"), [(3, "CYX"), (9, "ZYX")])
def test_what_the_pages_of_a_file_are_is_chosen_where_it_does_not_say_it(
    page: Client, tmp_path: Path, num: int, usual: str
) -> None:
    images = np.zeros((num, *SHAPE), np.uint8)
    images[0] = disc_image()
    images[1, 45:] = images[0, 45:]  # the lowest disc alone
    tifffile.imwrite(tmp_path / "plain.tif", images, photometric="minisblack", metadata=None)
    found = page.upload((tmp_path / "plain.tif").read_bytes(), "plain.tif")
    assert found["axes"] == usual
    held = {one["text"]: one for one in found["readings"]}
    assert {text: one["value"] for text, one in held.items()} == {
        "Channels": "CYX",
        "Focal planes": "ZYX",
        "Times": "TYX",
    }
    assert [held[text]["recordings"][0][key] for text, key in (("Focal planes", "planes"), ("Times", "times"))] == [
        num
    ] * 2

    def count(**view: object) -> int:
        return page.objects(found["id"], view={**page.view, **view}).json()["count"]

    assert count(axes="ZYX") == count(axes="CYX") == count(axes="TYX") == 3
    assert count(axes="ZYX", z=1) == count(axes="CYX", channel=1) == count(axes="TYX", time=1) == 1
    page.view |= {"axes": "TYX", "time": 1}
    assert "plain_t001-nuclei.csv" in page.file(found["id"], "csv").headers["content-disposition"]
    refused = page.objects(found["id"], view={**page.view, "axes": "ZXY"})
    assert (refused.status_code, "which 'ZXY' does not name" in refused.json()["message"]) == (400, True)
    assert page.upload(disc_image())["readings"] == []


def test_in_doubt_channel_0_is_shown_first(page: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    both = np.stack([disc_image(), disc_image()])
    tifffile.imwrite(tmp_path / "both.tif", both, metadata={"axes": "CYX"}, photometric="minisblack")
    stored = (tmp_path / "both.tif").read_bytes(), stack(tmp_path)
    monkeypatch.setattr("nanonuclei.page.workbench.MOST_SEARCHED", 2 * both[0].size)
    (recording,) = page.upload(stored[0], "both.tif")["recordings"]
    assert recording["channel"] == 0
    assert recording["note"].endswith("Choose it above: this is channel 0.")
    num_calls = len(page.calls)
    assert num_calls
    monkeypatch.setattr("nanonuclei.page.workbench.MOST_SEARCHED", 10)
    (recording,) = page.upload(stored[1], "stack.tif")["recordings"]
    assert (recording["channel"], len(page.calls)) == (0, num_calls)


def test_channel_of_the_stain_is_shown_first_and_a_colour_image_in_colours(page: Client, tmp_path: Path) -> None:
    two = np.stack([np.zeros(SHAPE, np.uint8), disc_image()])
    tifffile.imwrite(tmp_path / "a.ome.tif", two, metadata={"axes": "CYX", "Channel": {"Name": ["GFP", "DAPI"]}})
    (recording,) = page.upload((tmp_path / "a.ome.tif").read_bytes(), "a.ome.tif")["recordings"]
    assert (recording["channel"], recording["note"]) == (1, "")
    colours = page.upload(np.random.default_rng(0).integers(0, 255, (*SHAPE, 3), np.uint8))
    assert colours["recordings"][0]["channel"] is None
    assert page.objects(colours["id"], view={**page.view, "channel": None}).status_code == 200
    assert page.objects(colours["id"], view={**page.view, "channel": "grey"}).status_code == 200


def test_examples_come_along_and_are_taken_like_images(page: Client) -> None:
    assert page.ask("GET", "/api/model").json()["examples"] == ["example"]
    assert page.ask("GET", "/api/examples/0").content.startswith(b"\x89PNG")
    found = page.ask("POST", "/api/examples/0").json()
    assert page.objects(found["id"], min_score=0.0).json()["count"] == 3  # the task's own example shows three
    assert "no example 7" in page.ask("POST", "/api/examples/7").json()["message"]


def test_picture_is_the_plane_with_its_contrast_stretched(page: Client) -> None:
    key = page.upload((disc_image() // 8).astype(np.uint8))["id"]
    answer = page.ask("GET", f"/api/images/{key}/picture", params={"view": json.dumps(page.view)})
    shown = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert (shown.shape, shown.min(), shown.max()) == (SHAPE, 0, 255)


def test_requests_at_the_same_time_run_the_network_once(page: Client) -> None:
    key = page.upload(disc_image())["id"]
    page.objects(page.upload(disc_image(1))["id"])
    once = len(page.calls)
    with ThreadPoolExecutor(6) as pool:
        counts = list(pool.map(lambda area: page.objects(key, min_area=area).json()["count"], range(1, 7)))
    assert counts == [3] * 6
    assert len(page.calls) == 2 * once


def test_network_stops_for_an_image_that_was_taken_off_the_page(
    tmp_path: Path, experiment: Callable[..., NucleiExperiment]
) -> None:
    begun, calls = threading.Event(), []

    def slow(batch: np.ndarray) -> np.ndarray:
        calls.append(len(batch))
        begun.set()
        time.sleep(0.05)
        return batch[..., :1]

    opened = OpenedModel(NamedModel("slow", tmp_path), experiment(BRIGHT), slow)
    with running(opened, tmp_path / "uploads") as url, ThreadPoolExecutor(1) as pool:
        client = Client(url)
        key = client.upload(np.tile(disc_image(), (20, 20)))["id"]  # of 900 batches
        waiting = pool.submit(client.objects, key)
        assert begun.wait(60)
        client.ask("DELETE", f"/api/images/{key}")
        assert "the network was stopped" in waiting.result(60).json()["message"]
        assert len(calls) < 100
        assert client.objects(client.upload(disc_image())["id"]).json()["count"] == 3


def test_nanotubes_are_shown_as_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tube_experiment: Callable[..., NanotubeExperiment]
) -> None:
    settings = {"tubes.joins": "two", "tubes.window_threshold": 0.5, "tubes.min_score": 0.5}

    monkeypatch.setattr(NanotubeReader, "score_maps", sure)
    opened = OpenedModel(NamedModel("tubes", tmp_path), tube_experiment(settings), lambda batch: batch)
    with running(opened, tmp_path / "uploads") as url:
        tubes = Client(url)
        key = tubes.upload(tube_sample("a", seed=0).image)["id"]
        answer = tubes.objects(key).json()
        assert (answer["text"], answer["closed"], answer["size"]) == ("1 nanotube", False, "length")
        assert answer["measures"] == {"Cells": 2, "Candidates per cell": 0.5}
        line = np.array(answer["shapes"][0][0]).reshape(-1, 2)
        assert 70 < abs(line[-1, 0] - line[0, 0]) < 90
        assert tubes.objects(key, min_length=200.0).json()["count"] == 0
        assert tubes.objects(key, joins="all").json()["count"] >= 1
        model = tubes.ask("GET", "/api/model").json()
        assert not any(one["network"] for one in model["controls"])
        drawn = cv2.imdecode(np.frombuffer(tubes.file(key, "overlay").content, np.uint8), cv2.IMREAD_COLOR)
        assert (drawn == QUIET[::-1]).all(axis=2).any()  # the cells, as in those of `predict`


def test_page_counts_cells_by_the_nuclei_that_the_settings_name(
    tmp_path: Path, tube_experiment: Callable[..., NanotubeExperiment], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(NanotubeReader, "score_maps", sure)
    membrane, nuclei = np.full((100, 200), 20, np.uint8), np.full((100, 200), 5, np.uint8)
    membrane[20:60, 10:130] = 150  # five cells in a row, without necks
    for x in range(22, 130, 24):
        cv2.circle(nuclei, (x, 40), 7, 200, -1)
    tifffile.imwrite(tmp_path / "field.tif", np.stack([membrane, nuclei]), imagej=True, metadata={"axes": "CYX"})
    opened = OpenedModel(NamedModel("tubes", tmp_path), tube_experiment({"tubes.nuclei": 1}), lambda batch: batch)
    with running(opened, tmp_path / "uploads") as url:
        tubes = Client(url)
        two, one = (tmp_path / "field.tif").read_bytes(), tube_sample("a", seed=0).image
        assert tubes.objects(tubes.upload(two, "field.tif")["id"]).json()["measures"]["Cells"] == 5
        refused = tubes.objects(tubes.upload(one)["id"])
        assert refused.status_code == 400
        assert "Change tubes.nuclei" in refused.text


def sure(_: NanotubeReader, __: object, inputs: list[np.ndarray]) -> Iterator[np.ndarray]:
    return (np.stack([np.full(image.shape[:2], 0.9, np.float32), image[..., 0]], axis=-1) for image in inputs)


def test_stored_settings_are_where_the_controls_begin(
    tmp_path: Path, experiment: Callable[..., NucleiExperiment]
) -> None:
    config = experiment({**BRIGHT, "instances.min_area": max(AREAS)})
    with running(OpenedModel(NamedModel("b", tmp_path), config, lambda batch: batch[..., :1]), tmp_path / "u") as url:
        client = Client(url)
        key = client.upload(disc_image())["id"]
        assert client.objects(key).json()["count"] == 1
        assert client.objects(key, min_area=5).json()["count"] == 3
