"""The snapshot on which scheduler and placer decide."""

from dataclasses import replace
from datetime import datetime, timedelta

import redis
from sqlalchemy import Connection

from nodewise.core.cluster.observations import load_observations
from nodewise.core.db.queries.nodes_read import ready_nodes
from nodewise.core.model.node import Cluster


def load_cluster(
    connection: Connection, redis_client: "redis.Redis", *, now: datetime, staleness: timedelta
) -> Cluster:
    """The READY nodes with their bookings (Postgres) and latest observations (Redis; unknown when it is away)."""
    views = ready_nodes(connection)
    observed = load_observations(redis_client)
    nodes = tuple(
        replace(view, observation=observed[view.name]) if view.name in observed else view for view in views
    )
    return Cluster(nodes=nodes, taken_at=now, staleness_limit=staleness)
