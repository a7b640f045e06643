"""What waits in one run, from rows to what the API says of it."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from nodewise.api.explaining.changes import changes
from nodewise.api.explaining.standing import Standing, standing
from nodewise.api.explaining.waiting import Awaited, Change, Expected, Rival, Waiting
from nodewise.api.others import NOBODY_ELSE
from nodewise.core.codec import decode
from nodewise.core.estimates.forecast import expected_end
from nodewise.core.estimates.memory import effective_resources
from nodewise.core.feasibility import exclusion
from nodewise.core.lifecycle import TaskState
from nodewise.core.model.decision import ReasonCode
from nodewise.core.model.ids import NodeName, RunId, TaskPath, TaskRef
from nodewise.core.model.node import Cluster, NodeView
from nodewise.core.model.situation import Occupancy
from nodewise.core.model.task import TaskSpec

Row = Mapping[Any, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the tasks of one run are seen against. `tasks` are all rows of the run, `run` is its own.

    `hidden` are other runs that are not to be told of. `looks`, `all_teams`: see `Waiting`.
    """

    run: Row
    tasks: Sequence[Row]
    cluster: Cluster
    running: Sequence[Occupancy] = ()
    rivals: Sequence[Row] = ()
    hidden: Set[RunId] = NOBODY_ELSE
    looks: int = 1
    all_teams: bool = True


class Explainer:
    """Answers for one run. Tasks of equal needs share what the nodes lack, and those of an equal reason what changes it:
    thousands may wait, but of few kinds.
    """

    def __init__(self, around: Surroundings) -> None:
        self.around = around
        self._places = {str(task["path"]): place for place, task in enumerate(around.tasks)}
        self._live = {one.ref: one for one in around.running}
        self._lacks: dict[object, list[dict[str, object]]] = {}
        self._changes: dict[object, list[dict[str, object]]] = {}
        self._rivals = [
            Rival(priority=rival["priority"], submitted_at=rival["submitted_at"], tasks=rival["tasks"])
            for rival in around.rivals
        ]

    def pending(self, row: Row) -> dict[str, object]:
        """Why this task of the run has no node yet, and what would change that."""
        waiting = self._waiting(row)
        needs = _needs(waiting.spec)
        kind = (needs, waiting.code, waiting.expected, waiting.not_before, tuple(waiting.upstream))
        if needs not in self._lacks:
            cluster = self.around.cluster
            self._lacks[needs] = [_lacks(waiting.spec, view, cluster) for view in cluster.nodes]
        if kind not in self._changes:
            self._changes[kind] = [_change(found) for found in changes(waiting)]
        return {
            "as_of": self.around.cluster.taken_at,
            "why": _why(standing(waiting)),
            "waits_for": [_awaited(one) for one in waiting.upstream],
            "nodes": self._lacks[needs],
            "changes": self._changes[kind],
        }

    def _waiting(self, row: Row) -> Waiting:
        run, around = self.around.run, self.around
        return Waiting(
            ref=TaskRef(run_id=RunId(str(run["id"])), path=TaskPath(row["path"])),
            spec=decode(TaskSpec, row["spec"]),
            code=ReasonCode(row["reason_code"]) if row["reason_code"] else None,
            text=row["reason"] or "",
            cluster=around.cluster,
            submitted_at=run["submitted_at"],
            priority=run["priority"],
            policy=run["policy"],
            strategy=run["strategy"],
            not_before=row["not_before"],
            expected=_expected(row),
            upstream=self._upstream(row),
            running=around.running,
            rivals=self._rivals,
            hidden=around.hidden,
            canceling=run["cancel_requested_at"] is not None,
            looks=around.looks,
            all_teams=around.all_teams,
        )

    def _upstream(self, row: Row) -> list[Awaited]:
        """In the order of the pipeline, without those that have succeeded."""
        tasks = [self.around.tasks[place] for place in sorted(self._places[path] for path in row["upstream"])]
        return [
            Awaited(
                path=TaskPath(task["path"]),
                state=TaskState(task["state"]),
                node=NodeName(task["node"]) if task["node"] else None,
                expected_end_at=self._live_end(task) or task["expected_end_at"],
            )
            for task in tasks
            if task["state"] != TaskState.SUCCEEDED
        ]

    def _live_end(self, task: Row) -> datetime | None:
        ref = TaskRef(run_id=RunId(str(self.around.run["id"])), path=TaskPath(task["path"]))
        one = self._live.get(ref)
        if one is None:
            return None
        now = self.around.cluster.taken_at
        return expected_end(one.prediction, started_at=one.started_at, placed_at=one.placed_at, now=now)


def _needs(spec: TaskSpec) -> object:
    """What decides where a task fits: tasks of equal needs fit on the same nodes."""
    wanted = spec.requirements
    return (
        effective_resources(spec), wanted.nodes, wanted.architectures, wanted.worker_types, wanted.accelerator,
        tuple(sorted(wanted.labels.items())), wanted.engine, wanted.containers, wanted.affinity, wanted.tolerations,
    )  # fmt: skip


def _expected(row: Row) -> Expected | None:
    node, start, end = row["expected_node"], row["expected_start_at"], row["expected_end_at"]
    if node is None or start is None or end is None:
        return None
    return Expected(node=NodeName(node), start_at=start, end_at=end)


def _awaited(one: Awaited) -> dict[str, object]:
    return {
        "path": one.path,
        "state": one.state.value,
        "node": one.node,
        "expected_end_at": one.expected_end_at,
    }


def _why(found: Standing) -> dict[str, object]:
    return {
        "code": found.code and found.code.value,
        "text": found.text,
        "as_of": found.as_of,
        "overtaken": found.overtaken,
    }


def _change(found: Change) -> dict[str, object]:
    return {"kind": found.kind.value, "text": found.text, "node": found.node, "at": found.at}


def _lacks(spec: TaskSpec, view: NodeView, cluster: Cluster) -> dict[str, object]:
    found = exclusion(spec, view, cluster)
    if found is None:
        return {"node": view.name, "code": None, "text": "has room for it now", "lasting": False}
    return {"node": view.name, "code": found.code.value, "text": found.text, "lasting": found.for_ever}
