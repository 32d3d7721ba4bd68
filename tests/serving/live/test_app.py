"""What a live server answers: the version's own answers with its name, metrics, drift; nothing of its inside."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow.entities import FileInfo
from mlflow.exceptions import MlflowException
from prometheus_client.parser import text_string_to_metric_families
from tests.serving.live.asgi import ask

from nanonuclei.errors import TrackingError
from nanonuclei.imaging.instances import Instances
from nanonuclei.serving.live import days, follow, versions
from nanonuclei.serving.live.app import HIDDEN, LiveApp
from nanonuclei.serving.live.drift import Drift
from nanonuclei.serving.live.follow import Follower
from nanonuclei.serving.live.followed import Followed, parse_followed
from nanonuclei.serving.live.metrics import Metrics
from nanonuclei.serving.live.notes import ImageNote, note_image, note_objects
from nanonuclei.serving.live.totals import Totals
from nanonuclei.serving.live.versions import Served
from nanonuclei.stages.serve.serve import NO_PICKLE, Address, serve

FOUND = Instances(np.array([[0, 0, 8, 8], [0, 0, 4, 16]], np.int32), np.array([0.5, 0.75], np.float32), None)


def version(number: str) -> Served:
    """A version that takes every request for an image of 64 x 32 px with two objects."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        note_image(np.full((64, 32), 51, np.uint8), unlike="colour 0.5, in the nearest training image 0")
        note_objects(FOUND)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": f"version {number}".encode()})

    return Served("cells", number, app, Drift(None), "trained on drawn, simulated images.")


class Registry:
    """Stands for the tracking server: the alias, and versions that cannot be loaded."""

    def __init__(self) -> None:
        self.alias: str | Exception = "1"
        self.broken: set[str] = set()
        self.loaded: list[str] = []

    def load(self, name: str, number: str) -> Served:
        self.loaded.append(number)
        if number in self.broken:
            raise TrackingError(f"version {number} of {name} cannot serve: it is broken")
        return version(number)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    made = Registry()

    def look(followed: Followed) -> str:
        if isinstance(made.alias, Exception):
            raise made.alias
        return made.alias

    monkeypatch.setattr(Followed, "version", look)
    return made


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def follower(registry: Registry, metrics: Metrics) -> Follower:
    return Follower(Followed("cells", "champion"), metrics, load=registry.load)


@pytest.fixture
def app(follower: Follower, metrics: Metrics) -> LiveApp:
    return LiveApp(follower, metrics, Totals())


def samples(app: LiveApp) -> dict[tuple[str, str], float]:
    """The samples of /metrics by name and version."""
    text = ask(app, "/metrics").body.decode()
    families = text_string_to_metric_families(text)
    return {(s.name, s.labels.get("version", "")): s.value for family in families for s in family.samples}


def test_version_moves_with_the_alias_and_stands_in_the_answer(
    app: LiveApp, follower: Follower, registry: Registry
) -> None:
    assert follower.look()
    assert ask(app, "/invocations", method="POST").headers["nanonuclei-version"] == "cells/1"
    registry.alias = "2"
    assert follower.look()
    assert not follower.look()
    answer = ask(app, "/invocations", method="POST")
    assert (answer.body, answer.headers["nanonuclei-version"]) == (b"version 2", "cells/2")
    assert registry.loaded == ["1", "2"]
    found = samples(app)
    assert found["nanonuclei_serving", "1"] == 0
    assert found["nanonuclei_serving", "2"] == 1
    assert found["nanonuclei_requests_total", "1"] == found["nanonuclei_requests_total", "2"] == 1


