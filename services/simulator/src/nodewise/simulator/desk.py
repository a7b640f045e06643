"""What the services read and write: the rows of the simulated world, as snapshots."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from random import Random
from typing import Final

from nodewise.core.model.decision import Decision, Placement
from nodewise.core.model.ids import NodeName
from nodewise.core.model.node import Cluster
from nodewise.core.model.situation import Occupancy, OpenRun
from nodewise.core.model.task import TaskInput, WaitingTask
from nodewise.core.ports import PolicyContext
from nodewise.scheduler.snapshot import Admission
from nodewise.simulator.engine import World
from nodewise.simulator.lineage import Lineage
from nodewise.simulator.occupancies import Occupancies
from nodewise.simulator.open_runs import OpenRuns
from nodewise.simulator.queue import Queue
from nodewise.simulator.team import Team
from nodewise.simulator.views import Views, moment

TOLERANCE_S: Final = 1e-3
"""What differs by less is the same: dates know microseconds only, and the live stack takes so much for due."""


class Desk:
    """Remembers between two looks what the tables do: who waits, what runs, where runs were placed.

    `previous` is the node of the latest placement. Mutable within one simulation.
    """

    def __init__(self, world: World, team: Team) -> None:
        self.world = world
        self.previous: NodeName | None = None
        choice = {"policy": team.policy.name, "strategy": team.strategy}
        self._believed = [task for pipeline in team.believed.pipelines for task in pipeline.tasks]
        self.views = Views(world.tables, self._believed, **choice)
        self.queue = Queue(world, self.views)
        self._occupancies = Occupancies(world, self.views, team.predict)
        self._open_runs = OpenRuns(world, self.views, **choice)
        self._lineage = Lineage(world.tables)
        self._team = team
        self._node = {node.name: i for i, node in enumerate(world.tables.nodes)}
        self._losses = 0

    def refresh(self) -> list[int]:
        """Take in what happened since the last look; return what runs no more."""
        lost = self.world.losses != self._losses
        self._losses = self.world.losses
        gone = self._occupancies.refresh()
        for task in gone:
            self._open_runs.changed(task)
        self.queue.refresh(lost=lost)
        if lost:
            self._lineage.forget_lost(self.world)
        return gone

    def ended_as_believed(self, task: int) -> bool:
        """Whether it ran until its end, and as long as was believed."""
        attempt = self.world.ended.get(task)
        if attempt is None:
            return False
        believed = self._believed[task].seconds[self.world.tables.nodes[attempt.node].name]
        return abs(attempt.end - attempt.start - believed) < TOLERANCE_S

    def cluster(self) -> Cluster:
        return Cluster(nodes=self.world.views(), taken_at=moment(self.world.now))

    def running(self) -> tuple[Occupancy, ...]:
        return self._occupancies.running()

    def runs(self) -> tuple[OpenRun, ...]:
        return self._open_runs.runs()

    def policy_context(self, now: datetime, *, rng: Random) -> PolicyContext:
        """What the scheduler lets policies know."""
        return PolicyContext(
            now=now,
            rng=rng,
            cluster=self.cluster(),
            predict=self._team.predict,
            booked=self._occupancies.booked(),
            shares=self._team.limits.team_shares,
        )

    def claimed(self, admitted: Sequence[Admission]) -> list[WaitingTask]:
        """As the placers claim them: with the nodes of their runs, and where their data is."""
        return [self._claimed(admission) for admission in admitted]

    def _claimed(self, admission: Admission) -> WaitingTask:
        number = self.views.number[admission.ref]
        (task,) = self.queue.tasks([number])
        return replace(
            task,
            allowed_nodes=admission.nodes,
            sibling_nodes=self._lineage.siblings(number),
            inputs=self._inputs(number),
        )

    def _inputs(self, task: int) -> tuple[TaskInput, ...]:
        world = self.world
        return tuple(
            TaskInput(node=world.tables.nodes[world.ended[parent].node].name, mib=mib)
            for parent, mib in world.tables.parents[task]
        )

    def data_at(self, task: int, node: NodeName) -> float:
        """When the inputs of a ready task are on that node."""
        return self.world.data_at(task, self._node[node])

    def settle(self, decisions: Sequence[Decision]) -> None:
        """Carry them out."""
        for decision in decisions:
            number = self.views.number[decision.ref]
            if isinstance(decision, Placement):
                self._place(number, decision.node)
            else:
                self.queue.defer(number, decision)

    def _place(self, task: int, node: NodeName) -> None:
        self.world.place(task, self._node[node])
        self._lineage.add(task, node, at=self.world.now)
        self._occupancies.add(task)
        self._open_runs.changed(task)
        self.queue.remove(task)
        self.previous = node
