from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import scoring_server
from mlflow.pyfunc.scoring_server import InvocationsResponse

from nanonuclei.imaging.instances import Instances
from nanonuclei.serving import guard as door
from nanonuclei.serving.guard import guarded, read_request
from nanonuclei.serving.live.notes import note_image, note_objects
from nanonuclei.serving.refusal import Refused

KNOWN = ("threshold", "return")


def body(**content: Any) -> bytes:
    return json.dumps(content).encode()


SPLIT = {"columns": ["image"], "data": [["QQ=="], ["Qg=="]]}


@pytest.mark.parametrize(
    "content",
    [
        {"dataframe_split": SPLIT},
        {"dataframe_split": {"columns": ["id", "image"], "data": [[1, "QQ=="], [2, "Qg=="]], "index": [0, 1]}},
        {"dataframe_records": [{"image": "QQ=="}, {"image": "Qg==", "id": 3}]},
        {"instances": [{"image": "QQ=="}, {"image": "Qg=="}]},
        {"instances": ["QQ==", "Qg=="]},
        {"inputs": {"image": ["QQ==", "Qg=="]}},
        {"inputs": ["QQ==", "Qg=="]},
    ],
)
def test_images_are_found_in_every_layout(content: dict[str, Any]) -> None:
    assert read_request(body(**content), parameters=KNOWN) == (["QQ==", "Qg=="], {})


def test_parameters_are_handed_on() -> None:
    params = {"threshold": 0.4, "return": "labels"}
    assert read_request(body(dataframe_split=SPLIT, params=params), parameters=KNOWN)[1] == params


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "JSON text"),
        (b"\xff\xfe", "JSON text"),
        (b"[" * 100_000, "JSON text"),
        (b"[1]", "JSON object, got a list"),
        (b"null", "JSON object, got nothing"),
        (body(), "one of dataframe_split"),
        (body(messages=[]), "one of dataframe_split"),
        (body(dataframe_split=SPLIT, inputs=[]), "one of dataframe_split"),
        (body(dataframe_split=SPLIT, surprise=1), "one of dataframe_split"),
        (body(dataframe_split=3), "object with columns and data"),
        (body(dataframe_split={"columns": ["image"], "data": 3}), "object with columns and data"),
        (body(dataframe_split={"columns": ["picture"], "data": [["QQ=="]]}), "the column 'image'"),
        (body(dataframe_split={"columns": ["image"], "data": [["QQ==", 3]]}), "rows of 1 values"),
        (body(dataframe_split={"columns": ["image"], "data": []}), "at least one image"),
        (body(dataframe_records=[{"picture": "QQ=="}]), "the column 'image'"),
        (body(dataframe_records={"image": ["QQ=="]}), "the column 'image'"),
        (body(inputs={"picture": ["QQ=="]}), "the column 'image'"),
        (body(inputs=3), "must be a list"),
        (body(inputs=[[1, 2]]), "rows with the column"),
        (body(inputs={"image": [3]}), "image 0 must be base64 text, got a number"),
        (body(inputs={"image": ["QQ==", None]}), "image 1 must be base64 text, got nothing"),
        (b'{"dataframe_records": [{"image": "QQ=="}, {"image": "\\ud800"}]}', "image 1 is not base64 text"),
        (body(inputs=["QQ=="], params=[1]), "params must be a JSON object"),
        (body(inputs=["QQ=="], params={"treshold": 1}), "Did you mean threshold"),
        (body(inputs=["QQ=="], params={"threshold": [1]}), "number or a word, got a list"),
        (body(inputs=["QQ=="], params={"threshold": 10**30}), "number or a word"),
    ],
)
def test_what_is_no_request_is_refused_in_one_sentence(data: bytes, sentence: str) -> None:
    with pytest.raises(Refused, match=sentence) as refused:
        read_request(data, parameters=KNOWN)
    assert "\n" not in refused.value.message
    assert len(refused.value.message) < 400


def answering(*_: object) -> InvocationsResponse:
    return InvocationsResponse("[]", 200, "application/json")


@pytest.mark.parametrize(
    ("content_type", "size", "status"),
    [
        (None, 1, 415),
        ("text/csv", 1, 415),
        ("application/vnd.apache.parquet", 1, 415),
        ("application/json", 1000, 413),
        ("application/json; charset=utf-8", 0, 200),
    ],
)
def test_kind_and_size_of_a_request_are_checked_first(content_type: str | None, size: int, status: int) -> None:
    answer = guarded(answering, max_bytes=500, parameters=KNOWN)
    found = answer(body(inputs=["QQ=="]) + b" " * size, content_type, None, None)
    assert found.status == status


def test_errors_of_mlflow_lose_request_and_stack_trace() -> None:
    def failing(*_: object) -> InvocationsResponse:
        text = "Failed to predict data '   image\n0  QQ=='. \nError: Can not convert text to double. See /opt/x.py"
        raise MlflowException(text, stack_trace="Traceback /opt/x.py")

    with pytest.raises(Refused) as refused:
        guarded(failing, max_bytes=500, parameters=KNOWN)(body(inputs=["QQ=="]), "application/json", None, None)
    assert json.loads(refused.value.serialize_as_json())["message"] == "Can not convert text to double"


def test_our_own_faults_are_told_as_such_and_no_more(caplog: pytest.LogCaptureFixture) -> None:
    def failing(*_: object) -> InvocationsResponse:
        raise ZeroDivisionError("/opt/secret/path.py")

    with pytest.raises(Refused, match="server's log says why") as refused:
        guarded(failing, max_bytes=500, parameters=KNOWN)(body(inputs=["QQ=="]), "application/json", None, None)
    assert refused.value.get_http_status_code() == 500
    assert "secret" not in refused.value.serialize_as_json()
    assert "secret" in caplog.text


def test_door_is_put_in_front_of_mlflow_s_function_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring_server, "invocations", answering)
    for _ in range(2):
        door.guard(max_bytes=500, parameters=KNOWN)
    assert scoring_server.invocations.nanonuclei_guarded is answering
    assert scoring_server.invocations(body(inputs=["QQ=="]), "application/json", None, None).status == 200


def test_a_refusal_is_one_line_whatever_the_request_holds() -> None:
    with pytest.raises(Refused) as refused:
        read_request(body(**{"a\nb\x00c": 1}), parameters=KNOWN)
    assert refused.value.message.endswith("got a b c")


def predicting(*_: object) -> InvocationsResponse:
    note_image(np.zeros((4, 4), np.uint8))
    note_image(np.zeros((4, 4), np.uint8), unlike="colour 0.5, in the nearest training image 0")
    for _ in range(2):
        note_objects(Instances(np.zeros((0, 4), np.int32), np.zeros(0, np.float32), None))
    return InvocationsResponse('{"predictions": [1]}', 200, "application/json")


def test_warnings_of_the_model_and_of_its_images_stand_before_the_predictions() -> None:
    answer = guarded(predicting, max_bytes=500, parameters=KNOWN, warnings=["Warning: simulated."])
    found = json.loads(answer(body(inputs=["QQ==", "QQ=="]), "application/json", None, None).response)
    assert list(found) == ["warnings", "predictions"]
    assert found["warnings"][0] == "Warning: simulated."
    assert found["warnings"][1].startswith("Warning: image 1 looks unlike those that the model was trained on: colour")
    assert found["predictions"] == [1]


def test_answer_without_warnings_is_that_of_mlflow() -> None:
    answer = guarded(answering, max_bytes=500, parameters=KNOWN)
    assert answer(body(inputs=["QQ=="]), "application/json", None, None) == answering()
