"""On which nodes a task can run, and for how long: kept from look to look, since asking 10,000 times takes time."""

from collections.abc import Mapping
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

UNWISHED: Final = 1.5
"""A node that fulfils fewer of a task's wishes than the best one is chosen as if the task took so much longer there."""


@dataclass(frozen=True, slots=True)
class Row:
    """What is known of a task on the nodes that can ever take it.

    Attributes:
        needs: What is booked for it.
        predictions: What is believed of its run time, by node.
        seconds: The medians of these.
        weighed: The same as it counts for the choice of a node; `seconds` itself where no wish is broken.
    """

    facts: TaskFacts
    spec: TaskSpec
    needs: Resources
    predictions: Mapping[NodeName, Prediction]
    seconds: Mapping[NodeName, float]
    weighed: Mapping[NodeName, float]


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one look, as long as the same model is asked of the same nodes."""

    predict: Predict | None = None
    nodes: tuple[Node, ...] = ()
    known: Mapping[TaskRef, Row] = field(default_factory=dict)


class RowMaker:
    """Makes rows, or takes them over from an earlier look."""

    def __init__(self, earlier: Rows, predict: Predict, cluster: Cluster) -> None:
        self._nodes = tuple(view.node for view in cluster.nodes)
        self._predict = predict
        same = earlier.predict is predict and earlier.nodes == self._nodes
        self._earlier = earlier.known if same else {}
        self._made: dict[TaskRef, Row] = {}
        self._memory_mib = _memory_of_strangers(cluster)

    def of(self, task: OpenTask) -> Row:
        """The row of a task; O(nodes) where it is not known."""
        ref = task.facts.ref
        row = self._earlier.get(ref)
        if row is None or row.facts != task.facts or row.spec != task.spec:
            row = self._make(task)
        self._made[ref] = row
        return self._with_memory(row)

    def rows(self) -> Rows:
        """All rows that were asked for."""
        return Rows(self._predict, self._nodes, self._made)

    def _make(self, task: OpenTask) -> Row:
        able = [node for node in self._nodes if lasting_exclusion(task.spec, node) is None]
        predictions = {node.name: self._predict(task.facts, node) for node in able}
        seconds = {name: found.median_seconds for name, found in predictions.items()}
        weighed = _weighed(seconds, able, task.spec.preferences)
        return Row(task.facts, task.spec, effective_resources(task.spec), predictions, seconds, weighed)

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


def _memory_of_strangers(cluster: Cluster) -> dict[NodeName, float]:
    """Per node the memory that would be there if nothing of ours ran; only where it is measured."""
    found = {}
    for view in cluster.nodes:
        available = cluster.fresh(view.observation.available_memory_mib)
        if available is not None:
            found[view.name] = available + view.booked.memory_mib
    return found


def _weighed(
    seconds: Mapping[NodeName, float], nodes: list[Node], wanted: Preferences
) -> Mapping[NodeName, float]:
    if wanted == Preferences():
        return seconds
    met = {node.name: _wishes_met(wanted, node) for node in nodes}
    most = max(met.values(), default=0)
    return {name: own if met[name] == most else UNWISHED * own for name, own in seconds.items()}


def _wishes_met(wanted: Preferences, node: Node) -> int:
    met = int(node.name in wanted.nodes)
    met += int(wanted.accelerator is not None and node.accelerator == wanted.accelerator)
    return met + sum(node.labels.get(key) == value for key, value in wanted.labels.items())
