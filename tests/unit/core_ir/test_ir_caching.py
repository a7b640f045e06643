"""A result is found again if and only if all that decides it is the same; else the difference is named."""

from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodewise.core.ir import Program, Values, read_program
from nodewise.core.ir.caching import (
    CacheKey,
    ContentUnknown,
    Miss,
    cache_key,
    explain_miss,
    may_be_cached,
    team_digest,
)
from nodewise.core.ir.tree import CachePolicy, Leaf, Step
from nodewise.core.model.artifact import ArtifactRef
from nodewise.core.model.component import PythonWork
from tests.support.dynamic_runs import compiled_documents
from tests.unit.core_ir.corpus.every import CASES

DATA = ArtifactRef(name="data", uri="store://file/1", schema_title="system.Dataset", metadata={"rows": 2})
DIGESTS = {"store://file/1": "d1", "store://file/2": "d2", "s3://same": "d1"}


@cache
def program(name: str) -> Program:
    return read_program(*compiled_documents(next(c.pipeline for c in CASES if c.name == name)))


def train(name: str = "artifacts", step: str = "train") -> tuple[Step, Leaf]:
    found = next(each for each in program(name).root.steps if each.name == step)
    assert isinstance(found.component, Leaf)
    return found, found.component


def key(rate: Any = 0.5, data: ArtifactRef = DATA, **changes: Any) -> CacheKey:
    step, leaf = train()
    if "step" in changes:
        step = replace(step, **changes.pop("step"))
    if changes:
        leaf = replace(leaf, **changes)
    inputs = Values(parameters={"rate": rate}, artifacts={"data": (data,)})
    return cache_key(step, leaf, inputs, digests=DIGESTS)


def test_the_same_has_the_same_key() -> None:
    assert key() == key()


def test_a_team_has_keys_of_its_own_and_the_default_team_those_that_there_were() -> None:
    step, leaf = train()
    inputs = Values(parameters={"rate": 0.5}, artifacts={"data": (DATA,)})
    keys = [cache_key(step, leaf, inputs, digests=DIGESTS, team=team) for team in ("default", "a", "b")]
    assert keys[0] == key()
    assert len({found.digest for found in keys}) == 3
    assert [team_digest(found) is None for found in keys] == [True, False, False]
    assert '"a"' not in str(keys[1])


def test_where_content_lies_and_what_else_is_passed_decides_nothing() -> None:
    step, leaf = train()
    elsewhere = replace(DATA, uri="s3://same")
    inputs = Values(parameters={"rate": 0.5, "cpu_limit": "2"}, artifacts={"data": (elsewhere,)})
    assert cache_key(step, leaf, inputs, digests=DIGESTS).digest == key().digest
    other = replace(step, name="other", display_name="Other")
    assert cache_key(other, leaf, inputs, digests=DIGESTS).digest == key().digest


def work(**changes: Any) -> PythonWork:
    original = train()[1].work
    assert isinstance(original, PythonWork)
    return replace(original, **changes)


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        (lambda: key(rate=0.6), "parameter rate was 0.6, is 0.5"),
        (lambda: key(rate="0.5"), 'parameter rate was "0.5", is 0.5'),
        (lambda: key(data=replace(DATA, uri="store://file/2")), "artifact data differs"),
        (lambda: key(data=replace(DATA, metadata={})), "artifact data differs"),
        (lambda: key(work=work(source="def train(): ...")), "code differs"),
        (lambda: key(work=work(packages=("six",))), 'packages was ["six"], is []'),
        (lambda: key(work=work(image="other:1")), 'image was "other:1", is "python:3.11"'),
        (lambda: key(work=work(environment={"A": "1"})), "environment differs"),
        (lambda: key(signature=replace(train()[1].signature, output_parameters={})), "outputs differs"),
    ],
)
def test_a_miss_names_what_differs(other: Any, difference: str) -> None:
    step, leaf = train()
    reason = explain_miss(step, leaf, key(), [other()])
    assert (reason.miss, reason.parts) == (Miss.DIFFERS, (difference,))
    assert difference in str(reason)


def test_the_nearest_earlier_task_explains_a_miss() -> None:
    step, leaf = train()
    far, near = key(rate=0.1, data=replace(DATA, metadata={})), key(rate=0.2)
    assert explain_miss(step, leaf, key(), [far, near]).parts == ("parameter rate was 0.2, is 0.5",)


def test_an_input_that_was_not_there_before_is_named() -> None:
    step, leaf = train()
    without = cache_key(step, leaf, Values(artifacts={"data": (DATA,)}), digests=DIGESTS)
    assert explain_miss(step, leaf, key(), [without]).parts == ("parameter rate is new",)
    assert explain_miss(step, leaf, without, [key()]).parts == ("parameter rate is gone",)


def test_other_reasons_of_a_miss() -> None:
    step, leaf = train()
    assert explain_miss(step, leaf, key(), []).miss is Miss.NEVER_RAN
    off = replace(step, cache=CachePolicy(enabled=False))
    assert explain_miss(off, leaf, key(), [key()]).miss is Miss.DISABLED
    assert not may_be_cached(*train("imported-constant", "importer"))
    assert may_be_cached(*train("imported-parameter", "importer"))


def test_what_a_component_is_called_decides_nothing() -> None:
    assert key(name="comp-train-2", component="other").digest == key().digest


def test_the_authors_own_key_decides_with_the_component_and_what_it_leaves() -> None:
    mine = {"cache": CachePolicy(enabled=True, key="mine")}
    assert key(rate=1.0, step=mine).digest == key(rate=2.0, step=mine).digest
    assert key(name="comp-train-2", step=mine).digest == key(step=mine).digest
    assert key(step=mine).digest != key().digest
    assert key(component="other", step=mine).digest != key(step=mine).digest
    other = replace(train()[1].signature, output_parameters={})
    assert key(signature=other, step=mine).digest != key(step=mine).digest


def test_an_own_key_where_there_was_none_is_all_that_differs() -> None:
    step, leaf = train()
    mine = key(step={"cache": CachePolicy(enabled=True, key="mine")})
    assert explain_miss(step, leaf, mine, [key()]).parts == ("cache key is new",)
    assert explain_miss(step, leaf, key(), [mine]).parts == ("cache key is gone",)


def test_content_without_a_digest_is_never_found() -> None:
    with pytest.raises(ContentUnknown) as unknown:
        key(data=replace(DATA, uri="s3://changing"))
    assert unknown.value.input_name == "data"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(one=VALUES, other=VALUES)
def test_keys_are_equal_exactly_for_values_that_json_writes_alike(one: object, other: object) -> None:
    import json  # noqa: PLC0415

    alike = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (key(rate=one).digest == key(rate=other).digest) is alike
