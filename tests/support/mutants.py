"""Compiled pipelines with something wrong in them: fields dropped, duplicated, retyped, swapped, cyclic, enormous.

`NODEWISE_FUZZ_EXAMPLES=N` lets tests with servers try N of them, on seeds of the whole corpus, others each time.
"""

import copy
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

import hypothesis

from tests.support.dynamic_runs import compiled_documents
from tests.support.kfp_pipelines import compiled_by_kfp, f_strings, retries, with_hints
from tests.unit.core_ir.corpus.every import CASES

SEEDS: tuple[str | Callable[[], Any], ...] = (
    "exit-handler-with-all",
    "loop-over-objects-of-an-output",
    "if-elif-else",
    "containers",
    "imported-parameter",
    "sub-pipeline-tried-again",
    "loop-over-artifacts",
    "resources-and-variables",
    "text-of-anything",
    f_strings,
    retries,
    with_hints,
)
"""Pipelines that use all of the IR together: cases of the corpus by name, and functions that make one."""

ALL_SEEDS: tuple[str | Callable[[], Any], ...] = (*SEEDS, *sorted({case.name for case in CASES} - set(SEEDS)))
"""Those, and all of the corpus."""

EXAMPLES = os.environ.get("NODEWISE_FUZZ_EXAMPLES")
"""How many mutants a test with servers tries; None: a few, the same each time, so that a failure is a change's."""

FUZZ = hypothesis.settings(
    max_examples=int(EXAMPLES or 60),
    derandomize=EXAMPLES is None,
    database=None,
    # A mutant is drawn by one number: there is nothing to make smaller.
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
    suppress_health_check=[
        hypothesis.HealthCheck.function_scoped_fixture,
        hypothesis.HealthCheck.too_slow,
    ],
)
PLACES = ("body.pipeline_spec", "body.platform_spec", "body.parameters.")
GIVEN = {"n": 2, "uri": "s3://x", "rows": 1, "text": "x"}
"""A value for each parameter that one of `SEEDS` asks for."""

ENORMOUS_TEXT = 100_000
ENORMOUS_LIST = 5_000
WORDS = (
    "{{$.inputs.parameters['x']}}", "{{$", "{{$}}", "2.1.0", "system.Model", "NUMBER_INTEGER", "STRING", "5s", "add",
    "comp-inner", "comp-for-loop-2", "root", "inputs.parameter_values['n'] > 1", "!(true)", "a && b", "((((", "[1, 2, 3]",
    '[{"a": 1}]', '{"Concat": ["a", {"IfPresent": {"InputName": "extra", "Then": []}}]}', "parseJson(string_value)[\"a\"]",
    "ALL_UPSTREAM_TASKS_COMPLETED", "prepare",
)  # fmt: skip
_LETTERS = "abc-_./{}$[]'\"\\ 0é\u2028\x00\ud800\U0001f600"
Documents = tuple[dict[str, Any], dict[str, Any]]
Spot = tuple[Any, Any]
"""A container, and a key or an index in it."""


@cache
def _compiled(which: str | Callable[[], Any]) -> Documents:
    if not isinstance(which, str):
        return compiled_by_kfp(which)
    return compiled_documents(next(case.pipeline for case in CASES if case.name == which))


def parameters(which: str | Callable[[], Any]) -> dict[str, Any]:
    """Values for the parameters of a seed."""
    given = {key: value for case in CASES if case.name == which for key, value in case.parameters.items()}
    declared = _compiled(which)[0]["root"].get("inputDefinitions", {}).get("parameters", {})
    return {name: GIVEN[name] for name in declared if name in GIVEN} | given


def seed(which: str | Callable[[], Any]) -> Documents:
    """The IR and the platform document of a seed; a copy of the caller's own."""
    return copy.deepcopy(_compiled(which))


def spots(document: Any) -> list[Spot]:
    """Every place of a document."""
    found, pending = [], [document]
    while pending:
        container = pending.pop()
        keys = list(container) if isinstance(container, dict) else list(range(len(container)))
        found.extend((container, key) for key in keys)
        pending.extend(container[key] for key in keys if isinstance(container[key], dict | list))
    return found


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """A pipeline with something wrong in it: what kinds of changes were made to a seed. JSON may not have what stands in it."""

    ir: dict[str, Any]
    platforms: dict[str, Any]
    parameters: dict[str, Any]
    changes: tuple[str, ...]

    def body(self) -> bytes:
        """Of a request to run it."""
        body = {
            "pipeline_spec": self.ir,
            "platform_spec": {"platforms": self.platforms},
            "parameters": self.parameters,
        }
        return json.dumps(body).encode()


def mutant(rng: Random) -> Mutant:
    """One of the seeds with one to three changes."""
    which = rng.choice(SEEDS if EXAMPLES is None else ALL_SEEDS)
    ir, document = seed(which)
    platforms = document.get("platforms", {})
    changes = [
        mutate(platforms if rng.random() < 0.1 else ir, rng) for _ in range(rng.choice([1, 1, 1, 2, 3]))
    ]
    return Mutant(ir=ir, platforms=platforms, parameters=parameters(which), changes=tuple(changes))


def names_a_place(faults: Sequence[Mapping[str, str]]) -> bool:
    """Whether a refusal says where in the submission it is, and what the rule is; at a length that a person reads."""
    return bool(faults) and all(
        fault["field"].startswith(PLACES) and 0 < len(fault["rule"]) < 3000 and len(fault["field"]) < 1000
        for fault in faults
    )


