"""The names of nodes, held in the broker as an agent holds its own: one process speaks for a node, agent or carrier."""

import json
import os
import socket
import time
from collections.abc import Iterable
from typing import Any, Final

import redis
import structlog

from nodewise.agent.tenure import LEASE_SECONDS
from nodewise.core.model.ids import NodeName

RENEW_SECONDS: Final = 1.5
# Taken when free or ours, in one step for all: between a look and a write another may take it.
_TAKE_ALL: Final = """
local refused = {}
for number, key in ipairs(KEYS) do
  local held = redis.call('GET', key)
  if held and held ~= ARGV[1] then refused[#refused + 1] = number
  else redis.call('SET', key, ARGV[1], 'PX', ARGV[2]) end
end
return refused
"""
_RELEASE_ALL: Final = """
for _, key in ipairs(KEYS) do
  if redis.call('GET', key) == ARGV[1] then redis.call('DEL', key) end
end
"""
_log = structlog.get_logger()


class Names:
    """What of the cluster's nodes is ours to speak for. A broker that is away takes nothing from us."""

    def __init__(self, client: "redis.Redis", *, boot_id: str) -> None:
        self._client = client
        self._value = json.dumps(
            {"boot_id": boot_id, "host": socket.gethostname(), "pid": os.getpid(), "folder": None}
        )
        self._held: frozenset[NodeName] = frozenset()
        self._refused: frozenset[NodeName] = frozenset()
        self._wanted: list[NodeName] = []
        self._renew_at = 0.0

    def take(self, wanted: Iterable[NodeName]) -> frozenset[NodeName]:
        """Hold these for a while longer; those that nobody else holds."""
        names = sorted(wanted)
        now = time.monotonic()
        if not names or (names == self._wanted and now < self._renew_at):
            return self._held if names else frozenset()
        try:
            answer: Any = self._client.eval(
                _TAKE_ALL, len(names), *map(_key, names), self._value, int(LEASE_SECONDS * 1000)
            )
        except redis.RedisError:
            return self._held & frozenset(names)
        refused = frozenset(names[int(number) - 1] for number in answer)
        if refused - self._refused:
            _log.warning("nodes have an agent or another carrier, and are left to it", nodes=sorted(refused))
        self._wanted, self._renew_at = names, now + RENEW_SECONDS
        self._refused, self._held = refused, frozenset(names) - refused
        return self._held

    def release(self) -> None:
        if self._held:
            try:
                self._client.eval(_RELEASE_ALL, len(self._held), *map(_key, self._held), self._value)
            except redis.RedisError:
                # They end by themselves.
                return


def _key(name: NodeName) -> str:
    return f"nodewise:agent:{name}"
