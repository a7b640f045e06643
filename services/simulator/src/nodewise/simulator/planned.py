"""Decides as the running stack does for runs that are planned as a whole: the scheduler plans, the placers carry it out."""

import math
from collections.abc import Callable
from random import Random
from typing import Final

from nodewise.core.model.decision import ReasonCode
from nodewise.core.model.problem import Planner
from nodewise.scheduler.cycle import LastPlan, Plan, Planning, Queued, Snapshot, plan
from nodewise.simulator.desk import Desk
from nodewise.simulator.engine import World
from nodewise.simulator.errors import DecisionFailed
from nodewise.simulator.placing import placed
from nodewise.simulator.shown import Shown
from nodewise.simulator.team import Team
from nodewise.simulator.views import moment, second

ANY_NUMBER: Final = 10**9
"""So many placements bound nothing: time does."""

Share = Callable[[int], Callable[[], bool]]
"""From how many more searches are to come to what says that one of them has had its time."""


class PlanningDecider:
    """A policy and a planner of production, in the cycle of production: exactly `cycle.plan` and `mapping.map_tasks`.

    The scheduler looks when something has happened and some task could start, and when one of the plan is due. Data
    travels as soon as it exists, so nobody is placed ahead of its start to wait for it.
    """

    def __init__(self, team: Team, planner: Planner, *, share: Share | None = None) -> None:
        """Make the decider of one simulation.

        Args:
            team: Who decides besides; its strategy carries the plans out.
            planner: Of the same name.
            share: Bounds the searches by time; without it a number of placements does.
        """
        self._team = team
        self._planner = planner
        self._share = share
        self._rng = Random(team.seed)  # noqa: S311 - chance for planners, not a secret
        self._mapping_rng = Random(team.seed)  # noqa: S311 - as above, a process of its own in production
        self._last = LastPlan()
        self._due = math.inf
        self._desk: Desk | None = None

    def decide(self, world: World) -> None:
        """Plan, and place what is due now."""
        if self._desk is None or self._desk.world is not world:
            self._desk = Desk(world, self._team)
            self._shown = Shown(world.tables)
        desk = self._desk
        desk.refresh()
        if desk.queue.is_unchanged and world.now < self._due:
            return  # woken for what an earlier plan had in mind
        self._due = math.inf
        if self._shown.any_startable(desk.queue.awake(), world.room):
            while self._look(desk):
                pass

    def _look(self, desk: Desk) -> bool:
        """One cycle and the placers after it; whether there were more than one cycle may admit."""
        decided = self._decided(desk)
        self._last = decided.memory
        count = placed(desk, decided, self._team, rng=self._mapping_rng)
        self._due = desk.queue.wake(self._next_due(desk, decided))
        return count == self._team.limits.max_admitted

    def _decided(self, desk: Desk) -> Plan:
        now, limits = moment(desk.world.now), self._team.limits
        snapshot = Snapshot(
            queue=tuple(Queued(task=task) for task in desk.queue.tasks(desk.queue.awake())),
            cluster=desk.cluster(),
            runs=desk.runs(),
            running=desk.running(),
        )
        decided = plan(
            snapshot,
            {self._team.policy.name: self._team.policy},
            desk.policy_context(now, rng=self._rng),
            max_admitted=limits.max_admitted,
            ageing=limits.ageing,
            planning=self._planning(desk),
        )
        refused = (why for why in decided.reasons.values() if why.code is ReasonCode.UNKNOWN_POLICY)
        for broken in (*refused, *decided.memory.failed.values()):
            raise DecisionFailed(broken.text)
        return decided

    def _planning(self, desk: Desk) -> Planning:
        limits = self._team.limits
        bounds: dict[str, Callable[[], bool]] = {}
        if self._share is not None:
            bounds["out_of_time"] = self._share(self._searches_left(desk.world))
        return Planning(
            planners={self._planner.name: self._planner},
            objective=self._team.objective,
            link_mib_per_s=desk.world.tables.default_rate,
            horizon=limits.planning_horizon,
            placements=limits.placements if self._share is None else ANY_NUMBER,
            memory=self._last,
            moves_data_after_placement=False,
            explains=False,
            **bounds,
        )

    def _searches_left(self, world: World) -> int:
        """This one, and one for each arrival to come; where estimates may be wrong for each end, too."""
        arrived = set(world.arrived)
        to_come = {found.submitted_at for i, found in enumerate(world.tables.pipelines) if i not in arrived}
        return 1 + len(to_come) + (world.unfinished if self._team.estimated else 0)

    def _next_due(self, desk: Desk, decided: Plan) -> float | None:
        """When the first of the tasks that wait is due, as far as that is later."""
        refs = (desk.views.refs[task] for task in desk.queue.awake())
        planned = (decided.expected[ref] for ref in refs if ref in decided.expected)
        starts = (second(task.start) for task in planned)
        return min((start for start in starts if start > desk.world.now), default=None)
