"""What is no plain, finite JSON of a bounded size is refused wherever it stands: no other error, no recursion, no long wait."""

import json
import time
from decimal import Decimal
from typing import Any

import pytest

from nodewise.core.errors import InvalidPipeline
from nodewise.core.ir import read_program
from nodewise.core.ir.guard import MAX_DEPTH, MAX_VALUES, check_json
from tests.support.pipelines import compiled


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"a": value}
    return value


def endless() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["self"] = value
    return value


HOSTILE = {
    "deep object": nested(100_000),
    "object in itself": endless(),
    "deep list": json.loads("[" * (MAX_DEPTH + 9) + "]" * (MAX_DEPTH + 9)),
    "nan": float("nan"),
    "infinity": float("inf"),
    "huge integer": 10**400,
    "NUL": "a\0b",
    "surrogate": "\ud800",
    "key of no text": {1: 2},
    "surrogate key": {"\ud800": 1},
    "bytes": b"x",
    "a set": {1},
    "a tuple": (1, 2),
    "an object": object(),
}


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("field", ["deploymentSpec", "root", "pipelineInfo", "components"])
def test_a_hostile_value_is_refused_anywhere(field: str, value: Any) -> None:
    ir = compiled()
    ir[field] = {"x": value}
    with pytest.raises(InvalidPipeline):
        read_program(ir)


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_platform_is_refused(value: Any) -> None:
    with pytest.raises(InvalidPipeline):
        read_program(compiled(), {"nodewise": {"x": value}})


def test_an_enormous_document_is_refused_quickly() -> None:
    ir = compiled() | {"deploymentSpec": {"x": [[0] * 1000] * 1000}}
    started = time.process_time()
    with pytest.raises(InvalidPipeline, match=str(MAX_VALUES)):
        read_program(ir)
    assert time.process_time() - started < 5


def test_the_place_of_a_refusal_stays_short() -> None:
    with pytest.raises(InvalidPipeline) as refusal:
        check_json({"k" * 100_000: float("nan")}, root="r")
    assert len(refusal.value.path) < 120


def test_the_place_is_a_path() -> None:
    with pytest.raises(InvalidPipeline) as refusal:
        check_json({"a": [1, {"b": float("nan")}]}, root="r")
    assert refusal.value.path == "r.a[1].b"


@pytest.mark.parametrize("number", [1e20, 1e23, -1e300, 1.7976931348623157e308, 2**63])
def test_what_postgres_makes_of_a_double_is_read_again(number: float) -> None:
    """jsonb gives 1e20 back as the integer 100000000000000000000, and 1e23 as one that no double is."""
    check_json({"a": number})
    check_json({"a": int(number)})
    check_json({"a": int(Decimal(repr(number)))})


@pytest.mark.parametrize("number", [2**64 + 1, 10**400, -(10**4000)])
def test_an_integer_that_no_double_holds_is_refused(number: int) -> None:
    with pytest.raises(InvalidPipeline, match="64 bits"):
        check_json({"a": number})
