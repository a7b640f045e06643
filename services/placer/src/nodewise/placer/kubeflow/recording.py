"""Rows of tasks that are bound before their turn: an attempt each, without a booking."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from nodewise.core.db.queries.kubeflow import UnboundTask
from nodewise.core.db.queries.moves import TaskMove, move_tasks
from nodewise.core.db.queries.placements import ClaimedTask, NewAttempt, insert_attempts
from nodewise.core.estimates.forecast import query
from nodewise.core.lifecycle import TaskEvent, TaskState
from nodewise.core.model.decision import Placement, Reason
from nodewise.placer.settle import Desk

FOREVER: Final = timedelta(days=36_500)
"""Nobody sends heartbeats from KFP: what became of a task is asked for there, and no silence ends it."""
_SERVICE: Final = "placer"


def bind_later(
    connection: Connection, bound: Sequence[tuple[ClaimedTask, TaskState, Placement]], desk: Desk
) -> None:
    """Record where these tasks, in these states, will run. Nothing is booked: that happens when they start."""
    attempts = [_attempt(item, placement, desk) for item, _, placement in bound]
    insert_attempts(connection, attempts, placer=desk.placer, now=desk.now, lease=FOREVER)
    moves = [
        TaskMove(
            ref=item.task.ref,
            state=state,
            event=TaskEvent.PLACE,
            at=desk.now,
            reason=Reason(code=placement.reason.code, text=f"on {placement.node}: {placement.reason.text}"),
            attempt=item.key.attempt,
            node=placement.node,
        )
        for item, state, placement in bound
    ]
    move_tasks(connection, moves, service=_SERVICE)


def defer_all(
    connection: Connection, tasks: Sequence[UnboundTask], why: Reason, *, now: datetime, until: datetime
) -> None:
    """Give the admitted ones among these back to the queue, for a while."""
    moves = [
        TaskMove(
            ref=one.task.ref,
            state=one.state,
            event=TaskEvent.DEFER,
            at=now,
            reason=why,
            not_before=until,
        )
        for one in tasks
        if one.state is TaskState.ADMITTED
    ]
    move_tasks(connection, moves, service=_SERVICE)


def _attempt(item: ClaimedTask, placement: Placement, desk: Desk) -> NewAttempt:
    node = next(view.node for view in desk.cluster.nodes if view.name == placement.node)
    return NewAttempt(
        key=item.key,
        placement=placement,
        node_class=node.node_class,
        policy=item.task.policy,
        strategy=item.task.strategy,
        prediction=desk.forecast.predict(item.task.facts, node),
        memory=desk.forecast.model.predict_memory(query(item.task.facts, node)),
    )
