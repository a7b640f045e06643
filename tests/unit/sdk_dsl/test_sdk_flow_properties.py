"""Any nest of blocks means in a run what the same nest means in Python."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from nodewise.core.lifecycle import RunState, TaskState
from nodewise.sdk import each, elif_when, otherwise, pipeline, when
from tests.support.examples import examples
from tests.support.sdk_flows import add, drive


@dataclass(frozen=True)
class Add:
    """A task that is given the value in scope, and one more."""

    plus: int


@dataclass(frozen=True)
class Loop:
    items: tuple[int, ...]
    parallelism: int
    body: tuple[Any, ...]


@dataclass(frozen=True)
class Choice:
    """Which branch runs depends on the value in scope."""

    limits: tuple[int, ...]
    bodies: tuple[tuple[Any, ...], ...] = field(default=())


def bodies(depth: int) -> st.SearchStrategy[tuple[Any, ...]]:
    leaf = st.builds(Add, st.integers(0, 3))
    if depth == 0:
        return st.lists(leaf, min_size=1, max_size=2).map(tuple)
    inner = bodies(depth - 1)
    items = st.lists(st.integers(-2, 2), min_size=1, max_size=2).map(tuple)
    choice = st.integers(1, 2).flatmap(
        lambda n: st.builds(
            Choice,
            st.lists(st.integers(-2, 2), min_size=n, max_size=n).map(tuple),
            st.lists(inner, min_size=n + 1, max_size=n + 1).map(tuple),
        )
    )
    node = st.one_of(leaf, st.builds(Loop, items, st.integers(0, 2), inner), choice)
    return st.lists(node, min_size=1, max_size=2).map(tuple)


def author(body: tuple[Any, ...], value: Any) -> None:
    """Write it with our words."""
    for node in body:
        if isinstance(node, Add):
            add(a=value, b=node.plus)
        elif isinstance(node, Loop):
            with each(list(node.items), parallelism=node.parallelism) as item:
                author(node.body, item)
        else:
            for index, (limit, inner) in enumerate(zip(node.limits, node.bodies, strict=False)):
                with when(value < limit) if index == 0 else elif_when(value == limit):
                    author(inner, value)
            with otherwise():
                author(node.bodies[-1], value)


def calls(body: tuple[Any, ...], value: int) -> Counter[tuple[int, int]]:
    """What Python makes of it: how often `add` is called with what."""
    made: Counter[tuple[int, int]] = Counter()
    for node in body:
        if isinstance(node, Add):
            made[value, node.plus] += 1
        elif isinstance(node, Loop):
            for item in node.items:
                made += calls(node.body, item)
        else:
            made += calls(taken(node, value), value)
    return made


def taken(node: Choice, value: int) -> tuple[Any, ...]:
    if value < node.limits[0]:
        return node.bodies[0]
    return node.bodies[1] if len(node.limits) > 1 and value == node.limits[1] else node.bodies[-1]


@settings(max_examples=examples(15), deadline=None)
@given(body=bodies(2), value=st.integers(-2, 2))
def test_a_nest_of_blocks_calls_what_python_would_call(body: tuple[Any, ...], value: int) -> None:
    @pipeline
    def p(value: int):
        author(body, value)

    run, end = drive(p, {"value": value})
    seen = Counter((values.parameters["a"], values.parameters["b"]) for values in run.seen.values())
    assert end.outcome is RunState.SUCCEEDED
    assert seen == calls(body, value)
    assert set(run.seen) == run.of_state(TaskState.SUCCEEDED)
