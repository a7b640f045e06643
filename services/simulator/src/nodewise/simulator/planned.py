"""Decides as the running stack does for runs that are planned as a whole: the scheduler plans, the placers carry it out."""

import math
from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from nodewise.core.model.decision import ReasonCode
from nodewise.core.model.problem import Planner
from nodewise.scheduler.cycle import LastPlan, Plan, Planning, Queued, Snapshot, plan
from nodewise.simulator.desk import TOLERANCE_S, Desk
from nodewise.simulator.engine import World
from nodewise.simulator.errors import DecisionFailed
from nodewise.simulator.hurried import Hint
from nodewise.simulator.placing import placed
from nodewise.simulator.shown import Shown
from nodewise.simulator.team import Team
from nodewise.simulator.views import moment, second

ANY_NUMBER: Final = 10**9
"""So many placements bound nothing: time does."""

_SHARE_ENDED: Final = 0.1
"""When so much of what was planned has ended, it is planned again even where all went as planned: it may get better."""

Share = Callable[[int], Callable[[], bool]]
"""From how many more searches are to come to what says that one of them has had its time."""


class PlanningDecider:
    """A policy and a planner of production, in the cycle of production: exactly `cycle.plan` and `mapping.map_tasks`.

    The scheduler looks when something has happened and some task could start, and when one of the plan is due. As long as
    all goes exactly as planned the plan stays, but for a tenth of it at a time. Data travels as soon as it exists, so nobody
    is placed ahead of its start to wait for it.
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
        self._state: tuple[object, ...] = ()
        self._is_as_planned = False
        self._ended = 0
        self._enough = 0.0
        self._ages_at = math.inf
        self._desk: Desk | None = None

    def decide(self, world: World) -> None:
        """Plan, and place what is due now."""
        if self._desk is None or self._desk.world is not world:
            self._desk = Desk(world, self._team)
            self._shown = Shown(world.tables)
        desk = self._desk
        self._note(desk, desk.refresh())
        if desk.queue.is_unchanged and world.now < self._due:
            return  # woken for what an earlier plan had in mind
        self._due = math.inf
        if not self._shown.any_startable(desk.queue.awake(), world.room):
            return
        if self._is_as_planned:
            self._looked(desk, keeps=True)
            if not self._is_stuck(desk):
                return
        while self._looked(desk) == self._team.limits.max_admitted:
            pass

    def hints(self) -> dict[int, Hint]:
        """Where and when the last plan has what it names."""
        if self._desk is None or self._last.plan is None:
            return {}
        nodes = {node.name: i for i, node in enumerate(self._desk.world.tables.nodes)}
        number = self._desk.views.number
        return {
            number[ref]: (nodes[planned.node], second(planned.start))
            for ref, planned in self._last.plan.tasks.items()
        }

    def _note(self, desk: Desk, gone: Sequence[int]) -> None:
        """Whether what has happened since the last plan is what it had in mind."""
        world = desk.world
        state = (len(world.arrived), world.losses, world.down)
        same = state == self._state and all(desk.ended_as_believed(task) for task in gone)
        self._state = state
        self._ended += len(gone)
        goes_on = self._ended < self._enough and world.now <= self._ages_at
        self._is_as_planned = self._is_as_planned and same and goes_on

    def _looked(self, desk: Desk, *, keeps: bool = False) -> int:
        """One cycle and the placers after it; how many were placed."""
        if not keeps:
            self._is_as_planned, self._ended = True, 0
        decided = self._decided(desk, keeps=keeps)
        self._last = decided.memory
        if not keeps:
            self._enough = 1 + _SHARE_ENDED * len(decided.expected)
            self._ages_at = self._next_ageing(desk)
        count = placed(desk, decided, self._team, rng=self._mapping_rng)
        self._due = desk.queue.wake(self._next_due(desk))
        return count

    def _next_ageing(self, desk: Desk) -> float:
        """When the next of the open runs has waited so long that it comes first."""
        ageing = self._team.limits.ageing.total_seconds()
        ages = (second(run.submitted_at) + ageing for run in desk.runs())
        return min((at for at in ages if at >= desk.world.now), default=math.inf)

    def _is_stuck(self, desk: Desk) -> bool:
        """Whether the plan does not go on by itself: something is late, or nothing is to happen any more."""
        now = desk.world.now
        if any(self._due_of(desk, task) <= now + TOLERANCE_S for task in desk.queue.awake()):
            return True
        return math.isinf(self._due) and math.isinf(desk.world.next_event)

    def _decided(self, desk: Desk, *, keeps: bool) -> Plan:
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
            planning=self._planning(desk, keeps=keeps),
        )
        refused = (why for why in decided.reasons.values() if why.code is ReasonCode.UNKNOWN_POLICY)
        for broken in (*refused, *decided.memory.failed.values()):
            raise DecisionFailed(broken.text)
        return decided

    def _planning(self, desk: Desk, *, keeps: bool) -> Planning:
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
            keeps=keeps,
            **bounds,
        )

    def _searches_left(self, world: World) -> int:
        """This one, and one for each arrival to come; where estimates may be wrong for each end, too."""
        arrived = set(world.arrived)
        to_come = {found.submitted_at for i, found in enumerate(world.tables.pipelines) if i not in arrived}
        return 1 + len(to_come) + (world.unfinished if self._team.estimated else 0)

    def _next_due(self, desk: Desk) -> float | None:
        """When the first of the tasks that wait is due, if that is before something happens anyway."""
        found = (self._due_of(desk, task) for task in desk.queue.awake())
        first = min((due for due in found if due > desk.world.now), default=math.inf)
        return None if first >= desk.world.next_event - TOLERANCE_S else first

    def _due_of(self, desk: Desk, task: int) -> float:
        """The planned start of a task, exactly where it is when its data arrives: plans know microseconds only."""
        plan_, ref = self._last.plan, desk.views.refs[task]
        if plan_ is None or ref not in plan_.tasks:
            return math.inf
        planned = plan_.tasks[ref]
        start, arrival = second(planned.start), desk.data_at(task, planned.node)
        return arrival if abs(arrival - start) < TOLERANCE_S else start
