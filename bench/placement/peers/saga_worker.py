"""Runs in .venv-bench: `saga_worker.py IN OUT LIMIT`, problems in, what each of SAGA's schedulers says of them out.

SAGA knows one speed per node; a run time is `task.cost / node.speed`, everywhere. So a cost that knows its own row looks
the division up by the node whose speed it is divided by: the schedulers see unrelated nodes, and their own code is as it
was. What they do with costs and speeds otherwise (means, the fastest node) sees the mean over nodes, or over tasks.
"""

import json
import logging
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from saga import Network, NetworkNode, Schedule, TaskGraph, TaskGraphNode
from saga import schedulers as saga_schedulers

LEFT_OUT = {"BruteForceScheduler", "SMTScheduler", "HybridScheduler"}
"""Two are exponential; the third is a choice among others."""
NAMES = sorted(set(saga_schedulers.__all__) - LEFT_OUT)


class OutOfTime(BaseException):
    """The limit has passed. Not an `Exception`, so that no scheduler can swallow it."""


class Speed(float):
    """A node's mean speed, that knows whose it is."""

    node: str

    def __new__(cls, value: float, node: str) -> "Speed":
        found = super().__new__(cls, value)
        found.node = node
        return found


class Cost(float):
    """A task's mean cost; divided by a node's speed it is the task's run time there."""

    row: Mapping[str, float]

    def __new__(cls, value: float, row: Mapping[str, float]) -> "Cost":
        found = super().__new__(cls, value)
        found.row = row
        return found

    def __truediv__(self, other: Any) -> float:
        return self.row[other.node] if isinstance(other, Speed) else float.__truediv__(self, other)


def network(problem: Mapping[str, Any], rows: Mapping[str, Mapping[str, float]]) -> Network:
    """The nodes and links. A node's speed is the mean over tasks of how much faster than on average they run there."""
    names = [node["name"] for node in problem["nodes"]]
    default = problem["links"]["default_mib_per_s"]
    rates = {(first, second): rate for first, second, rate in problem["links"]["pairs"]}
    edges = [
        (first, second, rates.get((first, second), default))
        for first in names
        for second in names
        if first < second
    ]
    speeds = {
        name: mean(mean(row.values()) / max(row[name], 1e-9) for row in rows.values()) for name in names
    }
    plain = Network.create(list(speeds.items()), edges)
    nodes = frozenset(
        NetworkNode.model_construct(name=name, speed=Speed(speed, name)) for name, speed in speeds.items()
    )
    return Network.model_construct(nodes=nodes, edges=plain.edges)


def graph(problem: Mapping[str, Any], rows: Mapping[str, Mapping[str, float]]) -> TaskGraph:
    """The tasks, with the source and the sink of no cost that SAGA adds."""
    edges = [
        (f"{pipeline['name']}/{parent['task']}", f"{pipeline['name']}/{task['name']}", parent["mib"])
        for pipeline in problem["pipelines"]
        for task in pipeline["tasks"]
        for parent in task["after"]
    ]
    plain = TaskGraph.create([(name, mean(row.values())) for name, row in rows.items()], edges)
    nothing = {node["name"]: 0.0 for node in problem["nodes"]}
    tasks = frozenset(
        TaskGraphNode.model_construct(name=task.name, cost=Cost(task.cost, rows.get(task.name, nothing)))
        for task in plain.tasks
    )
    return TaskGraph.model_construct(tasks=tasks, dependencies=plain.dependencies)


def mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found)


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Of this process's own computing time, so that a busy machine takes nobody out of the comparison."""

    def stop(*_: object) -> None:
        raise OutOfTime

    signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def answers(problem: Mapping[str, Any], limit: float, given_up: set[str]) -> dict[str, Any]:
    rows = {
        f"{pipeline['name']}/{task['name']}": task["seconds"]
        for pipeline in problem["pipelines"]
        for task in pipeline["tasks"]
    }
    nodes, tasks = network(problem, rows), graph(problem, rows)
    found: dict[str, Any] = {}
    for name in NAMES:
        label = name.removesuffix("Scheduler")
        if name in given_up:
            found[label] = {"seconds": 0.0, "error": "not asked: out of time on a smaller problem"}
            continue
        said: dict[str, Any]
        start = time.process_time()
        try:
            with time_limit(limit):
                said = {"schedule": listed(getattr(saga_schedulers, name)().schedule(nodes, tasks), rows)}
        except OutOfTime:
            given_up.add(name)
            said = {"error": f"no answer in {limit:g} s of computing"}
        except Exception as error:
            said = {"error": f"{type(error).__name__}: {error}"[:200]}
        found[label] = {"seconds": time.process_time() - start} | said
    return found


def listed(schedule: Schedule, rows: Mapping[str, Any]) -> list[tuple[str, str, str, float, float]]:
    return [
        (*done.name.split("/", 1), done.node, float(done.start), float(done.end))
        for _, placed in schedule.items()
        for done in placed
        if done.name in rows
    ]


def main(source: str, output: str, limit: str) -> None:
    logging.disable(logging.WARNING)
    problems = json.loads(Path(source).read_text(encoding="utf-8"))
    given_up: set[str] = set()
    found = {name: answers(problem, float(limit), given_up) for name, problem in problems.items()}
    Path(output).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
