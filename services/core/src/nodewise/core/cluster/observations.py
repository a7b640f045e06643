"""Observations in Redis: one key, written by the monitor, read by whoever decides. Losing it loses only figures."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import redis
import structlog
from pydantic import AwareDatetime, BaseModel, ValidationError

from nodewise.core.model.ids import NodeName
from nodewise.core.model.node import Observation

KEY: Final = "nodewise:cluster_view"

_log = structlog.get_logger()


class _Saved(BaseModel):
    saved_at: AwareDatetime
    nodes: dict[NodeName, Observation]


def save_observations(
    client: "redis.Redis", observations: Mapping[NodeName, Observation], *, now: datetime
) -> None:
    """Replace what is known of all nodes. Every figure keeps its own time, so an old one is seen as old.

    Raises:
        redis.RedisError: Redis does not answer; what was stored before stays.
    """
    client.set(KEY, _Saved(saved_at=now, nodes=dict(observations)).model_dump_json())


def load_observations(client: "redis.Redis") -> Mapping[NodeName, Observation]:
    """The latest observation of each node; empty (everything unknown) when Redis is away or holds none."""
    try:
        raw = client.get(KEY)
        return _Saved.model_validate_json(raw).nodes if isinstance(raw, bytes | str) else {}
    except redis.RedisError as error:
        _log.warning("no observations: Redis does not answer", error=str(error))
    except ValidationError as error:
        _log.warning("no observations: what Redis holds does not parse", error=str(error))
    return {}
