"""What a server answers to requests that are none: one sentence and a 4xx, no data, no stack trace, no path.

MLflow's scoring server repeats the request in its messages, answers 500 to one without a type, and sends stack traces
to clients of other types than JSON. It calls its function `invocations` by name for each request; here that function
gets a door in front.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.pyfunc import scoring_server
from mlflow.pyfunc.scoring_server import InvocationsResponse

from nanonuclei.errors import nearest_name
from nanonuclei.serving.live.notes import taking_notes
from nanonuclei.serving.origin import unlike_training
from nanonuclei.serving.refusal import Refused, broken

_logger = logging.getLogger(__name__)

TABLES = ("dataframe_split", "dataframe_records", "instances", "inputs")
"""How MLflow's clients write a table; a request holds one of them."""

COLUMN = "image"

_GUARDED = "nanonuclei_guarded"
"""Attribute of the function that has a door already, which holds the function behind it."""


def guard(*, max_bytes: int, parameters: Sequence[str], warnings: Sequence[str] = ()) -> None:
    """Puts the door in front of the server of this process.

    Args:
        max_bytes: Largest body of a request.
        parameters: Names that a request may give a value.
        warnings: Of the model, such as that its training images were simulated; each answer holds them.
    """
    behind = getattr(scoring_server.invocations, _GUARDED, scoring_server.invocations)
    door = guarded(behind, max_bytes=max_bytes, parameters=parameters, warnings=warnings)
    setattr(door, _GUARDED, behind)
    scoring_server.invocations = door


def guarded(
    behind: Callable[..., InvocationsResponse],
    *,
    max_bytes: int,
    parameters: Sequence[str],
    warnings: Sequence[str] = (),
) -> Callable[..., InvocationsResponse]:
    """Returns MLflow's function with a door in front; see `guard`."""

    def invocations(data: Any, content_type: str | None, model: Any, input_schema: Any) -> InvocationsResponse:
        kind = (content_type or "").split(";")[0].strip().lower()
        if kind != scoring_server.CONTENT_TYPE_JSON:
            return _answer(415, f"a request must be {scoring_server.CONTENT_TYPE_JSON}, got {kind[:60] or 'no type'}")
        if len(data) > max_bytes:
            return _answer(413, f"a request must have at most {max_bytes} bytes, got {len(data)}")
        try:
            # The entrance hands over a body that is held no longer than until it is taken.
            images, params = read_request(data.take() if hasattr(data, "take") else data, parameters=parameters)
            table = {"columns": [COLUMN], "data": [[image] for image in images]}
            request = {"dataframe_split": table, "params": params}
            with taking_notes() as notes:
                answer = behind(request, scoring_server.CONTENT_TYPE_JSON, model, input_schema)
        except Refused:
            raise
        except MlflowException as error:
            raise Refused(_cause(error)) from None
        except Exception as error:
            _logger.exception("a request failed")
            raise broken() from error
        return _with_warnings(answer, [*warnings, *unlike_training([note.unlike for note in notes.images])])

    return invocations


def _with_warnings(answer: InvocationsResponse, warnings: Sequence[str]) -> InvocationsResponse:
    """Puts warnings in front of the predictions of an answer, as ``warnings``; without any it stays as it is."""
    if not warnings or answer.status != 200 or not answer.response.startswith("{"):
        return answer
    return answer._replace(response=f'{{"warnings": {json.dumps(warnings)}, {answer.response[1:]}')


def read_request(data: bytes | str, *, parameters: Sequence[str]) -> tuple[list[Any], dict[str, Any]]:
    """Reads a request.

    Args:
        data: JSON: one of `TABLES`, and perhaps ``params``.
        parameters: Names that it may give a value.

    Returns:
        The images, as they were given, and the parameters.

    Raises:
        Refused: It is none.
    """
    try:
        request = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Refused("a request must be JSON text in UTF-8") from error
    if not isinstance(request, dict):
        raise Refused(f"a request must be a JSON object, got {_kind(request)}")
    given = [name for name in TABLES if name in request]
    if len(given) != 1 or set(request) - {*given, "params"}:
        raise Refused(
            f"a request must hold one of {', '.join(TABLES)}, and params if need be, got "
            f"{', '.join(map(str, request))[:200] or 'nothing'}"
        )
    images = _images(given[0], request[given[0]])
    if not images:
        raise Refused("a request must hold at least one image, got none")
    wrong = [number for number, image in enumerate(images) if not isinstance(image, str)]
    if wrong:
        raise Refused(f"image {wrong[0]} must be base64 text, got {_kind(images[wrong[0]])}")
    if wrong := [number for number, image in enumerate(images) if not image.isascii()]:
        raise Refused(f"image {wrong[0]} is not base64 text")
    return images, _params(request.get("params"), parameters)


def _params(params: object, known: Sequence[str]) -> dict[str, Any]:
    if params is None:
        return {}
    if not isinstance(params, dict):
        raise Refused(f"params must be a JSON object, got {_kind(params)}")
    for name, value in params.items():
        if name not in known:
            raise Refused(f"unknown parameter {name[:60]!r}. {nearest_name(name[:60], known)}")
        if isinstance(value, bool) or not isinstance(value, int | float | str) or abs(_number(value)) > 2**53:
            raise Refused(f"parameter {name} must be a number or a word, got {_kind(value)}")
    return params


def _number(value: float | str) -> float:
    return 0.0 if isinstance(value, str) else value


def _images(layout: str, table: object) -> list[Any]:
    """Returns the column of images of a table in one of MLflow's layouts."""
    if layout == "dataframe_split":
        if not isinstance(table, dict) or not isinstance(rows := table.get("data"), list):
            raise Refused(f"{layout} must be an object with columns and data, got {_kind(table)}")
        columns = table.get("columns")
        if not isinstance(columns, list) or columns.count(COLUMN) != 1:
            raise Refused(f"{layout} must have the column {COLUMN!r} once")
        place = columns.index(COLUMN)
        if not all(isinstance(row, list) and len(row) == len(columns) for row in rows):
            raise Refused(f"{layout} must have rows of {len(columns)} values, as many as columns")
        return [row[place] for row in rows]
    if isinstance(table, dict):  # a column by its name
        column = table.get(COLUMN)
        if layout == "dataframe_records" or column is None:
            raise Refused(f"{layout} must have the column {COLUMN!r}, got an object without it")
        return column if isinstance(column, list) else [column]
    if not isinstance(table, list):
        raise Refused(f"{layout} must be a list, got {_kind(table)}")
    if not all(isinstance(row, str) or (isinstance(row, Mapping) and COLUMN in row) for row in table):
        raise Refused(f"{layout} must be rows with the column {COLUMN!r}")
    return [row if isinstance(row, str) else row[COLUMN] for row in table]


def _cause(error: MlflowException) -> str:
    """Returns what MLflow has to say, without the request that it repeats first."""
    text = " ".join(str(error.message).rsplit("Error: ", 1)[-1].split())
    return text.split(". ")[0][:300]


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", int: "a number", float: "a number"}
    return "nothing" if value is None else names[type(value)]


def _answer(status: int, sentence: str) -> InvocationsResponse:
    codes = {413: "REQUEST_TOO_LARGE", 415: "UNSUPPORTED_TYPE"}
    body = json.dumps({"error_code": codes[status], "message": sentence})
    return InvocationsResponse(response=body, status=status, mimetype="application/json")
