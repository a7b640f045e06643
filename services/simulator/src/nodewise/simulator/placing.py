"""The placers of the simulated stack: the mapping of production, batch by batch."""

from random import Random

from nodewise.core.model.decision import Placement
from nodewise.placer.mapping import MappingContext, map_tasks
from nodewise.scheduler.cycle import Plan
from nodewise.simulator.desk import Desk
from nodewise.simulator.team import Team
from nodewise.simulator.views import moment


def placed(desk: Desk, decided: Plan, team: Team, *, rng: Random) -> int:
    """Let the placers place what was admitted, batch by batch; return how many they placed."""
    count = 0
    batch = team.limits.placement_batch
    for first in range(0, len(decided.admitted), batch):
        claimed = desk.claimed(decided.admitted[first : first + batch])
        context = MappingContext(
            strategies=team.strategies,
            now=moment(desk.world.now),
            rng=rng,
            previous_node=desk.previous,
            predict=team.predict,
            running=desk.running(),
            link_mib_per_s=desk.world.tables.default_rate,
            options=team.limits.strategy_options,
        )
        decisions = map_tasks(claimed, desk.cluster(), context)
        desk.settle(decisions)
        count += sum(isinstance(decision, Placement) for decision in decisions)
    return count
