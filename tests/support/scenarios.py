"""Problem documents for simulations: each call names only what matters."""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from nodewise.simulator.problem_file import parse_scenario
from nodewise.simulator.scenario import Scenario

Document = dict[str, Any]


def a_node(name: str = "n1", *, slots: int | None = 1, millicores: int = 4000, **fields: Any) -> Document:
    return {
        "name": name,
        "class": "cpu",
        "millicores": millicores,
        "memory_mib": 4096,
        "slots": slots,
    } | fields


def a_task(
    name: str,
    seconds: Mapping[str, float],
    *,
    after: Sequence[tuple[str, float]] = (),
    millicores: int = 1000,
    **fields: Any,
) -> Document:
    links = [{"task": parent, "mib": mib} for parent, mib in after]
    size = {"millicores": millicores, "memory_mib": 100}
    return {"name": name, "seconds": dict(seconds), "after": links} | size | fields


def a_pipeline(*tasks: Document, name: str = "p", submitted_at: float = 0.0, **fields: Any) -> Document:
    return {"name": name, "submitted_at": submitted_at, "tasks": list(tasks)} | fields


def a_problem(nodes: Sequence[Document], *pipelines: Document, **fields: Any) -> Document:
    return {"nodes": list(nodes), "pipelines": list(pipelines)} | fields


def a_scenario(nodes: Sequence[Document], *pipelines: Document, **fields: Any) -> Scenario:
    return parse_scenario(a_problem(nodes, *pipelines, **fields))


def random_problem(seed: int, *, pipelines: int, nodes: int, spread: float = 0.0) -> Document:
    """Pipelines of 3 to 6 tasks on unrelated nodes; some nodes have slots, some tasks cannot run everywhere."""
    rng = Random(seed)
    made = [a_node(f"n{i:03}", slots=rng.choice([1, 2, None])) for i in range(nodes)]
    names = [node["name"] for node in made]
    found = [
        a_pipeline(
            *(_random_task(rng, number, names) for number in range(rng.randint(3, 6))),
            name=f"p{i}",
            submitted_at=rng.uniform(0, spread),
        )
        for i in range(pipelines)
    ]
    return a_problem(made, *found)


def _random_task(rng: Random, number: int, nodes: Sequence[str]) -> Document:
    able = [name for name in nodes if rng.random() < 0.9] or [nodes[0]]
    base = rng.uniform(1, 20)
    seconds = {name: base * rng.uniform(0.2, 3) for name in able}
    parents = [(f"t{parent}", rng.uniform(0, 200)) for parent in range(number) if rng.random() < 0.5]
    return a_task(
        f"t{number}",
        seconds,
        after=parents,
        millicores=rng.choice([1000, 2000, 3000]),
        estimate={name: value * rng.uniform(0.5, 1.5) for name, value in seconds.items()},
    )
