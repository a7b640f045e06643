"""On which nodes a task can run, and for how long: kept from look to look, since asking 10,000 times takes time."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from nodewise.core.estimates.learning import Prediction
from nodewise.core.estimates.memory import effective_resources
from nodewise.core.feasibility import lasting_exclusion
from nodewise.core.model.ids import NodeName, TaskRef
from nodewise.core.model.node import Cluster, Node
from nodewise.core.model.resources import Resources
from nodewise.core.model.situation import OpenTask
from nodewise.core.model.task import Preferences, TaskFacts, TaskSpec
from nodewise.core.ports import Predict
from nodewise.planning.pooling import Kind, Said, agreed, heard

UNWISHED: Final = 1.5
"""A node that fulfils fewer of a task's wishes than the best one is chosen as if the task took so much longer there."""


@dataclass(frozen=True, slots=True)
class Row:
    """What is known of a task on the nodes that can ever take it.

    Attributes:
        needs: What is booked for it.
        asked: What `predict` said of its run time, by node.
        predictions: The same in agreement with what was said of tasks of its class (see `pooling`).
        seconds: The medians of these.
        weighed: The same as it counts for the choice of a node; `seconds` itself where no wish is broken.
    """

    facts: TaskFacts
    spec: TaskSpec
    needs: Resources
    asked: Mapping[NodeName, Prediction]
    predictions: Mapping[NodeName, Prediction]
    seconds: Mapping[NodeName, float]
    weighed: Mapping[NodeName, float]


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one look, as long as the same model is asked of the same nodes."""

    predict: Predict | None = None
    nodes: tuple[Node, ...] = ()
    known: Mapping[TaskRef, Row] = field(default_factory=dict)
    said: Mapping[Kind, Said] = field(default_factory=dict)


class RowMaker:
    """Makes the rows of these tasks, or takes them over from an earlier look; O(tasks x nodes) if any is new."""

    def __init__(self, earlier: Rows, tasks: Iterable[OpenTask], predict: Predict, cluster: Cluster) -> None:
        self._nodes = tuple(view.node for view in cluster.nodes)
        self._predict = predict
        self._memory_mib = _memory_of_strangers(cluster)
        same = earlier.predict is predict and earlier.nodes == self._nodes
        before = earlier.known if same else {}
        said = earlier.said if same else {}
        known = {task.facts.ref: _still(before.get(task.facts.ref), task) for task in tasks}
        new = {task.facts.ref: self._make(task) for task in tasks if known[task.facts.ref] is None}
        rows = {ref: row or new[ref] for ref, row in known.items()}
        if new:
            said = heard(said, ((row.facts.task_class, row.asked) for row in new.values()))
            rows = {ref: self._in_agreement(row, said) for ref, row in rows.items()}
        self._said, self._known = said, rows

    @property
    def rows(self) -> Rows:
        """All rows there are."""
        return Rows(self._predict, self._nodes, dict(self._known), self._said)

    def of(self, task: OpenTask) -> Row:
        """The row of a task; one of a task that was not named before only listens to what the others say."""
        ref = task.facts.ref
        if ref not in self._known:
            self._known[ref] = self._in_agreement(self._make(task), self._said)
        return self._with_memory(self._known[ref])

    def _make(self, task: OpenTask) -> Row:
        able = [node for node in self._nodes if lasting_exclusion(task.spec, node) is None]
        asked = {node.name: self._predict(task.facts, node) for node in able}
        return Row(task.facts, task.spec, effective_resources(task.spec), asked, {}, {}, {})

    def _in_agreement(self, row: Row, said: Mapping[Kind, Said]) -> Row:
        predictions = agreed(said, row.facts.task_class, row.asked)
        if predictions == row.predictions and row.seconds:
            return row
        seconds = {name: found.median_seconds for name, found in predictions.items()}
        weighed = _weighed(seconds, self._nodes, row.spec.preferences)
        return replace(row, predictions=predictions, seconds=seconds, weighed=weighed)

    def _with_memory(self, row: Row) -> Row:
        """Without the nodes whose memory strangers have, as long as there are others: who waits for those may wait long."""
        left = {
            name: seconds
            for name, seconds in row.seconds.items()
            if name not in self._memory_mib or row.needs.memory_mib <= self._memory_mib[name]
        }
        if not left or len(left) == len(row.seconds):
            return row
        weighed = {name: row.weighed[name] for name in left}
        return replace(row, seconds=left, weighed=weighed)


def _still(row: Row | None, task: OpenTask) -> Row | None:
    return row if row and row.facts == task.facts and row.spec == task.spec else None


def _memory_of_strangers(cluster: Cluster) -> dict[NodeName, float]:
    """Per node the memory that would be there if nothing of ours ran; only where it is measured."""
    found = {}
    for view in cluster.nodes:
        available = cluster.fresh(view.observation.available_memory_mib)
        if available is not None:
            found[view.name] = available + view.booked.memory_mib
    return found


def _weighed(
    seconds: Mapping[NodeName, float], nodes: Iterable[Node], wanted: Preferences
) -> Mapping[NodeName, float]:
    if wanted == Preferences():
        return seconds
    met = {node.name: _wishes_met(wanted, node) for node in nodes if node.name in seconds}
    most = max(met.values(), default=0)
    return {name: own if met[name] == most else UNWISHED * own for name, own in seconds.items()}


def _wishes_met(wanted: Preferences, node: Node) -> int:
    met = int(node.name in wanted.nodes)
    met += int(wanted.accelerator is not None and node.accelerator == wanted.accelerator)
    return met + sum(node.labels.get(key) == value for key, value in wanted.labels.items())
