"""The carrier: messages come in, Jobs are made and looked at, heartbeats go out.

All that it has to remember is in Kubernetes (each Job names its attempt, and stays until its end is on record) and in the store (what the
attempt left). So a look begins from nothing but lists: a carrier that was started anew goes on where the last one was ended.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from nodewise.agent.state import (
    AgentState,
    AttemptEnded,
    CancelRequested,
    Event,
    ForgetRequested,
    Instruction,
    Launch,
    ProcessStarted,
    Remove,
    StartRequested,
    Stop,
)
from nodewise.carrier import metrics, names
from nodewise.carrier.api import KubernetesApi, Object, Refused
from nodewise.carrier.cluster import Cluster
from nodewise.carrier.decisions import Attempt, Decision, Verdict, decide
from nodewise.carrier.ends import Remains, report_of
from nodewise.carrier.events import Inbox, Told
from nodewise.carrier.making import Maker, NotMade
from nodewise.carrier.podlogs import PodLogs
from nodewise.carrier.pulse import NodeState
from nodewise.carrier.remains import Leavings
from nodewise.carrier.sightings import Sighting, sighting
from nodewise.core.errors import StoreError
from nodewise.core.lifecycle import AttemptState
from nodewise.core.messages import AttemptReport, CancelJobs, ForgetJobs, JobRef, StartJobs
from nodewise.core.model.decision import ReasonCode
from nodewise.core.model.ids import AttemptKey, NodeName
from nodewise.core.settings import Settings

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a carrier works with. `publish` takes what is to be said of all nodes; `hold` says for which of them we speak."""

    api: KubernetesApi
    cluster: Cluster
    maker: Maker
    leavings: Leavings
    logs: PodLogs
    inbox: Inbox
    publish: Callable[[dict[NodeName, NodeState]], None]
    hold: Callable[[Iterable[NodeName]], frozenset[NodeName]]
    clock: Callable[[], datetime]
    settings: Settings
    id: str
    """Of the Nodewise cluster."""


@dataclass(slots=True)
class _Seen:
    """One list of all that is ours, by attempt."""

    jobs: dict[AttemptKey, Object] = field(default_factory=dict)
    pods: dict[AttemptKey, list[Object]] = field(default_factory=dict)


