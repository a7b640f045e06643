"""On which nodes each pipeline's tasks were placed, latest first: what production reads from its attempts."""

from nodewise.core.model.ids import NodeName
from nodewise.simulator.engine import World
from nodewise.simulator.tables import Tables


class Lineage:
    """Remembers the latest placement per pipeline and node. Mutable within one simulation."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._placed: dict[int, tuple[float, NodeName]] = {}
        self._latest: list[dict[NodeName, float]] = [{} for _ in tables.pipelines]

    def add(self, task: int, node: NodeName, *, at: float) -> None:
        """Note a placement."""
        self._placed[task] = (at, node)
        self._latest[self._tables.pipeline_of[task]][node] = at

    def forget_lost(self, world: World) -> None:
        """Leave out attempts that neither run nor ended well. O(tasks placed)."""
        self._placed = {
            task: found
            for task, found in self._placed.items()
            if task in world.running or task in world.ended
        }
        self._latest = [{} for _ in self._latest]
        for task, (at, node) in sorted(self._placed.items(), key=lambda item: item[1]):
            self._latest[self._tables.pipeline_of[task]][node] = at

    def siblings(self, task: int) -> tuple[NodeName, ...]:
        """The nodes of the run that the task belongs to, latest first, then by name."""
        latest = self._latest[self._tables.pipeline_of[task]]
        return tuple(sorted(latest, key=lambda node: (-latest[node], node)))
