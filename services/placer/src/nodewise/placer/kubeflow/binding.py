"""Where every task of a run goes, chosen at once: what may start now on the cluster as it is, the rest as it will be. Pure."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from nodewise.core.estimates.forecast import expected_end
from nodewise.core.estimates.learning import Basis, Prediction
from nodewise.core.estimates.memory import effective_resources
from nodewise.core.feasibility import lasting_exclusion
from nodewise.core.model.decision import Decision, Deferral, Placement, Reason, ReasonCode
from nodewise.core.model.ids import NodeName, TaskPath, TaskRef
from nodewise.core.model.node import Cluster, NodeView, Observation
from nodewise.core.model.resources import Resources
from nodewise.core.model.situation import Occupancy
from nodewise.core.model.task import TaskSpec, WaitingTask
from nodewise.core.refusals import about
from nodewise.placer.mapping import MappingContext, map_tasks


@dataclass(frozen=True, slots=True, kw_only=True)
class Unbound:
    """A task that is to be bound. `admitted`: it may start now. `expected_node` is that of the latest plan, if there is one."""

    task: WaitingTask
    admitted: bool = False
    expected_node: NodeName | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """What was decided of a run. `now`: on each admitted task. `later`: a node for each other task.

    With `refused` the run cannot be bound: a task of it that no node can take, and why. `later` is empty then, and where no
    admitted task got a node.
    """

    now: tuple[Decision, ...]
    later: tuple[Placement, ...] = ()
    refused: Deferral | None = None

    @property
    def placed_now(self) -> tuple[Placement, ...]:
        return tuple(one for one in self.now if isinstance(one, Placement))


def bind(tasks: Sequence[Unbound], cluster: Cluster, context: MappingContext) -> Binding:
    """Bind a run. O(tasks x (nodes + tasks)) besides what its strategy costs.

    Who is admitted is placed on the cluster as it is. The others follow in the order of the pipeline, each at the time at which
    its upstream is believed to have ended: on the plan's node, where there is a plan, else by the run's strategy on the cluster
    as it will be by then, else on what it would choose of an empty cluster, and Kubernetes will have it wait.

    Args:
        tasks: of one run, in an order in which they could run.
        cluster: the nodes that KFP's pods may run on.
        context: as for any placement.
    """
    admitted = [one.task for one in tasks if one.admitted]
    decisions = map_tasks(admitted, cluster, context)
    binding = Binding(now=decisions)
    if not binding.placed_now:
        return binding
    outlook = _Outlook(cluster, context)
    by_ref = {one.task.ref: one.task for one in tasks}
    for placed in binding.placed_now:
        outlook.hold(by_ref[placed.ref], placed.node, start=context.now)
    done = {placed.ref for placed in binding.placed_now}
    later: list[Placement] = []
    for one in tasks:
        if one.task.ref in done:
            continue
        found = outlook.place(one)
        if isinstance(found, Deferral):
            return replace(binding, refused=found)
        later.append(found)
    return replace(binding, later=tuple(later))


@dataclass(frozen=True, slots=True)
class _Hold:
    start: datetime
    end: datetime
    resources: Resources

    def covers(self, moment: datetime) -> bool:
        return self.start <= moment < self.end


class _Outlook:
    """The cluster as it is believed to become. Mutable within one call of `bind` only."""

    def __init__(self, cluster: Cluster, context: MappingContext) -> None:
        self._cluster, self._context = cluster, context
        self._nodes = {view.name: view for view in cluster.nodes}
        self._holds: dict[NodeName, list[_Hold]] = {name: [] for name in self._nodes}
        for one in context.running:
            if one.node in self._holds:
                end = _end(one, context.now)
                self._holds[one.node].append(_Hold(one.placed_at, end, one.resources))
        self._others = {name: self._unexplained(view) for name, view in self._nodes.items()}
        self._ends: dict[TaskPath, datetime] = {}
        self._latest = context.previous_node
        self._own: list[NodeName] = []

    def hold(self, task: WaitingTask, node: NodeName, *, start: datetime) -> None:
        """The task will be on that node from then on, for as long as it is believed to take."""
        seconds = self._context.predict(task.facts, self._nodes[node].node).median_seconds
        end = start + timedelta(seconds=seconds)
        self._holds[node].append(_Hold(start, end, effective_resources(task.spec)))
        self._ends[task.ref.path] = end
        self._latest = node
        self._own.insert(0, node)

    def place(self, one: Unbound) -> Placement | Deferral:
        """The node of a task whose upstream is bound already; a Deferral where no node can ever take it."""
        upstream = [self._ends[path] for path in one.task.spec.upstream if path in self._ends]
        at = max(upstream, default=self._context.now)
        task = replace(one.task, allowed_nodes=None, sibling_nodes=tuple(dict.fromkeys(self._own)))
        then = self._at(at)
        found: Decision | None = None
        if one.expected_node in self._nodes:
            found = self._asked(replace(task, allowed_nodes=(one.expected_node,)), then, at)
        if not isinstance(found, Placement):
            found = self._asked(task, then, at)
        lead = f"bound before its turn, expected {about(at, self._context.now)}: "
        if not isinstance(found, Placement):
            found = self._asked(task, self._empty(), at)
            lead += "nothing is believed to be free by then, so as if all were: "
        if not isinstance(found, Placement):
            return found
        self.hold(task, found.node, start=at)
        return replace(found, reason=Reason(code=ReasonCode.PLACED, text=lead + found.reason.text))

    def _asked(self, task: WaitingTask, cluster: Cluster, at: datetime) -> Decision:
        running = [
            Occupancy(
                ref=task.ref,
                node=name,
                resources=hold.resources,
                placed_at=hold.start,
                started_at=hold.start,
                prediction=_certain(hold),
            )
            for name, holds in self._holds.items()
            for hold in holds
            if hold.covers(at)
        ]
        asked = replace(self._context, now=at, previous_node=self._latest, running=running)
        return map_tasks([task], cluster, asked)[0]

    def _at(self, moment: datetime) -> Cluster:
        views = []
        for name, view in self._nodes.items():
            booked, count = self._others[name]
            for hold in self._holds[name]:
                if hold.covers(moment):
                    booked, count = booked + hold.resources, count + 1
            views.append(replace(view, booked=booked, running_tasks=count))
        return replace(self._cluster, nodes=tuple(views))

    def _empty(self) -> Cluster:
        """Nothing booked, and nothing known of what else runs there."""
        views = [
            replace(view, booked=Resources(), running_tasks=0, observation=Observation())
            for view in self._nodes.values()
        ]
        return replace(self._cluster, nodes=tuple(views))

    def _unexplained(self, view: NodeView) -> tuple[Resources, int]:
        """What is booked by nobody of whom we know when it ends."""
        known = self._holds[view.name]
        rest = view.booked
        for hold in known:
            rest = rest.minus(hold.resources)
        return rest, max(0, view.running_tasks - len(known))


def _end(one: Occupancy, now: datetime) -> datetime:
    return expected_end(one.prediction, started_at=one.started_at, placed_at=one.placed_at, now=now)


def _certain(hold: _Hold) -> Prediction:
    seconds = (hold.end - hold.start).total_seconds()
    return Prediction(
        median_seconds=seconds, low=seconds, high=seconds, level=0.8, basis=Basis.PRIOR, samples=0
    )


def nodes_by_leaf(
    placements: Iterable[Placement],
    leaf_of: Callable[[TaskPath], str],
    *,
    cluster: Cluster,
    open_loops: Collection[str],
    specs: Mapping[TaskRef, TaskSpec],
) -> dict[str, list[NodeName]]:
    """The nodes by leaf task of the IR: rounds of one loop share all of theirs.

    Of `open_loops` only the run itself will show how many rounds there are, so they get every node of the chosen one's kind that
    could ever take them.
    """
    found: dict[str, set[NodeName]] = {}
    kinds = {view.name: (view.node.architecture, view.node.accelerator) for view in cluster.nodes}
    for one in placements:
        leaf = leaf_of(one.ref.path)
        found.setdefault(leaf, set()).add(one.node)
        if leaf in open_loops:
            spec = specs[one.ref]
            able = (view.name for view in cluster.nodes if lasting_exclusion(spec, view.node) is None)
            found[leaf].update(name for name in able if kinds[name] == kinds[one.node])
    return {leaf: sorted(nodes) for leaf, nodes in sorted(found.items())}
