"""The engine of clusters with node agents: jobs travel through the artifact store, messages only name them."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final, TypeVar

import redis
import structlog
from celery import Celery
from kombu.exceptions import OperationalError
from prometheus_client import Counter

from nodewise.core.jobfiles import write_jobs
from nodewise.core.messages import (
    CANCEL_JOBS,
    FORGET_JOBS,
    NOT_HEARD,
    START_JOBS,
    CancelJobs,
    ForgetJobs,
    JobRef,
    Message,
    NotHeard,
    StartJobs,
)
from nodewise.core.messaging.app import agent_queue
from nodewise.core.model.ids import AttemptKey, NodeName
from nodewise.core.model.job import Job
from nodewise.core.sealing import Sealer, unsealed
from nodewise.core.store import ArtifactStore

T = TypeVar("T")

KEYS_PER_MESSAGE: Final = 500
_EXPIRES_SECONDS: Final = 60
"""A message that no agent took for so long is dropped: what it asked for was asked for again, or is past."""

_MESSAGES = Counter(
    "nodewise_agent_messages_total", "Messages to agents, by kind and fate.", ["kind", "fate"]
)
_log = structlog.get_logger()


class AgentsEngine:
    """Starts, cancels and forgets attempts on node agents.

    Sending never fails: rows are the truth (rule 1), and whoever asks looks again at its next tick. Asking twice does
    nothing, since every effect is keyed by its attempt (rule 6). `seal` signs for whoever speaks for the node.
    """

    name = "agents"

    def __init__(self, app: Celery, store: ArtifactStore, seal: Sealer = unsealed) -> None:
        self._app = app
        self._seal = seal
        self._store = store

    def start(
        self, assignments: Sequence[tuple[NodeName, Job]], *, now: datetime
    ) -> Mapping[AttemptKey, str]:
        """Write the jobs to the store and ask each node to start its own; many jobs, few messages.

        Returns:
            Where each job lies: to be kept, so that it can be resent.

        Raises:
            StoreError: A job could not be written; nothing was sent.
        """
        uris = write_jobs(self._store, [job for _, job in assignments])
        by_node: dict[NodeName, list[tuple[AttemptKey, str]]] = {}
        for node, job in assignments:
            by_node.setdefault(node, []).append((job.key, uris[job.key]))
        self.resend(by_node, now=now)
        return uris

    def resend(self, by_node: Mapping[NodeName, Sequence[tuple[AttemptKey, str]]], *, now: datetime) -> None:
        """Ask each node again to start jobs that lie in the store already."""
        for node, jobs in sorted(by_node.items()):
            for chunk in _chunks(jobs):
                refs = tuple(JobRef(key=key, job_uri=uri, dispatched_at=now) for key, uri in chunk)
                self._send(START_JOBS, node, StartJobs(jobs=refs))

    def cancel(self, by_node: Mapping[NodeName, Sequence[AttemptKey]]) -> None:
        """Ask each node to end these attempts, if it still runs them."""
        for node, keys in sorted(by_node.items()):
            for chunk in _chunks(keys):
                self._send(CANCEL_JOBS, node, CancelJobs(keys=tuple(chunk)))

    def forget(self, by_node: Mapping[NodeName, Sequence[AttemptKey]]) -> None:
        """Tell each node that the ends of these attempts are on record."""
        for node, keys in sorted(by_node.items()):
            for chunk in _chunks(keys):
                self._send(FORGET_JOBS, node, ForgetJobs(keys=tuple(chunk)))

    def say_not_heard(self, node: NodeName, why: str) -> None:
        """Tell whoever calls itself so that it is not believed. Not signed: it could not check that."""
        self._send(NOT_HEARD, node, NotHeard(why=why), seal=unsealed)

    def _send(self, kind: str, node: NodeName, message: Message, *, seal: Sealer | None = None) -> None:
        try:
            self._app.send_task(
                kind,
                args=[(seal or self._seal)(kind, node, message)],
                queue=agent_queue(node),
                expires=_EXPIRES_SECONDS,
                # Made of the arguments for those who watch workers: nobody does.
                argsrepr="",
            )
            _MESSAGES.labels(kind, "sent").inc()
        except (redis.RedisError, OperationalError, OSError) as error:
            _MESSAGES.labels(kind, "failed").inc()
            _log.warning("message to an agent not sent", kind=kind, node=node, error=str(error))


def _chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), KEYS_PER_MESSAGE):
        yield items[start : start + KEYS_PER_MESSAGE]