class Carrier:
    """One for a cluster; `look` belongs to one thread."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._state = AgentState()
        self._attempts: dict[AttemptKey, Attempt] = {}
        self._to_make: dict[AttemptKey, Attempt] = {}
        self._to_delete: set[str] = set()
        self._found_again = False

    def look(self) -> None:
        """Take up what came, do what is to be done, say how it is.

        Raises:
            Unavailable, Refused: Kubernetes; what could be said without it was said.
        """
        try:
            self._heed(self._around.inbox.take())
            self._publish()
            self._see_nodes()
            self._see_jobs()
            self._make()
            self._delete()
        finally:
            self._publish()

    def _heed(self, told: Iterable[Told]) -> None:
        for one in told:
            self._handle(self._events(one))
            # A message that came once more, for what is forgotten already, leaves nothing behind.
            for key in _keys(one.message):
                if not self._state.knows(key):
                    self._attempts.pop(key, None)

    def _events(self, told: Told) -> list[Event]:
        message, now = told.message, self._around.clock()
        if isinstance(message, StartJobs):
            for job in message.jobs:
                name = names.job_name(job.key, self._around.id)
                self._attempts.setdefault(job.key, Attempt(ref=job, node=told.node, name=name))
            return [StartRequested(job=job) for job in message.jobs]
        if isinstance(message, CancelJobs):
            for key in message.keys:
                self._know(key, told.node)
            return [CancelRequested(key=key, at=now) for key in message.keys]
        assert isinstance(message, ForgetJobs)  # noqa: S101 - the only other kind
        return [ForgetRequested(key=key) for key in message.keys]

    def _know(self, key: AttemptKey, node: NodeName) -> None:
        """Its end is going to be told, although nothing of it was ever started here."""
        if key not in self._attempts:
            ref = JobRef(key=key, job_uri="", dispatched_at=self._around.clock())
            self._attempts[key] = Attempt(ref=ref, node=node, name=names.job_name(key, self._around.id))

    def _handle(self, events: Iterable[Event]) -> None:
        for event in events:
            for instruction in self._state.handle(event):
                self._carry_out(instruction)

    def _carry_out(self, instruction: Instruction) -> None:
        match instruction:
            case Launch():
                attempt = self._attempts[instruction.job.key]
                if not attempt.there:
                    self._to_make[attempt.key] = attempt
            case Stop():
                self._stop(self._attempts[instruction.key])
            case Remove():
                attempt = self._attempts.pop(instruction.key)
                self._to_delete.add(attempt.name)

    def _stop(self, attempt: Attempt) -> None:
        attempt.stopping = True
        if self._to_make.pop(attempt.key, None) is not None:
            self._end(_canceled(attempt.key, self._around.clock()))
        else:
            self._to_delete.add(attempt.name)

    def _see_nodes(self) -> None:
        now, cluster = self._around.clock(), self._around.cluster
        if cluster.due(now):
            cluster.look(now)
            busy = {attempt.node for attempt in self._attempts.values()}
            cluster.forget_vanished(busy, now)

    def _see_jobs(self) -> None:
        seen = self._list()
        self._adopt(seen)
        self._found_again = True
        running: dict[AttemptKey, str] = {}
        for key in self._state.live:
            attempt = self._attempts[key]
            if attempt.there:
                self._judge(attempt, self._sighting(key, seen), running)
        self._around.logs.follow(running)

    def _list(self) -> _Seen:
        """Pods first: a Job that is made or removed meanwhile is then missed whole, or found without its pod."""
        selector, seen = names.selector(self._around.id), _Seen()
        for pod in self._around.api.pods(selector):
            if (known := names.ref_of(pod)) is not None:
                seen.pods.setdefault(known[0].key, []).append(pod)
        for job in self._around.api.jobs(selector):
            if (known := names.ref_of(job)) is not None:
                seen.jobs[known[0].key] = job
        return seen

    def _adopt(self, seen: _Seen) -> None:
        """Take up Jobs that an earlier life made; what is not to be taken up is removed."""
        for key in sorted(seen.jobs, key=lambda key: key.attempt):
            known = self._attempts.get(key)
            if known is not None:
                _note(known, seen.jobs[key])
                continue
            found = names.ref_of(seen.jobs[key])
            if found is None:
                continue
            ref, node = found
            attempt = Attempt(ref=ref, node=node, name=names.job_name(key, self._around.id))
            _note(attempt, seen.jobs[key])
            self._attempts[key] = attempt
            self._handle([StartRequested(job=ref)])
            if not self._state.knows(key):
                del self._attempts[key]
                self._to_delete.add(attempt.name)
            elif not self._found_again:
                _log.info("a Job of an earlier life is taken up", attempt=str(key), job=attempt.name)

    def _sighting(self, key: AttemptKey, seen: _Seen) -> Sighting:
        return sighting(
            seen.jobs.get(key),
            seen.pods.get(key, ()),
            now=self._around.clock(),
            patience=timedelta(seconds=self._around.settings.kubernetes_pending_seconds),
        )

    def _judge(self, attempt: Attempt, seen: Sighting, running: dict[AttemptKey, str]) -> None:
        trouble = self._around.cluster.trouble(attempt.node, self._around.clock())
        decision = decide(attempt, seen, trouble)
        if decision.started_at is not None:
            self._handle([ProcessStarted(key=attempt.key, at=decision.started_at)])
        if decision.verdict is not Verdict.GOES_ON:
            self._conclude(attempt, decision)
            return
        if names.TASK_STEP in seen.steps and seen.pod is not None:
            running[attempt.key] = seen.pod
        if decision.limit_seconds is not None:
            self._limit(attempt, decision.limit_seconds)

    def _limit(self, attempt: Attempt, seconds: int) -> None:
        attempt.limited = True
        try:
            self._around.api.limit_job(attempt.name, seconds)
        except Refused as error:
            # It is held to a longer limit already.
            _log.warning("the time of a Job cannot be limited", job=attempt.name, error=str(error))

    def _conclude(self, attempt: Attempt, decision: Decision) -> None:
        """Say how it ended. A store that does not answer is asked at the next look again."""
        seen = decision.seen
        try:
            log_key = self._around.logs.finish(attempt.key, seen)
            left = self._around.leavings.of(attempt.key)
        except StoreError as error:
            _log.warning(
                "the end of an attempt cannot be read yet", attempt=str(attempt.key), error=str(error)
            )
            return
        if decision.verdict is Verdict.GIVEN_UP:
            self._to_delete.add(attempt.name)
        remains = Remains(
            key=attempt.key,
            seen=seen,
            left=left,
            log_key=log_key,
            memory_mib=attempt.memory_mib,
            stopping=attempt.stopping,
            now=self._around.clock(),
        )
        self._end(report_of(remains))

    def _end(self, report: AttemptReport) -> None:
        metrics.ENDS.labels(report.state.value, report.reason.value if report.reason else "").inc()
        _log.info("attempt ended", attempt=str(report.key), state=report.state, message=report.message)
        self._handle([AttemptEnded(report=report)])

    def _make(self) -> None:
        for key, attempt in list(self._to_make.items()):
            room = self._around.cluster.rooms.get(attempt.node)
            try:
                made = self._around.maker.make(attempt, room.found if room else None)
            except NotMade as error:
                del self._to_make[key]
                self._end(error.report(key, self._around.clock()))
            except StoreError as error:
                _log.warning("a job cannot be read yet", attempt=str(key), error=str(error))
            else:
                del self._to_make[key]
                attempt.there = True
                attempt.memory_mib, attempt.timeout_seconds = made.memory_mib, made.timeout_seconds
                metrics.MADE.inc()

    def _delete(self) -> None:
        for name in sorted(self._to_delete):
            try:
                self._around.api.delete_job(name)
            except Refused as error:
                _log.warning("a Job cannot be removed", job=name, error=str(error))
            self._to_delete.discard(name)

    def _publish(self) -> None:
        """Nothing before all that is there was found again: what is not named would be taken for lost."""
        if not self._found_again:
            return
        around, now = self._around, self._around.clock()
        held = around.hold(around.cluster.rooms)
        reports: dict[NodeName, list[AttemptReport]] = {}
        for report in self._state.reports:
            reports.setdefault(self._attempts[report.key].node, []).append(report)
        around.publish(
            {
                name: NodeState(
                    node=room.node,
                    usable=around.cluster.usable(name, now),
                    attempts=tuple(reports.get(name, ())),
                    metrics_url=room.metrics_url,
                )
                for name, room in around.cluster.rooms.items()
                if name in held
            }
        )


def _keys(message: StartJobs | CancelJobs | ForgetJobs) -> Sequence[AttemptKey]:
    return [job.key for job in message.jobs] if isinstance(message, StartJobs) else message.keys


def _note(attempt: Attempt, job: Object) -> None:
    """What its Job says of its limits."""
    attempt.there = True
    notes = (job.get("metadata") or {}).get("annotations") or {}
    attempt.memory_mib = int(notes[names.MEMORY]) if names.MEMORY in notes else None
    attempt.timeout_seconds = float(notes[names.TIMEOUT]) if names.TIMEOUT in notes else None


def _canceled(key: AttemptKey, now: datetime) -> AttemptReport:
    return AttemptReport(
        key=key,
        state=AttemptState.CANCELED,
        finished_at=now,
        reason=ReasonCode.RUN_CANCELED,
        message="canceled before it started",
    )