def junk(rng: Random, depth: int = 3) -> Any:
    """Any value that JSON has, and some that it has not."""
    kind = rng.randrange(8 if depth else 6)
    match kind:
        case 0 | 1:
            return rng.choice(WORDS)
        case 2:
            return rng.choice([None, True, False, 0, 1, -1, 7, 2**31, -(2**63), 2**70, ""])
        case 3:
            return rng.choice([0.0, -0.5, 3.0, 1e20, 1e308, -1e-300, float("nan"), float("inf")])
        case 4 | 5:
            return "".join(rng.choice(_LETTERS) for _ in range(rng.randrange(8)))
        case 6:
            return [junk(rng, depth - 1) for _ in range(rng.randrange(4))]
        case _:
            return {str(junk(rng, 0)): junk(rng, depth - 1) for _ in range(rng.randrange(4))}


def mutate(document: Any, rng: Random) -> str:
    """Change one thing in a document; returns what kind of change it was."""
    kind = rng.choice(list(MUTATIONS))
    if spots(document):
        MUTATIONS[kind](document, rng)
    return kind


def _drop(document: Any, rng: Random) -> None:
    container, key = rng.choice(spots(document))
    del container[key]


def _retype(document: Any, rng: Random) -> None:
    container, key = rng.choice(spots(document))
    container[key] = junk(rng)


def _revalue(document: Any, rng: Random) -> None:
    """A text, number or truth of another value."""
    leaves = [
        (container, key) for container, key in spots(document) if not isinstance(container[key], dict | list)
    ]
    container, key = rng.choice(leaves or spots(document))
    value = container[key]
    if isinstance(value, bool):
        container[key] = not value
    elif isinstance(value, int | float):
        container[key] = rng.choice([-value, value + 1, value / 3, value * 10**9, 0])
    elif isinstance(value, str):
        cut = rng.randrange(len(value) + 1)
        container[key] = rng.choice(
            [value[:cut], value[cut:], f"{value} ", value.upper(), rng.choice(WORDS), value[::-1]]
        )


def _swap(document: Any, rng: Random) -> None:
    """What stands in one place stands in another one, too."""
    container, key = rng.choice(spots(document))
    other, other_key = rng.choice(spots(document))
    container[key] = copy.deepcopy(other[other_key])


def _rename(document: Any, rng: Random) -> None:
    container, key = rng.choice(spots(document))
    if isinstance(container, dict):
        container[str(junk(rng, 0))] = container.pop(key)


def _duplicate(document: Any, rng: Random) -> None:
    container, key = rng.choice(spots(document))
    if isinstance(container, dict):
        container[f"{key}-2"] = copy.deepcopy(container[key])
    else:
        container.extend(copy.deepcopy(container[:50]))


def _add(document: Any, rng: Random) -> None:
    container, _ = rng.choice(spots(document))
    if isinstance(container, dict):
        container[rng.choice([str(junk(rng, 0)), *map(str, container)])] = junk(rng)
    else:
        container.append(junk(rng))


def _tie(document: Any, rng: Random) -> None:
    """Let two siblings wait for each other, or a task for itself, or a component stand in itself."""
    dags = list(_dags(document))
    if not dags:
        return
    name, tasks = rng.choice(dags)
    first, second = rng.choice(list(tasks)), rng.choice(list(tasks))
    if rng.random() < 0.3:
        tasks[first]["componentRef"] = {"name": name}
        return
    for task, other in ((first, second), (second, first)):
        before = tasks[task].get("dependentTasks")
        tasks[task]["dependentTasks"] = [*(before if isinstance(before, list) else []), other]


def _dags(document: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """The tasks of each DAG that has some, by the name of its component, as far as the document still has that form."""
    components = document.get("components") if isinstance(document, dict) else None
    named = {"root": document.get("root"), **components} if isinstance(components, dict) else {}
    for name, component in named.items():
        dag = component.get("dag") if isinstance(component, dict) else None
        tasks = dag.get("tasks") if isinstance(dag, dict) else None
        if isinstance(tasks, dict) and tasks and all(isinstance(task, dict) for task in tasks.values()):
            yield name, tasks


def _inflate(document: Any, rng: Random) -> None:
    """Something in it becomes enormous."""
    container, key = rng.choice(spots(document))
    container[key] = rng.choice(_ENORMOUS)(container[key])


def _many(value: Any) -> Any:
    """The same again and again: items, keys or letters."""
    if isinstance(value, dict):
        return value | {f"more-{number}": 0 for number in range(ENORMOUS_LIST)}
    if isinstance(value, list):
        return [*value, *(value[:1] or [0]) * ENORMOUS_LIST]
    return f"{value}" * (ENORMOUS_TEXT // (len(f"{value}") + 1))


def _nested(value: Any) -> Any:
    for level in range(200):
        value = {"a": value} if level % 2 else [value]
    return value


_ENORMOUS: tuple[Callable[[Any], Any], ...] = (
    _many,
    _many,
    _nested,
    lambda _: "x" * ENORMOUS_TEXT,
    lambda _: "{{$" * (ENORMOUS_TEXT // 3),
    lambda _: [0] * ENORMOUS_LIST,
    lambda _: 10**400,
    lambda _: -(10**18),
    lambda _: 1e308,
)
MUTATIONS: dict[str, Callable[[Any, Random], None]] = {
    "dropped": _drop,
    "retyped": _retype,
    "of another value": _revalue,
    "swapped": _swap,
    "renamed": _rename,
    "duplicated": _duplicate,
    "added": _add,
    "cyclic": _tie,
    "enormous": _inflate,
}
"""Each changes one thing in a document that has places. `cyclic` makes knots where the document is an IR, and does nothing else."""
