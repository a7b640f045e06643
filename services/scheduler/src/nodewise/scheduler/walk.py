"""The walk along the queue: who is admitted now, and what keeps the others. Pure; mutable within the walk only."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

from nodewise.core.estimates.forecast import expected_end
from nodewise.core.feasibility import lasting_exclusion
from nodewise.core.model.decision import Reason, ReasonCode
from nodewise.core.model.ids import NodeName
from nodewise.core.model.node import Node
from nodewise.core.model.resources import Resources
from nodewise.core.model.task import TaskFacts, WaitingTask
from nodewise.core.ports import PolicyContext
from nodewise.scheduler.orders import Turn
from nodewise.scheduler.quotas import TeamRoom
from nodewise.scheduler.reservation import Ending, Reservation, reservation
from nodewise.scheduler.room import Room, Signature, Wish, wish
from nodewise.scheduler.snapshot import Admission, Snapshot

QUEUED: Final = Reason(
    code=ReasonCode.QUEUED,
    text="a node has room for it, but enough tasks before it are on their way to a node",
)

UNEXPLAINED: Final = Reason(code=ReasonCode.NO_ROOM, text="")
"""For who only wants to know who is admitted."""


class Walk:
    """Admits whom some node has room for, counting all that was admitted before.

    The first task that finds no room gets a reservation; see `reservation` for what the later ones may do then. A task
    costs a few look-ups, and one prediction once there is a reservation.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        context: PolicyContext,
        teams: TeamRoom,
        *,
        max_admitted: int,
        explains: bool = True,
    ) -> None:
        self.room = Room(snapshot.cluster)
        self.admitted: list[Admission] = []
        self._context = context
        self._teams = teams
        self._explains = explains
        self._running = snapshot.running
        self._left = max_admitted - len(snapshot.admitted)
        self._nodes: Mapping[NodeName, Node] = {view.name: view.node for view in snapshot.cluster.nodes}
        self._taken: list[tuple[TaskFacts, NodeName, Resources]] = []
        self._kept: Reservation | None = None
        self._tried: set[Signature] = set()
        for earlier in snapshot.admitted:
            asked = wish(earlier.spec, earlier.allowed_nodes)
            facts = TaskFacts(ref=earlier.ref, task_class=earlier.spec.task_class)
            self._took(facts, self.room.take(asked), asked)

    def offer(self, turn: Turn) -> Reason | None:
        """Admit it, or say why not; of a turn that is not due, only keep room for it."""
        asked = wish(turn.task.spec, None if turn.node is None else (turn.node,))
        held = self._teams.refused(turn.task.team, asked.need)
        if held is not None:
            return held
        if not turn.is_due:
            refused = self.room.refused(asked)
            if refused is not None and self._kept is None:
                self._keep(turn, asked)
            return refused
        if self._left <= 0:
            return self.room.refused(asked) or QUEUED
        kept = self._kept
        if kept is None or (kept.planned and turn.node is not None):
            return self._anywhere(turn, asked)
        if asked.nodes is not None and kept.node not in asked.nodes:
            return self._anywhere(turn, asked)
        return self._around(turn, asked, kept)

    def _anywhere(self, turn: Turn, asked: Wish) -> Reason | None:
        if self._kept is not None and not self._explains and not self.room.fits(asked):
            return UNEXPLAINED
        refused = self.room.refused(asked)
        if refused is None:
            self._admit(turn.task, asked, asked.nodes)
        elif refused.code is ReasonCode.NO_ROOM and self._kept is None and (turn.aged or turn.node is None):
            self._keep(turn, asked)
        return refused

    def _around(self, turn: Turn, asked: Wish, kept: Reservation) -> Reason | None:
        """Without delaying whom the room is kept for: over in time, on another node, or beside it."""
        apart, here = asked.except_for(kept.node), asked.only((kept.node,))
        fits_apart, fits_here = self.room.fits(apart), self.room.fits(here)
        # The dearer question is for the few that fit somewhere.
        fits = fits_apart or fits_here
        if not fits or lasting_exclusion(turn.task.spec, self._nodes[kept.node]) is not None:
            return self._anywhere(turn, asked)
        high = timedelta(seconds=self._context.predict(turn.task.facts, self._nodes[kept.node]).high)
        if self._context.now + high <= kept.at:
            return self._anywhere(turn, asked)
        if fits_apart:
            self._admit(turn.task, apart, self._others(kept.node))
        elif kept.fits_beside(asked.need):
            self._admit(turn.task, here, here.nodes)
            self._kept = kept.shared_with(asked.need)
        else:
            return kept.refusal(high, self._context.now, team=turn.task.team)
        return None

    def _admit(self, task: WaitingTask, asked: Wish, nodes: tuple[NodeName, ...] | None) -> None:
        self._took(task.facts, self.room.take(asked), asked)
        self._teams.take(task.team, asked.need)
        self.admitted.append(Admission(ref=task.ref, nodes=nodes))
        self._left -= 1

    def _took(self, facts: TaskFacts, node: NodeName | None, asked: Wish) -> None:
        if node is not None:
            self._taken.append((facts, node, asked.need))

    def _keep(self, turn: Turn, asked: Wish) -> None:
        kind = (asked.signature, asked.nodes)
        if kind in self._tried:
            return
        self._tried.add(kind)
        found = reservation(turn.task, asked, self.room, self._endings())
        if found is not None:
            self._kept = found.of_plan() if turn.node is not None else found

    def _endings(self) -> Mapping[NodeName, Sequence[Ending]]:
        """When what holds room, and what was admitted in this walk, is believed to end."""
        now, endings = self._context.now, dict[NodeName, list[Ending]]()
        for live in self._running:
            at = expected_end(live.prediction, started_at=live.started_at, placed_at=live.placed_at, now=now)
            endings.setdefault(live.node, []).append(Ending(at, live.resources))
        for facts, name, need in self._taken:
            median = self._context.predict(facts, self._nodes[name]).median_seconds
            endings.setdefault(name, []).append(Ending(now + timedelta(seconds=median), need))
        return endings

    def _others(self, node: NodeName) -> tuple[NodeName, ...]:
        return tuple(name for name in self._nodes if name != node)
