"""How long a task runs where it runs best: what policies compare. Pure."""

import math
from collections.abc import Callable, Hashable, Sequence

from nodewise.core.feasibility import lasting_exclusion
from nodewise.core.model.node import Cluster, Node
from nodewise.core.model.task import WaitingTask
from nodewise.core.ports import PolicyContext
from nodewise.scheduler.room import wish


def best_case(context: PolicyContext) -> Callable[[WaitingTask], float]:
    """Predicted seconds of a task on the best of the nodes that could ever take it (infinite: none could).

    Without a cluster it is the task's effort, infinite where that is unknown. Tasks and nodes that are alike are asked
    for once: O(tasks + kinds of tasks x nodes).
    """
    if context.cluster is None or not context.cluster.nodes:
        return _effort
    return _BestCase(context, context.cluster).seconds


def _effort(task: WaitingTask) -> float:
    """Unknown effort comes after every known one: it is not zero."""
    return math.inf if task.effort_flops is None else task.effort_flops


class _BestCase:
    def __init__(self, context: PolicyContext, cluster: Cluster) -> None:
        self._predict = context.predict
        self._cluster = cluster
        self._nodes: dict[Hashable, Sequence[Node]] = {}
        self._known: dict[Hashable, float] = {}

    def seconds(self, task: WaitingTask) -> float:
        fits_like = wish(task.spec).signature
        kind = (fits_like, task.spec.task_class, task.effort_flops, task.input_bytes)
        if kind not in self._known:
            if fits_like not in self._nodes:
                self._nodes[fits_like] = self._able(task)
            facts = task.facts
            medians = [self._predict(facts, node).median_seconds for node in self._nodes[fits_like]]
            self._known[kind] = min(medians, default=math.inf)
        return self._known[kind]

    def _able(self, task: WaitingTask) -> Sequence[Node]:
        """One node of each kind, as far as predictions tell them apart, that could take the task when it is empty."""
        kinds: dict[Hashable, Node] = {}
        for view in self._cluster.nodes:
            node = view.node
            if lasting_exclusion(task.spec, node) is None:
                kinds.setdefault((node.node_class, node.capacity.millicores, node.accelerator), node)
        return list(kinds.values())
