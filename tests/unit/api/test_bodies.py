"""JSON, read strictly."""

import json

import pytest

from nodewise.api.bodies import MAX_DEPTH, parse_object
from nodewise.api.problems import Problem


def nested(depth: int) -> bytes:
    """An object whose innermost container is at that depth."""
    return b'{"a":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


def test_the_deepest_nesting_allowed_is_read_and_one_more_is_not() -> None:
    assert parse_object(nested(MAX_DEPTH))
    with pytest.raises(Problem) as refused:
        parse_object(nested(MAX_DEPTH + 1))
    assert refused.value.status == 422


@pytest.mark.parametrize("value", [{"b\0": 1}, ["x", "b\0"], "\ud800"], ids=["key", "in a list", "surrogate"])
def test_text_that_cannot_be_stored_is_refused_with_its_place(value: object) -> None:
    with pytest.raises(Problem) as refused:
        parse_object(json.dumps({"pipeline_spec": {"x": [{"a": value}]}}).encode())
    (fault,) = refused.value.faults
    assert fault.field == "body.pipeline_spec.x[0].a" + ("[1]" if isinstance(value, list) else "")


def test_what_is_too_deep_is_refused_with_its_place() -> None:
    with pytest.raises(Problem) as refused:
        parse_object(nested(MAX_DEPTH + 1))
    assert refused.value.faults[0].field == "body.a" + "[0]" * (MAX_DEPTH - 1)


def test_text_beyond_the_basic_plane_is_no_surrogate() -> None:
    assert parse_object('{"a": "\\ud83d\\ude00 ü"}'.encode()) == {"a": "😀 ü"}


def test_the_largest_double_is_a_number_and_a_larger_one_is_not() -> None:
    assert parse_object(b'{"a": 1.7976931348623157e308}')
    with pytest.raises(Problem) as refused:
        parse_object(b'{"a": 1.8e308}')
    assert refused.value.status == 400
