"""Hostile files, archives and requests are answered rightly or refused by name; see `damage` for what that means."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.hostile.damage import files, odd_files
from tests.hostile.verdicts import PARAMETERS, RIGHT, judge

from nanonuclei.data.files.reading import iter_image_file
from nanonuclei.errors import DataError
from nanonuclei.serving.guard import read_request
from nanonuclei.serving.refusal import Refused

NUM_PARTS, PER_PART = 10, 20
"""200 cases in the fast tests; `run.py` runs as many as one asks for, by the same numbers."""

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just("QQ=="),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["image", "columns", "data", "params", "threshold", "inputs", "instances", "dataframe_split"]
            )
            | st.text(max_size=5),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@pytest.mark.parametrize("part", range(NUM_PARTS))
def test_hostile_cases_are_answered_rightly_or_refused_by_name(part: int) -> None:
    faults = [verdict for number in range(PER_PART) if (verdict := judge(part * PER_PART + number)).is_fault]
    assert faults == []


def test_whole_files_of_every_format_are_read() -> None:
    for name, content in files().items():
        assert list(iter_image_file(content, name=name)), name


@pytest.mark.parametrize("name", list(odd_files()))
def test_odd_files_are_read_or_refused_by_name(name: str) -> None:
    said = ""
    try:
        assert list(iter_image_file(odd_files()[name], name=name))
    except DataError as error:
        said = str(error)
    assert not said or said.startswith(f"{name}: ")


def test_equal_numbers_are_equal_cases() -> None:
    assert judge(7).outcome == judge(7).outcome
    assert any(judge(number).outcome == RIGHT for number in range(20))


@settings(derandomize=True, max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(JSON)
def test_any_json_is_a_request_or_refused_in_one_sentence(tree: object) -> None:
    body = json.dumps(tree).encode()
    refused, images, params = None, [], {}
    try:
        images, params = read_request(body, parameters=PARAMETERS)
    except Refused as error:
        refused = error
    assert bool(refused) != bool(images)
    assert all(isinstance(image, str) for image in images)
    assert set(params) <= set(PARAMETERS)
    if refused is not None:
        assert 400 <= refused.get_http_status_code() < 500
        assert len(refused.message) < 500
        assert refused.message.isprintable()


@settings(derandomize=True, max_examples=150, deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=100).map(str.encode))
def test_any_bytes_are_refused_as_an_image(content: bytes) -> None:
    with pytest.raises(DataError, match=r"^x\.png: "):
        list(iter_image_file(content, name="x.png"))
