"""Rows for tasks that appeared in KFP, made after their siblings on record."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from nodewise.core.db.queries import kubeflow_following as queries
from nodewise.core.db.queries.kubeflow_following import TaskLike
from nodewise.core.db.queries.new_tasks import insert_tasks
from nodewise.core.db.queries.placements import NewAttempt
from nodewise.core.ir.breadth import MOST_UPSTREAM
from nodewise.core.lifecycle import TaskState
from nodewise.core.model.birth import NewTask
from nodewise.core.model.decision import Placement, Reason, ReasonCode
from nodewise.core.model.ids import AttemptKey, RunId, TaskPath, TaskRef
from nodewise.recorder.kubeflow.known import Birth, KnownTask
from nodewise.recorder.kubeflow.paths import sibling_path

_SERVICE: Final = "recorder"


@dataclass(frozen=True, slots=True)
class Born:
    """A task that was not on record before, and the attempt with which it begins."""

    task: KnownTask
    attempt: NewAttempt


def give_birth(
    connection: Connection, run_id: RunId, births: Sequence[Birth], *, now: datetime
) -> Mapping[TaskPath, Born]:
    """Insert the tasks of these births, WAITING, into a locked run; their attempts are left to the caller.

    KFP has let them on already, so a run whose rows would name too much of what they waited for goes on, and they name nothing.
    """
    if not births:
        return {}
    like = queries.tasks_like(connection, run_id, {birth.like for birth in births})
    classes = queries.node_classes(connection, [birth.node for birth in births if birth.node])
    new = [_task(birth, like[birth.like]) for birth in births]
    room = MOST_UPSTREAM - queries.upstream_characters(connection, run_id)
    if sum(len(path) for task in new for path in task.spec.upstream) > room:
        new = [replace(task, spec=replace(task.spec, upstream=())) for task in new]
    first = queries.task_count(connection, run_id)
    insert_tasks(connection, run_id, new, first=first, at=now, service=_SERVICE)
    found = {}
    for birth in births:
        model = like[birth.like]
        if birth.node is not None and birth.node in classes:
            model = replace(model, node=birth.node, node_class=classes[birth.node])
        found[birth.path] = Born(_known(birth, model), _attempt(run_id, birth, model))
    return found


def _task(birth: Birth, model: TaskLike) -> NewTask:
    upstream = tuple(sibling_path(path, birth.like, birth.path) for path in model.spec.upstream)
    return NewTask(
        spec=replace(model.spec, path=birth.path, upstream=upstream),
        effort_flops=model.effort_flops,
        input_bytes=model.input_bytes,
        finaliser=model.finaliser,
        ready=False,
        reason="appeared in KFP just now",
    )


def _known(birth: Birth, model: TaskLike) -> KnownTask:
    return KnownTask(
        path=birth.path,
        state=TaskState.WAITING,
        task_class=model.spec.task_class,
        effort_flops=model.effort_flops,
        input_bytes=model.input_bytes,
    )


def _attempt(run_id: RunId, birth: Birth, model: TaskLike) -> NewAttempt:
    text = f"one more round of {birth.like}, bound to the same nodes"
    ref = TaskRef(run_id=run_id, path=birth.path)
    return NewAttempt(
        key=AttemptKey(run_id=run_id, path=birth.path, attempt=1),
        placement=Placement(ref=ref, node=model.node, reason=Reason(code=ReasonCode.PLACED, text=text)),
        node_class=model.node_class,
        policy=model.policy,
        strategy=model.strategy,
    )
