"""Whatever is sent, reading ends with a pipeline or an InvalidPipeline: no other error, no recursion, no long wait."""

import copy
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodewise.core.errors import InvalidPipeline
from nodewise.core.ir import read_pipeline
from nodewise.core.ir.guard import MAX_DEPTH, MAX_VALUES, check_json
from nodewise.core.model.pipeline import Pipeline
from tests.support.kfp_pipelines import compiled_by_kfp, f_strings, retries, with_hints
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
        read_pipeline(ir)


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_platform_is_refused(value: Any) -> None:
    with pytest.raises(InvalidPipeline):
        read_pipeline(compiled(), {"nodewise": {"x": value}})


def test_an_enormous_document_is_refused_quickly() -> None:
    ir = compiled() | {"deploymentSpec": {"x": [[0] * 1000] * 1000}}
    started = time.perf_counter()
    with pytest.raises(InvalidPipeline, match=str(MAX_VALUES)):
        read_pipeline(ir)
    assert time.perf_counter() - started < 5


def test_the_place_of_a_refusal_stays_short() -> None:
    with pytest.raises(InvalidPipeline) as refusal:
        check_json({"k" * 100_000: float("nan")}, root="r")
    assert len(refusal.value.path) < 120


def test_the_place_is_a_path() -> None:
    with pytest.raises(InvalidPipeline) as refusal:
        check_json({"a": [1, {"b": float("nan")}]}, root="r")
    assert refusal.value.path == "r.a[1].b"


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) of a document."""
    pending = [value]
    while pending:
        container = pending.pop()
        keys = list(container) if isinstance(container, dict) else list(range(len(container)))
        for key in keys:
            yield container, key
            if isinstance(container[key], dict | list):
                pending.append(container[key])


SEEDS = [compiled_by_kfp(make) for make in (f_strings, retries, with_hints)]
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=12)
    | st.sampled_from(["{{$.inputs.parameters['x']}}", "{{$", "2.1.0", "system.Model", "NUMBER_INTEGER", "5s", "prepare"]),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=8), children, max_size=3),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_a_mutated_pipeline_is_read_or_refused(data: st.DataObject) -> None:
    ir, platforms = copy.deepcopy(SEEDS[data.draw(st.integers(0, len(SEEDS) - 1))])
    for _ in range(data.draw(st.integers(1, 4))):
        mutate(platforms if data.draw(st.integers(0, 3)) == 3 else ir, data)
    result = outcome(ir, platforms)
    if isinstance(result, Pipeline):
        assert_consistent(result)
    else:
        assert result.path
        assert len(str(result)) < 3000


def outcome(ir: dict[str, Any], platforms: dict[str, Any]) -> Pipeline | InvalidPipeline:
    try:
        return read_pipeline(ir, platforms)
    except InvalidPipeline as refusal:
        return refusal


def mutate(document: dict[str, Any], data: st.DataObject) -> None:
    found = list(places(document))
    if not found:
        return
    container, key = found[data.draw(st.integers(0, len(found) - 1))]
    action = data.draw(st.sampled_from(["drop", "retype", "copy", "add"]))
    if action == "drop":
        del container[key]
    elif action == "retype":
        container[key] = data.draw(JUNK)
    elif action == "copy":
        other, other_key = found[data.draw(st.integers(0, len(found) - 1))]
        container[key] = copy.deepcopy(other[other_key])
    elif isinstance(container, dict):
        container[data.draw(st.text(max_size=8) | st.sampled_from(sorted(map(str, container))))] = data.draw(
            JUNK
        )
    else:
        container.append(copy.deepcopy(container[key]))


def assert_consistent(pipeline: Pipeline) -> None:
    seen: set[str] = set()
    for path, task in pipeline.tasks.items():
        assert task.spec.path == path
        assert set(task.spec.upstream) <= seen
        seen.add(path)


@pytest.mark.parametrize("number", [1e20, -1e300, 1.7976931348623157e308, 2**63])
def test_what_postgres_makes_of_a_double_is_read_again(number: float) -> None:
    """jsonb gives 1e20 back as the integer 100000000000000000000."""
    check_json({"a": number})
    check_json({"a": int(number)})


@pytest.mark.parametrize("number", [2**64 + 1, 10**400, -(10**4000)])
def test_an_integer_that_no_double_holds_is_refused(number: int) -> None:
    with pytest.raises(InvalidPipeline, match="64 bits"):
        check_json({"a": number})