def test_a_model_that_is_missing_is_told_once(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(NO_PICKLE, "false")  # as `serve` sets it, and taken back
    caplog.set_level("INFO", "nanonuclei")
    registry.alias = TrackingError("no model 'models:/cells@champion' there")
    with pytest.raises(TrackingError, match=r"no model 'models:/cells@champion' there\. Promote a model: "):
        serve("models:/cells@champion", Address("127.0.0.1", 0))
    assert caplog.text == ""
    Follower(Followed("cells", "champion"), Metrics(), load=registry.load).look()
    assert caplog.text.count("no model 'models:/cells@champion' there") == 1


def test_broken_version_leaves_the_old_one_and_says_so(
    app: LiveApp, follower: Follower, registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    follower.look()
    registry.alias, registry.broken = "2", {"2"}
    for _ in range(3):
        assert not follower.look()
    assert registry.loaded == ["1", "2"]  # not tried again at each look
    health = json.loads(ask(app, "/health").body)
    assert health["version"] == "1"
    assert health["trouble"] == "version 2 of cells cannot serve: it is broken. Version 1 goes on answering"
    assert caplog.text.count("Version 1 goes on answering") == 1
    assert ask(app, "/invocations", method="POST").body == b"version 1"
    registry.alias = "3"
    assert follower.look()
    assert json.loads(ask(app, "/health").body)["trouble"] == ""


def test_version_is_fetched_without_its_copy_of_this_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = {
        None: [("MLmodel", False), ("artifacts", True), ("code", True)],
        "code": [("code/nanonuclei", True), ("code/cells_task", True)],
    }
    fetched = []

    class Store:
        def list_artifacts(self, path: str | None) -> list[FileInfo]:
            return [FileInfo(name, is_folder, 1) for name, is_folder in folders[path]]

        def download_artifacts(self, path: str, folder: str) -> None:
            fetched.append((path, folder))

    monkeypatch.setattr(versions, "get_artifact_repository", lambda uri: Store())
    assert versions._downloaded("models:/cells/1", tmp_path) == tmp_path
    assert sorted(fetched) == [(name, str(tmp_path)) for name in ("MLmodel", "artifacts", "code/cells_task")]


def test_broken_version_is_tried_again_later(
    follower: Follower, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "RETRY_SECONDS", 0.0)
    follower.look()
    registry.alias, registry.broken = "2", {"2"}
    assert not follower.look()
    registry.broken = set()
    assert follower.look()


def test_tracking_server_that_does_not_answer_stops_nothing(
    app: LiveApp, follower: Follower, registry: Registry
) -> None:
    follower.look()
    registry.alias = TrackingError("the tracking server does not answer")
    assert not follower.look()
    assert ask(app, "/invocations", method="POST").status == 200
    assert json.loads(ask(app, "/health").body)["trouble"] == "the tracking server does not answer"


def test_server_without_a_version_asks_to_come_back(app: LiveApp) -> None:
    for path in ("/ping", "/invocations"):
        answer = ask(app, path)
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    assert ask(app, "/health").status == 503
    assert ask(app, "/metrics").status == 200


@pytest.mark.parametrize("path", HIDDEN)
def test_pages_that_tell_of_the_inside_are_hidden(app: LiveApp, follower: Follower, path: str) -> None:
    follower.look()
    assert ask(app, path).status == 404


def test_metrics_tell_what_was_seen_and_found(app: LiveApp, follower: Follower) -> None:
    follower.look()
    ask(app, "/invocations", method="POST")
    found = samples(app)
    assert found["nanonuclei_image_megapixels_sum", "1"] == pytest.approx(64 * 32 / 1e6)
    assert found["nanonuclei_image_intensity_sum", "1"] == pytest.approx(0.2)
    assert found["nanonuclei_objects_sum", "1"] == 2
    assert found["nanonuclei_images_unlike_training_total", "1"] == 1
    assert found["nanonuclei_diameter_pixels_sum", "1"] == 8
    assert found["nanonuclei_score_sum", "1"] == pytest.approx(0.625)
    assert found["nanonuclei_request_seconds_count", "1"] == 1


def test_health_tells_what_the_version_was_trained_on(app: LiveApp, follower: Follower) -> None:
    follower.look()
    assert json.loads(ask(app, "/health").body)["origin"] == "trained on drawn, simulated images."


@pytest.mark.parametrize("wrong", ["nuclei", "runs:/abc/model", "models:/cells", "models:/cells@", "models:/cells/x"])
def test_only_registered_models_are_served(wrong: str) -> None:
    with pytest.raises(TrackingError, match="models:/NAME@ALIAS"):
        parse_followed(wrong)


def test_version_that_is_named_stays() -> None:
    assert parse_followed("models:/cells/7").version() == "7"
    assert str(parse_followed("models:/cells@champion")) == "models:/cells@champion"


def test_totals_are_taken_once() -> None:
    totals, note = Totals(), ImageNote(4, 4, None, 3, 0.5)  # type: ignore[arg-type]
    totals.add([note, replace(note, unlike="background 0.5")], status=200, seconds=0.5)
    totals.add([], status=503, seconds=0.25)
    requests = {"requests": 2, "refused": 0, "failed": 1, "seconds": 0.75}
    assert totals.taken() == {**requests, "images": 2, "unlike_training": 1, "objects": 6}
    assert totals.taken() == {}


def test_sums_that_could_not_be_written_are_written_with_the_next_call(
    follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Away:
        def get_experiment_by_name(self, name: str) -> None:
            raise MlflowException("no answer")

    monkeypatch.setattr(days, "MlflowClient", Away)
    follower.look()
    totals = Totals()
    totals.add([], status=200, seconds=0.5)
    with pytest.raises(MlflowException, match="no answer"):
        days.Days(follower, totals).write()
    totals.add([], status=200, seconds=0.25)
    assert totals.taken() == {
        **dict.fromkeys(("refused", "failed", "images", "unlike_training", "objects"), 0),
        "requests": 2,
        "seconds": 0.75,
    }


def test_notes_and_metrics_cost_less_than_a_millisecond_per_request(app: LiveApp, follower: Follower) -> None:
    from nanonuclei.serving.live.notes import Notes

    image = np.random.default_rng(0).integers(0, 255, (512, 512, 3), np.uint8)
    boxes = np.tile(np.array([[0, 0, 8, 8]], np.int32), (200, 1))
    found = Instances(boxes, np.full(200, 0.5, np.float32), None)
    follower.look()
    assert follower.current is not None

    def seconds() -> float:
        started = time.thread_time()
        notes = Notes()
        notes.add_image(image)
        notes.add_objects(found)
        app._note(follower.current, notes, status=200, seconds=0.1)
        return time.thread_time() - started

    assert np.median([seconds() for _ in range(200)]) < 0.001
