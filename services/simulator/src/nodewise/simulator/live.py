"""Decides as the running stack does: the scheduler's cycle, then the placers' mapping, on snapshots of the world."""

from collections.abc import Sequence
from datetime import datetime
from random import Random
from typing import Final

from nodewise.core.model.decision import Decision, Deferral, Placement, ReasonCode
from nodewise.core.model.ids import NodeName, TaskRef
from nodewise.core.model.node import Cluster
from nodewise.core.model.problem import Problem
from nodewise.core.model.task import WaitingTask
from nodewise.core.ports import Policy, PolicyContext, Strategy
from nodewise.placer.mapping import MappingContext, map_tasks
from nodewise.scheduler.cycle import Queued, Snapshot, plan
from nodewise.simulator.engine import World
from nodewise.simulator.errors import DecisionFailed, Stalled
from nodewise.simulator.lineage import Lineage
from nodewise.simulator.views import Waiters, moment

PLACEMENT_BATCH: Final = 100
BATCHES_ADMITTED: Final = 4
REST_SECONDS: Final = 1.0
"""These three are those of the live stack: a test compares them."""

AT_ONCE: Final = frozenset(
    {ReasonCode.NO_ROOM, ReasonCode.NO_NODES, ReasonCode.LOST_RACE, ReasonCode.UNSATISFIABLE}
)
"""Deferrals after which a task does not rest, as in the live stack."""

_VAIN_WAKES: Final = 16
"""After so many wake-ups in a row that changed nothing, each twice as far off as the last, nothing will."""


class LiveDecider:
    """A policy and a strategy of production, in the cycle of production.

    Exactly `cycle.plan` and `mapping.map_tasks`, except that the cycle is not shown what it cannot admit: of the tasks
    that fit on the same nodes now, only so many (in the policy's order) as these nodes have room for. Room only shrinks
    during a cycle, so the admitted are the same, and the cost falls from the queue's length to what can start.
    """

    def __init__(self, believed: Problem, policy: Policy, strategy: Strategy, *, seed: int) -> None:
        self._believed = believed
        self._policy = policy
        self._strategy = strategy
        self._rng = Random(seed)  # noqa: S311 - chance for a policy, not a secret
        self._mapping_rng = Random(seed)  # noqa: S311 - as above, a process of its own in production
        self._desk: _Desk | None = None

    def decide(self, world: World) -> None:
        """Admit and place until a round places nothing."""
        if self._desk is None or self._desk.world is not world:
            self._desk = _Desk(world, self._believed, self._policy.name, self._strategy.name)
        desk = self._desk
        desk.refresh()
        while self._round(desk):
            pass
        desk.wake()

    def _round(self, desk: "_Desk") -> bool:
        """One cycle of the scheduler, and the placers until nothing is admitted; whether anything was placed."""
        now = moment(desk.world.now)
        awake = desk.awake()
        if not desk.any_startable(awake):
            return False
        candidates = desk.startable(self._ordered(desk.tasks(awake), now))
        admitted = self._admitted(candidates, desk.cluster(), now)
        placed = 0
        for first in range(0, len(admitted), PLACEMENT_BATCH):
            batch = desk.claimed(admitted[first : first + PLACEMENT_BATCH])
            decisions = map_tasks(batch, desk.cluster(), self._context(desk, now))
            placed += desk.settle(decisions)
        return placed > 0

    def _ordered(self, awake: Sequence[WaitingTask], now: datetime) -> Sequence[TaskRef]:
        try:
            return list(self._policy.order(awake, PolicyContext(now=now, rng=self._rng)))
        except Exception as error:
            what = f"failed: {type(error).__name__}: {error}"
            raise DecisionFailed(f"policy {self._policy.name!r}", what) from error

    def _admitted(
        self, candidates: Sequence[WaitingTask], cluster: Cluster, now: datetime
    ) -> Sequence[TaskRef]:
        snapshot = Snapshot(queue=tuple(Queued(task=task) for task in candidates), cluster=cluster)
        decided = plan(
            snapshot,
            {self._policy.name: _AsGiven([task.ref for task in candidates])},
            PolicyContext(now=now, rng=self._rng),
            max_admitted=BATCHES_ADMITTED * PLACEMENT_BATCH,
        )
        return [admission.ref for admission in decided.admitted]

    def _context(self, desk: "_Desk", now: datetime) -> MappingContext:
        return MappingContext(
            strategies={self._strategy.name: self._strategy},
            now=now,
            rng=self._mapping_rng,
            previous_node=desk.previous,
        )


class _AsGiven:
    """A policy that repeats an order found before."""

    name = "as_given"
    summary = "An order found before."

    def __init__(self, refs: Sequence[TaskRef]) -> None:
        self._refs = refs

    def order(self, waiting: Sequence[WaitingTask], context: PolicyContext) -> Sequence[TaskRef]:  # noqa: ARG002
        return self._refs


