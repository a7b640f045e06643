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


def test_a_nul_is_refused_in_a_key_too() -> None:
    with pytest.raises(Problem):
        parse_object(json.dumps({"a": {"b\0": 1}}).encode())


def test_text_beyond_the_basic_plane_is_no_surrogate() -> None:
    assert parse_object('{"a": "\\ud83d\\ude00 ü"}'.encode()) == {"a": "😀 ü"}


def test_the_largest_double_is_a_number_and_a_larger_one_is_not() -> None:
    assert parse_object(b'{"a": 1.7976931348623157e308}')
    with pytest.raises(Problem) as refused:
        parse_object(b'{"a": 1.8e308}')
    assert refused.value.status == 400
