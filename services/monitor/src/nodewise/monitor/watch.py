"""The monitor's loop: whom to look at, look, fold, publish. Each of its neighbours may be away."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import redis
import structlog
from sqlalchemy.exc import InterfaceError, OperationalError

from nodewise.core.errors import Unavailable
from nodewise.core.model.ids import NodeName
from nodewise.core.model.node import Observation
from nodewise.monitor.fold import carried
from nodewise.monitor.metrics import show_ages
from nodewise.monitor.source import MetricsSource, Target

_log = structlog.get_logger()

Observations = Mapping[NodeName, Observation]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The latest figures of every node that is to be observed, and when they were last looked for."""

    looked_at: datetime | None = None
    nodes: Observations = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a watch works with. `targets` may raise when Postgres is away, `publish` when Redis is."""

    source: MetricsSource
    targets: Callable[[], Sequence[Target]]
    publish: Callable[[Observations, datetime], None]
    clock: Callable[[], datetime]


class Watch:
    """Keeps the latest figures of all nodes. A node that is silent keeps its last ones, and their times."""

    def __init__(self, surroundings: Surroundings, *, known: Observations | None = None) -> None:
        """Begin with what an earlier monitor left (`known`), so that a restart forgets nothing."""
        self._around = surroundings
        self._targets: Sequence[Target] = ()
        self._seen = Seen(nodes=known or {})

    @property
    def seen(self) -> Seen:
        return self._seen

    def look(self) -> bool:
        """One cycle: 1. whom to observe, 2. observe, 3. fold, 4. publish. False: nothing more to do now."""
        self._targets = self._current_targets()
        observed = self._observed()
        now = self._around.clock()
        names = [target.name for target in self._targets]
        self._seen = Seen(looked_at=now, nodes=carried(self._seen.nodes, observed, names))
        show_ages(self._seen.nodes, now)
        self._publish(now)
        return False

    def _current_targets(self) -> Sequence[Target]:
        try:
            return self._around.targets()
        except (OperationalError, InterfaceError) as error:
            _log.warning(
                "nodes not listed; keeping the known ones", error=str(error).split("\n", maxsplit=1)[0]
            )
        return self._targets or [Target(name=name) for name in self._seen.nodes]

    def _observed(self) -> Observations:
        try:
            return self._around.source.observe(self._targets)
        except Unavailable as error:
            _log.warning("no new figures", error=str(error))
            return {}

    def _publish(self, now: datetime) -> None:
        try:
            self._around.publish(self._seen.nodes, now)
        except redis.RedisError as error:
            _log.warning("figures not published: Redis does not answer", error=str(error))
