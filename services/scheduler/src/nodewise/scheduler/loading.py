"""What a look of the scheduler decides on, from the rows."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from random import Random

import redis
from sqlalchemy import Connection

from nodewise.core.cluster import load_cluster
from nodewise.core.db.forecasts import Forecaster, hurried
from nodewise.core.db.queries.queue import count_ready, load_admitted, load_ready
from nodewise.core.db.queries.situation import booked_by_team, load_open_runs, load_running
from nodewise.core.db.queries.window import Place, window_of
from nodewise.core.model.ids import RunId, TaskRef
from nodewise.core.model.node import Cluster
from nodewise.core.model.task import TaskSpec
from nodewise.core.ports import PolicyContext
from nodewise.core.settings import Settings
from nodewise.scheduler.cycle import AdmittedTask, Queued, Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Loader:
    """Reads snapshots, and keeps what need not be read or computed again."""

    redis: "redis.Redis"
    settings: Settings
    planners: Collection[str]
    """Runs of these strategies are planned as a whole."""
    forecaster: Forecaster = field(default_factory=hurried)
    queued_specs: dict[TaskRef, TaskSpec] = field(default_factory=dict)
    open_specs: dict[TaskRef, TaskSpec] = field(default_factory=dict)
    passed: list[Place] = field(default_factory=list)
    """Up to where the moving part of the window has come; empty: at its start."""

    def snapshot(self, connection: Connection, now: datetime) -> Snapshot:
        """What waits, what is on its way, what runs, and where there is room."""
        cluster = load_cluster(connection, self.redis, now=now, staleness=self.settings.staleness)
        among = self._window(connection)
        queue = tuple(
            Queued(task=row.task, not_before=row.not_before, reason=row.reason)
            for row in load_ready(connection, self.queued_specs, runs=among)
        )
        admitted = tuple(
            AdmittedTask(ref=row.ref, spec=row.spec, allowed_nodes=row.allowed_nodes, team=row.team)
            for row in load_admitted(connection)
        )
        return Snapshot(
            queue=queue,
            cluster=cluster,
            admitted=admitted,
            runs=load_open_runs(connection, self.planners, self.open_specs, among=among),
            running=load_running(connection),
            beyond=0 if among is None else max(0, count_ready(connection) - len(queue)),
        )

    def _window(self, connection: Connection) -> Sequence[RunId] | None:
        """The runs to look at this time; None: all."""
        after = self.passed[0] if self.passed else None
        found = window_of(connection, self.settings.queue_window, after=after)
        self.passed[:] = [] if found is None or found.passed is None else [found.passed]
        return None if found is None else found.runs

    def context(
        self, connection: Connection, cluster: Cluster, *, now: datetime, rng: Random
    ) -> PolicyContext:
        """What policies and planners may know besides."""
        return PolicyContext(
            now=now,
            rng=rng,
            cluster=cluster,
            predict=self.forecaster.latest(connection).predict,
            booked=booked_by_team(connection),
            shares=self.settings.team_shares,
            quotas=self.settings.team_quotas,
        )
