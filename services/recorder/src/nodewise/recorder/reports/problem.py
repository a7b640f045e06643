"""Recorded history as a planning problem, in the fixed format that `nodewise simulate` reads. Pure.

What a task took where it ran is measured. What it would have taken elsewhere nobody knows: there stands the median of
what was learned of its class on that class of nodes. `estimate` holds what was predicted, so a decision about the
problem sees no measured time.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from nodewise.core.db.queries.history import History, PastRun, PastTask
from nodewise.core.errors import NodewiseError
from nodewise.core.estimates.memory import effective_resources
from nodewise.core.feasibility import lasting_exclusion
from nodewise.core.model.ids import NodeName, RunId, TaskPath
from nodewise.core.model.node import Node
from nodewise.core.model.resources import Resources
from nodewise.core.ports import Predict

_BYTES_PER_MIB: Final = 1024 * 1024
_DIGITS: Final = 6
"""Seconds are told to the microsecond, as they are recorded."""


class EmptyHistory(NodewiseError):
    """Nothing of that period ran to an end."""

    def __init__(self, period: object, under_way: int) -> None:
        self.under_way = under_way
        more = f"; {under_way} runs are still under way" if under_way else ""
        super().__init__(f"nothing that was submitted {period} has run to an end{more}")


def problem_document(history: History, predict: Predict, *, link_mib_per_s: float) -> dict[str, Any]:
    """The problem that the history was, and beside it, under `recorded`, what became of it. O(tasks x nodes).

    * Second 0 is the first submission. A run that ran nothing is left out, so is a task that did not run to an end: who
      waited for it waits for what it waited for.
    * Nodes have no `slots`: resources bound them. They count as there all the time.
    * A node that a hard requirement or its size excludes is absent from `seconds`.

    Args:
        history: With at least one task that ran.
        predict: What is believed now.
        link_mib_per_s: The rate between any two nodes.
    """
    runs = [run for run in history.runs if run.tasks]
    zero = min(run.submitted_at for run in runs)
    names = _names(runs)
    writer = _Writer(zero, history.nodes, predict)
    choices = Counter((run.policy, run.strategy) for run in runs)
    return {
        "nodes": [_node(node) for node in history.nodes],
        "links": {"default_mib_per_s": link_mib_per_s, "pairs": []},
        "pipelines": [writer.pipeline(run, names[run.id]) for run in runs],
        "recorded": {
            "first_submission": zero.isoformat(),
            "runs_under_way": history.under_way,
            "choices": [
                {"policy": policy, "strategy": strategy, "runs": count}
                for (policy, strategy), count in sorted(choices.items(), key=lambda item: (-item[1], item[0]))
            ],
            "schedule": [row for run in runs for row in writer.schedule(run, names[run.id])],
        },
    }


def _names(runs: Sequence[PastRun]) -> Mapping[RunId, str]:
    """Each run's name, and its id where others have that name, too."""
    counts = Counter(run.name for run in runs)
    return {run.id: run.name if counts[run.name] == 1 else f"{run.name} {run.id}" for run in runs}


def _node(node: Node) -> dict[str, Any]:
    return {"name": node.name, "class": node.node_class} | _amounts(node.capacity) | {"slots": None}


def _amounts(amount: Resources) -> dict[str, Any]:
    return {"millicores": amount.millicores, "memory_mib": amount.memory_mib, "gpus": amount.gpus}


class _Writer:
    """Writes the parts of one document."""

    def __init__(self, zero: datetime, nodes: Sequence[Node], predict: Predict) -> None:
        self._zero = zero
        self._nodes = nodes
        self._predict = predict

    def pipeline(self, run: PastRun, name: str) -> dict[str, Any]:
        ran = {task.facts.ref.path: task for task in run.tasks}
        return {
            "name": name,
            "submitted_at": self._seconds(run.submitted_at),
            "priority": run.priority,
            "deadline": None if run.deadline is None else self._seconds(run.deadline),
            "team": run.team,
            "tasks": [self._task(task, run, ran) for task in run.tasks],
        }

    def schedule(self, run: PastRun, name: str) -> Iterator[dict[str, Any]]:
        """What became of the run: a row per task."""
        for task in run.tasks:
            yield {
                "pipeline": name,
                "task": task.facts.ref.path,
                "node": task.node,
                "ready": self._seconds(min(task.ready_at, task.started_at)),
                "start": self._seconds(task.started_at),
                "end": self._seconds(task.finished_at),
            }

    def _task(self, task: PastTask, run: PastRun, ran: Mapping[TaskPath, PastTask]) -> dict[str, Any]:
        believed = self._believed(task)
        seconds = believed | {task.node: (task.finished_at - task.started_at).total_seconds()}
        if task.predicted_seconds is not None:
            believed[task.node] = task.predicted_seconds
        named = {"name": task.facts.ref.path, "class": task.facts.task_class}
        after = [
            {"task": path, "mib": ran[path].output_bytes / _BYTES_PER_MIB}
            for path in _parents(task.facts.ref.path, run.upstream, ran)
        ]
        times = {"seconds": _rounded(seconds), "estimate": _rounded(believed), "after": after}
        return named | _amounts(effective_resources(task.spec)) | times

    def _believed(self, task: PastTask) -> dict[NodeName, float]:
        """The learned medians: of every node that can run it, and of the one that did."""
        able = [
            node
            for node in self._nodes
            if node.name == task.node or lasting_exclusion(task.spec, node) is None
        ]
        return {node.name: self._predict(task.facts, node).median_seconds for node in able}

    def _seconds(self, time: datetime) -> float:
        return max(0.0, round((time - self._zero).total_seconds(), _DIGITS))


def _rounded(seconds: Mapping[NodeName, float]) -> dict[NodeName, float]:
    return {node: round(value, _DIGITS) for node, value in seconds.items()}


def _parents(
    path: TaskPath, upstream: Mapping[TaskPath, tuple[TaskPath, ...]], ran: Mapping[TaskPath, PastTask]
) -> list[TaskPath]:
    """The tasks that ran and that it waited for, past those that did not run."""
    found: dict[TaskPath, None] = {}
    stack, seen = list(reversed(upstream.get(path, ()))), set()
    while stack:
        parent = stack.pop()
        if parent in ran:
            found[parent] = None
        elif parent not in seen:
            seen.add(parent)
            stack += reversed(upstream.get(parent, ()))
    return list(found)
