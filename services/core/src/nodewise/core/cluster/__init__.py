"""The view of the cluster that services share: facts and bookings from Postgres, observations from Redis."""

from nodewise.core.cluster.observations import load_observations, save_observations
from nodewise.core.cluster.snapshot import load_cluster

__all__ = ["load_cluster", "load_observations", "save_observations"]
