"""One transaction of a placer: claim, decide, book, record. What lost its race stays admitted for the next look."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from nodewise.core.db.forecasts import Forecast
from nodewise.core.db.queries.bookings import BookingRequest, book
from nodewise.core.db.queries.moves import TaskMove, move_tasks
from nodewise.core.db.queries.placements import (
    ClaimedTask,
    NewAttempt,
    insert_attempts,
    take_back_attempts,
)
from nodewise.core.estimates.forecast import query
from nodewise.core.estimates.memory import effective_resources
from nodewise.core.lifecycle import TaskEvent, TaskState
from nodewise.core.model.decision import Decision, Deferral, Placement, Reason, ReasonCode
from nodewise.core.model.ids import AttemptKey, NodeName, TaskRef
from nodewise.core.model.node import Cluster, Node

_AT_ONCE: Final = frozenset(
    {ReasonCode.NO_ROOM, ReasonCode.NO_NODES, ReasonCode.LOST_RACE, ReasonCode.UNSATISFIABLE}
)
"""Deferrals that the scheduler can judge itself; it need not rest before it looks at the task again."""
_REST: Final = timedelta(seconds=1)
"""For a strategy's own reasons, which only its next answer can change."""
_LONG_REST: Final = timedelta(seconds=15)
"""For what only an operator can change: a plug-in that is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What a transaction recorded: attempts with their node, deferrals, tasks that failed, and who lost a race."""

    placed: Mapping[AttemptKey, NewAttempt] = field(default_factory=dict)
    deferred: Sequence[Deferral] = ()
    rejected: Sequence[Deferral] = ()
    lost: frozenset[TaskRef] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What the record needs to know besides the decisions."""

    placer: str
    now: datetime
    lease: timedelta
    cluster: Cluster
    forecast: Forecast


def settle(
    connection: Connection, claimed: Sequence[ClaimedTask], decisions: Sequence[Decision], desk: Desk
) -> Settled:
    """Record these decisions, in the order of locks: tasks (held by the claim), attempts, bookings, node_loads."""
    by_ref = {item.task.ref: item for item in claimed}
    nodes = {view.name: view.node for view in desk.cluster.nodes}
    placements = [decision for decision in decisions if isinstance(decision, Placement)]
    attempts = {
        by_ref[found.ref].key: _attempt(by_ref[found.ref], found, nodes[found.node], desk.forecast)
        for found in placements
    }
    unplaced = [decision for decision in decisions if isinstance(decision, Deferral)]
    # A job is made from rows that never change: what cannot be built now never can.
    rejected = [found for found in unplaced if found.reason.code is ReasonCode.JOB_NOT_BUILT]
    deferred = [found for found in unplaced if found.reason.code is not ReasonCode.JOB_NOT_BUILT]
    _defer(connection, deferred, desk.now)
    _reject(connection, rejected, desk.now)
    insert_attempts(connection, list(attempts.values()), placer=desk.placer, now=desk.now, lease=desk.lease)
    requests = [
        BookingRequest(
            key=key, node=new.placement.node, resources=effective_resources(by_ref[key.task].task.spec)
        )
        for key, new in attempts.items()
    ]
    booked = book(connection, requests)
    lost = attempts.keys() - booked
    take_back_attempts(connection, lost)
    placed = {key: new for key, new in attempts.items() if key in booked}
    _place(connection, placed, desk.now)
    lost_refs = frozenset(key.task for key in lost)
    return Settled(placed=placed, deferred=deferred, rejected=rejected, lost=lost_refs)


def _attempt(item: ClaimedTask, placement: Placement, node: Node, forecast: Forecast) -> NewAttempt:
    facts = item.task.facts
    return NewAttempt(
        key=item.key,
        placement=placement,
        node_class=node.node_class,
        policy=item.task.policy,
        strategy=item.task.strategy,
        prediction=forecast.predict(facts, node),
        memory=forecast.model.predict_memory(query(facts, node)),
    )


def _place(connection: Connection, placed: Mapping[AttemptKey, NewAttempt], now: datetime) -> None:
    moves = [
        TaskMove(
            ref=key.task,
            state=TaskState.ADMITTED,
            event=TaskEvent.PLACE,
            at=now,
            reason=_on(new.placement.node, new.placement.reason),
            attempt=key.attempt,
            node=new.placement.node,
        )
        for key, new in placed.items()
    ]
    move_tasks(connection, moves, service="placer")


def _on(node: NodeName, reason: Reason) -> Reason:
    return Reason(code=reason.code, text=f"on {node}: {reason.text}")


def _defer(connection: Connection, deferred: Sequence[Deferral], now: datetime) -> None:
    moves = [
        TaskMove(
            ref=deferral.ref,
            state=TaskState.ADMITTED,
            event=TaskEvent.DEFER,
            at=now,
            reason=deferral.reason,
            not_before=_rest(deferral.reason.code, now),
        )
        for deferral in deferred
    ]
    move_tasks(connection, moves, service="placer")


def _reject(connection: Connection, rejected: Sequence[Deferral], now: datetime) -> None:
    moves = [
        TaskMove(
            ref=deferral.ref,
            state=TaskState.ADMITTED,
            event=TaskEvent.REJECT,
            at=now,
            reason=deferral.reason,
            finished_at=now,
        )
        for deferral in rejected
    ]
    move_tasks(connection, moves, service="placer")


def _rest(code: ReasonCode, now: datetime) -> datetime | None:
    if code in _AT_ONCE:
        return None
    return now + (_LONG_REST if code is ReasonCode.UNKNOWN_STRATEGY else _REST)