class _Desk:
    """What the services remember between two looks: who waits, who rests, where runs were placed."""

    def __init__(self, world: World, believed: Problem, policy: str, strategy: str) -> None:
        self.world = world
        self.previous: NodeName | None = None
        self._waiters = Waiters(world.tables, believed, policy=policy, strategy=strategy)
        self._lineage = Lineage(world.tables)
        self._tasks: dict[int, WaitingTask] = {}
        self._not_before: dict[int, float] = {}
        self._why = ""
        self._vain_wakes = 0
        self._seen: tuple[int, int, int] = (-1, -1, -1)
        self._policy = policy
        self._node = {node.name: i for i, node in enumerate(world.tables.nodes)}
        needs = dict.fromkeys(task.resources for task in world.tables.tasks)
        number = {need: i for i, need in enumerate(needs)}
        self._needs = list(needs)
        self._need_of = [number[task.resources] for task in world.tables.tasks]
        self._allowed = [sum(1 << node for node in nodes) for nodes in world.tables.allowed]

    def refresh(self) -> None:
        """Take in what happened since the last look."""
        world = self.world
        if world.losses != self._seen[2]:
            self._tasks.clear()  # what was lost is ready since now
            self._lineage.forget_lost(world)
        for task, ready_at in world.ready.items():
            if task not in self._tasks:
                self._tasks[task] = self._waiters.waiting(task, ready_at)
        seen = (len(world.ended), len(world.arrived), world.losses)
        self._vain_wakes = self._vain_wakes + 1 if seen == self._seen else 0
        self._seen = seen

    def awake(self) -> list[int]:
        """What waits and does not rest."""
        now, rests = self.world.now, self._not_before
        if not rests:
            return list(self._tasks)
        return [task for task in self._tasks if rests.get(task, now) <= now]

    def tasks(self, numbers: Sequence[int]) -> list[WaitingTask]:
        return [self._tasks[number] for number in numbers]

    def any_startable(self, awake: Sequence[int]) -> bool:
        """Whether some node has room for one of them."""
        able = [self.world.room.able(need) for need in self._needs]
        kinds, allowed = self._need_of, self._allowed
        return any(allowed[task] & able[kinds[task]] for task in awake)

    def startable(self, order: Sequence[TaskRef]) -> list[WaitingTask]:
        """Of the tasks that fit on the same nodes now, the first ones in the order: as many as there is room for."""
        numbers = self._numbers(order)
        room, kinds, allowed = self.world.room, self._need_of, self._allowed
        able = [room.able(need) for need in self._needs]
        left: dict[tuple[int, int], int] = {}
        found = []
        for task in numbers:
            nodes = allowed[task] & able[kinds[task]]
            if not nodes:
                continue
            kind = (kinds[task], nodes)
            if kind not in left:
                left[kind] = room.copies_on(nodes, self._needs[kinds[task]])
            if left[kind] > 0:
                left[kind] -= 1
                found.append(self._tasks[task])
        return found

    def _numbers(self, order: Sequence[TaskRef]) -> list[int]:
        """The order in numbers. The queue is kept in it: what is nearly sorted already is sorted quickly."""
        number = self._waiters.number
        numbers = [number.get(ref, -1) for ref in order]
        given = set(numbers)
        if len(numbers) != len(given) or given != set(self.awake()):
            raise DecisionFailed(f"policy {self._policy!r}", "did not return every task exactly once")
        resting = [(task, found) for task, found in self._tasks.items() if task not in given]
        self._tasks = {task: self._tasks[task] for task in numbers} | dict(resting)
        return numbers

    def cluster(self) -> Cluster:
        return Cluster(nodes=self.world.views(), taken_at=moment(self.world.now))

    def claimed(self, refs: Sequence[TaskRef]) -> list[WaitingTask]:
        """As the placers claim them: with the nodes of their runs."""
        numbers = [self._waiters.number[ref] for ref in refs]
        return [self._lineage.with_siblings(number, self._tasks[number]) for number in numbers]

    def settle(self, decisions: Sequence[Decision]) -> int:
        """Carry out; return how many were placed."""
        placed = 0
        for decision in decisions:
            number = self._waiters.number[decision.ref]
            if isinstance(decision, Placement):
                self._place(number, decision.node)
                placed += 1
            else:
                self._defer(number, decision)
        return placed

    def _place(self, task: int, node: NodeName) -> None:
        self.world.place(task, self._node[node])
        self._lineage.add(task, node, at=self.world.now)
        self.previous = node
        del self._tasks[task]
        self._not_before.pop(task, None)

    def _defer(self, task: int, deferral: Deferral) -> None:
        self._why = deferral.reason.text
        if deferral.reason.code not in AT_ONCE:
            self._not_before[task] = self.world.now + REST_SECONDS

    def wake(self) -> None:
        """Come back for those that rest; ever later while nothing changes.

        Raises:
            Stalled: Nothing changed for long, and nothing is to come.
        """
        world = self.world
        rests = [time for time in self._not_before.values() if time > world.now]
        if not rests:
            return
        if self._vain_wakes > _VAIN_WAKES and not world.expects_more:
            found = world.tables.ids[min(self._not_before)]
            raise Stalled(world.unfinished, f"{found.pipeline}/{found.task}", self._why)
        world.wake_at(min(rests) + REST_SECONDS * (2 ** min(self._vain_wakes, _VAIN_WAKES) - 1))
