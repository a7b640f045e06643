"""Decides as the running stack does: the scheduler's cycle, then the placers' mapping, on snapshots of the world."""

from collections.abc import Sequence
from datetime import datetime
from random import Random

from nodewise.core.model.decision import ReasonCode
from nodewise.core.model.ids import TaskRef
from nodewise.core.model.task import WaitingTask
from nodewise.core.ports import PolicyContext
from nodewise.scheduler.cycle import Plan, Planning, Queued, Snapshot, plan
from nodewise.scheduler.orders import ordered, turns
from nodewise.simulator.desk import Desk
from nodewise.simulator.engine import World
from nodewise.simulator.errors import DecisionFailed
from nodewise.simulator.placing import placed
from nodewise.simulator.shown import Kind, Shown
from nodewise.simulator.team import Team
from nodewise.simulator.views import moment


class LiveDecider:
    """A policy and a mapping strategy of production, in the cycle of production.

    Exactly `cycle.plan` and `mapping.map_tasks`, except that the cycle is not shown what would change nothing; see `Shown`.
    """

    def __init__(self, team: Team) -> None:
        self._team = team
        self._rng = Random(team.seed)  # noqa: S311 - chance for a policy, not a secret
        self._mapping_rng = Random(team.seed)  # noqa: S311 - as above, a process of its own in production
        self._desk: Desk | None = None

    def decide(self, world: World) -> None:
        """Admit and place until a round places nothing."""
        if self._desk is None or self._desk.world is not world:
            self._desk = Desk(world, self._team)
            self._shown = Shown(world.tables)
        self._desk.refresh()
        while self._round(self._desk):
            pass
        self._desk.queue.wake()

    def _round(self, desk: Desk) -> bool:
        """One cycle of the scheduler, and the placers until nothing is admitted; whether anything was placed."""
        awake = desk.queue.awake()
        if not self._shown.any_startable(awake, desk.world.room):
            return False
        now = moment(desk.world.now)
        order = self._ordered(desk, awake, now)
        decided = self._decided(desk, order, now)
        return placed(desk, decided, self._team, rng=self._mapping_rng) > 0

    def _ordered(self, desk: Desk, awake: Sequence[int], now: datetime) -> Sequence[int]:
        """Everybody's turn, by the policy and by age."""
        policy = self._team.policy
        context = self._context(desk, now)
        orders, refused = ordered(desk.queue.tasks(awake), {policy.name: policy}, context)
        if refused:
            raise DecisionFailed(next(iter(refused.values())).text)
        found = list(orders.values())
        limit = now - self._team.limits.ageing
        if any(task.ready_at < limit for order in found for task in order):
            in_turn = turns(found, {}, {}, now=now, ageing=self._team.limits.ageing)
            found = [[turn.task for turn in in_turn]]
        numbers = [desk.views.number[task.ref] for order in found for task in order]
        desk.queue.keep_in(numbers)
        return numbers

    def _decided(self, desk: Desk, order: Sequence[int], now: datetime) -> Plan:
        whole: set[Kind] = set()
        while True:
            shown = self._shown.pick(order, desk.world.room, whole=whole)
            decided = self._cycle(desk, desk.queue.tasks(shown), now)
            passed_over = [ref for ref, why in decided.reasons.items() if why.code is ReasonCode.KEPT_FREE]
            more = self._shown.kinds([desk.views.number[ref] for ref in passed_over]) - whole
            if not more:
                return decided
            whole |= more

    def _cycle(self, desk: Desk, tasks: Sequence[WaitingTask], now: datetime) -> Plan:
        given = _AsGiven(self._team.policy.name, [task.ref for task in tasks])
        snapshot = Snapshot(
            queue=tuple(Queued(task=task) for task in tasks), cluster=desk.cluster(), running=desk.running()
        )
        limits = self._team.limits
        return plan(
            snapshot,
            {given.name: given},
            self._context(desk, now),
            max_admitted=limits.max_admitted,
            ageing=limits.ageing,
            planning=Planning(planners={}, explains=False),
        )

    def _context(self, desk: Desk, now: datetime) -> PolicyContext:
        return desk.policy_context(now, rng=self._rng)


class _AsGiven:
    """A policy that repeats an order found before."""

    summary = "An order found before."

    def __init__(self, name: str, refs: Sequence[TaskRef]) -> None:
        self.name = name
        self._refs = refs

    def order(self, waiting: Sequence[WaitingTask], context: PolicyContext) -> Sequence[TaskRef]:  # noqa: ARG002
        return self._refs
