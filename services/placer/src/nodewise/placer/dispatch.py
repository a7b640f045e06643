"""Handing placed tasks to the engine, after the commit: a message that is lost is sent again, a row never is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

import structlog
from prometheus_client import Counter
from sqlalchemy import Engine

from nodewise.core.db.engine import transaction
from nodewise.core.db.queries.placements import (
    Undelivered,
    claim_undelivered,
    load_placed,
    mark_dispatched,
)
from nodewise.core.errors import StoreError
from nodewise.core.model.ids import AttemptKey, NodeName
from nodewise.core.model.job import Job
from nodewise.placer.jobs import JobBuilder
from nodewise.placer.settle import Settled

ACCEPTANCE: Final = timedelta(seconds=3)
"""An agent that has not accepted an attempt for so long is asked again."""
_BATCH: Final = 500

_RESENT = Counter("nodewise_redispatched_total", "Attempts sent to their agent again.")
_log = structlog.get_logger()


class JobEngine(Protocol):
    """The part of an engine that a placer needs (`AgentsEngine`)."""

    def start(
        self, assignments: Sequence[tuple[NodeName, Job]], *, now: datetime
    ) -> Mapping[AttemptKey, str]:
        """Write the jobs, ask their nodes to start them, say where the jobs lie."""
        ...

    def resend(self, by_node: Mapping[NodeName, Sequence[tuple[AttemptKey, str]]], *, now: datetime) -> None:
        """Ask again for jobs that are written already."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatcher:
    """Sends attempts to their agents and notes it."""

    engine: Engine
    jobs: JobBuilder
    carrier: JobEngine

    def dispatch(self, settled: Settled, jobs: Mapping[AttemptKey, Job], now: datetime) -> None:
        """Start what was placed. Never fails for want of the store or the broker: `redispatch` comes after it."""
        self._start([(new.placement.node, jobs[key]) for key, new in settled.placed.items()], now)

    def redispatch(self, now: datetime) -> int:
        """Send again what no agent accepted in time; return how many. Keyed by attempt, so twice does nothing."""
        with transaction(self.engine) as connection:
            due = claim_undelivered(connection, now=now, before=now - ACCEPTANCE, limit=_BATCH)
            unwritten = {item.key: item.node for item in due if item.job_uri is None}
            claimed = load_placed(connection, unwritten) if unwritten else ()
            jobs, problems = self.jobs.build(connection, claimed) if claimed else ({}, {})
        for key, problem in problems.items():
            _log.error(
                "a placed task's job cannot be built; its lease will end", attempt=str(key), problem=problem
            )
        self.carrier.resend(_by_node(due), now=now)
        self._start([(unwritten[key], job) for key, job in jobs.items()], now)
        _RESENT.inc(len(due))
        return len(due)

    def _start(self, assignments: Sequence[tuple[NodeName, Job]], now: datetime) -> None:
        if not assignments:
            return
        try:
            uris = self.carrier.start(assignments, now=now)
        except StoreError as error:
            _log.warning(
                "jobs not written to the store; trying again", jobs=len(assignments), error=str(error)
            )
            return
        with transaction(self.engine) as connection:
            mark_dispatched(connection, uris, at=now)


def _by_node(due: Sequence[Undelivered]) -> dict[NodeName, list[tuple[AttemptKey, str]]]:
    found: dict[NodeName, list[tuple[AttemptKey, str]]] = {}
    for item in due:
        if item.job_uri is not None:
            found.setdefault(item.node, []).append((item.key, item.job_uri))
    return found
