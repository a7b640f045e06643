"""What a planned task waits for, in a sentence with times, and what another node could do for it. Pure."""

from bisect import bisect_left
from collections.abc import Callable, Hashable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from nodewise.core.feasibility import exclusion
from nodewise.core.lifecycle import TaskState
from nodewise.core.model.decision import Reason, ReasonCode
from nodewise.core.model.ids import NodeName, RunId, TaskRef
from nodewise.core.model.node import Node
from nodewise.core.model.situation import OpenRun
from nodewise.core.model.task import TaskSpec, WaitingTask
from nodewise.core.ports import PolicyContext
from nodewise.core.refusals import about, needs, refusal
from nodewise.planning.joint import PlannedTask
from nodewise.scheduler.planned import Ahead
from nodewise.scheduler.room import Room, wish
from nodewise.scheduler.snapshot import Snapshot

COMPARED: Final = 200
"""So many tasks, the first to start, are told what another node could do for them; it bounds what a look predicts."""

_MIB: Final = 1024 * 1024
_NOT_STARTED: Final = frozenset({TaskState.READY, TaskState.WAITING})


class Waits:
    """Says of the READY tasks of a plan what they wait for, after the walk has taken what is due."""

    def __init__(self, snapshot: Snapshot, ahead: Ahead, room: Room, context: PolicyContext) -> None:
        self._ahead = ahead
        self._runs: Mapping[RunId, OpenRun] = {run.id: run for run in snapshot.runs}
        self._room = room
        self._context = context
        self._cluster = snapshot.cluster
        self._starts = _starts(ahead.tasks, snapshot.runs)
        self._free: dict[Hashable, Sequence[Node]] = {}
        self._compared = 0

    def reasons(
        self, tasks: Sequence[WaitingTask], refused: Mapping[TaskRef, Reason]
    ) -> Mapping[TaskRef, Reason]:
        """Why each of these, which were not admitted, waits. `refused`: what the walk said of those whose turn it was."""
        planned = self._ahead.tasks
        never = datetime.max.replace(tzinfo=UTC)
        first = sorted(tasks, key=lambda t: (planned[t.ref].start if t.ref in planned else never, t.ref))
        return {task.ref: self._reason(task, refused.get(task.ref)) for task in first}

    def _reason(self, task: WaitingTask, refused: Reason | None) -> Reason:
        plan, ref = self._ahead.last.plan, task.ref
        if ref.run_id in self._ahead.refused:
            return self._ahead.refused[ref.run_id]
        if refused is not None and refused.code is not ReasonCode.NO_ROOM:
            return refused
        if plan is not None and ref in plan.tasks:
            return self._of_planned(task, plan.tasks[ref])
        if plan is not None and ref in plan.unplannable:
            return self._of_unplannable(task.spec, plan.unplannable[ref])
        return Reason(
            code=ReasonCode.QUEUED, text=f"planned later: {len(self._ahead.tasks):,} tasks before it"
        )

    def _of_planned(self, task: WaitingTask, planned: PlannedTask) -> Reason:
        now, node = self._context.now, planned.node
        before = bisect_left(self._starts.get(node, ()), planned.start)
        code = ReasonCode.PLANNED_LATER if before else ReasonCode.WAITS_FOR_NODE
        if planned.start <= now:
            code = ReasonCode.WAITS_FOR_NODE
            text = f"its turn on {node} has come, but it has to wait there{self._kept_off(task.spec, node)}"
        elif before:
            others = "another task" if before == 1 else f"{before:,} other tasks"
            text = f"planned on {node} from {about(planned.start, now)}, after {others}"
        else:
            text = f"waits for {node} until {about(planned.start, now)}"
        text += f", to end {about(planned.end, now)}"
        return Reason(code=code, text=text + self._instead(task, planned))

    def _kept_off(self, spec: TaskSpec, node: NodeName) -> str:
        view = self._room.view(node)
        found = None if view is None else exclusion(spec, view, self._cluster)
        return "" if found is None else f" ({found.text})"

    def _instead(self, task: WaitingTask, planned: PlannedTask) -> str:
        """What would happen if it took the best node that is free now."""
        self._compared += 1
        if self._compared > COMPARED:
            return ""
        moved = self._moved(task)
        ends = [
            (self._end(task, node, moved(node.name) / self._ahead.link_mib_per_s), node.name)
            for node in self._free_nodes(task.spec)
            if node.name != planned.node
        ]
        if not ends:
            return "; no other node that can take it is free now"
        end, name = min(ends)
        if end >= planned.end:
            return f"; {name} is free now but would end it {about(end, self._context.now)}"
        return f"; {name} is free now and would end it {about(end, self._context.now)}, but all together are done sooner so"

    def _end(self, task: WaitingTask, node: Node, transfer_seconds: float) -> datetime:
        took = self._context.predict(task.facts, node).median_seconds
        return self._context.now + timedelta(seconds=transfer_seconds + took)

    def _free_nodes(self, spec: TaskSpec) -> Sequence[Node]:
        """Two free nodes of each kind, as far as predictions tell them apart: one may be the planned one."""
        kind = wish(spec).signature
        if kind not in self._free:
            found: dict[Hashable, list[Node]] = {}
            for view in self._room.views:
                if exclusion(spec, view, self._cluster) is None:
                    node = view.node
                    alike = (node.node_class, node.capacity.millicores, node.accelerator)
                    found.setdefault(alike, []).append(node)
            self._free[kind] = [node for nodes in found.values() for node in nodes[:2]]
        return self._free[kind]

    def _moved(self, task: WaitingTask) -> Callable[[NodeName], float]:
        """How many MiB of its inputs another node would have to fetch."""
        run = self._runs.get(task.ref.run_id)
        done = [run.done[path] for path in task.spec.upstream if path in run.done] if run else []
        return lambda node: sum(parent.output_bytes for parent in done if parent.node != node) / _MIB

    def _of_unplannable(self, spec: TaskSpec, text: str) -> Reason:
        found = [exclusion(spec, view, self._cluster) for view in self._cluster.nodes]
        excluded = [item for item in found if item is not None]
        told = refusal(spec, excluded)
        cordoned = any(item.code is ReasonCode.CORDONED for item in excluded)
        if cordoned or told.code is not ReasonCode.NO_ROOM:
            return told
        return Reason(code=ReasonCode.UNSATISFIABLE, text=f"{text}; it needs {needs(spec)}")


def _starts(
    tasks: Mapping[TaskRef, PlannedTask], runs: Sequence[OpenRun]
) -> Mapping[NodeName, Sequence[datetime]]:
    """When the tasks start that have not started, by node."""
    starts: dict[NodeName, list[datetime]] = {}
    for run in runs:
        for task in run.tasks:
            planned = tasks.get(task.facts.ref)
            if planned is not None and task.state in _NOT_STARTED:
                starts.setdefault(planned.node, []).append(planned.start)
    return {node: sorted(found) for node, found in starts.items()}
