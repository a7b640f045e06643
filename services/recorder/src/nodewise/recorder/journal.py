"""What a report, or silence, means for the attempts on record. Pure: decides, changes nothing.

Three rules hold it together. An attempt that is not live any more is never changed (fencing). What an agent lists is
true whenever it arrives, so an old heartbeat may still bring a start or an end; what it does not list means something
only in its newest heartbeat. The node's clock is believed only between placement and now.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from nodewise.core.codec import encode
from nodewise.core.estimates.learning import NodeFacts, Observation, Query
from nodewise.core.lifecycle import AttemptState, TaskEvent, TaskState
from nodewise.core.messages import AttemptReport, Heartbeat
from nodewise.core.model.decision import Reason, ReasonCode
from nodewise.core.model.ids import AttemptKey, NodeName, RunId
from nodewise.core.model.task import RetryPolicy
from nodewise.recorder.storable import storable, storable_text

MAX_LOSSES: Final = 10
"""A task that was lost so often is given up: it takes its nodes down, or no node can keep it."""

_ENDS: Final = frozenset({AttemptState.SUCCEEDED, AttemptState.FAILED, AttemptState.CANCELED})
_LARGEST_INT: Final = 2**31 - 1
_LONGEST_LOSS_DELAY: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveAttempt:
    """A live attempt on record, with what is needed to judge it.

    `failures` are those of its task so far. `accepted_at` (None: never heard of) is the recorder's time. Effort, input
    and the node's facts are what its outcome is learned with (None: unknown). `cacheable`: its result may be reused.
    """

    key: AttemptKey
    state: AttemptState
    task_state: TaskState
    node: NodeName
    node_class: str
    task_class: str
    placed_at: datetime
    lease_until: datetime
    accepted_at: datetime | None = None
    started_at: datetime | None = None
    failures: int = 0
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    cancel_requested: bool = False
    effort_flops: float | None = None
    input_bytes: float | None = None
    capacity_millicores: int | None = None
    accelerator: str | None = None
    cacheable: bool = False

    @property
    def query(self) -> Query:
        """What could have been asked about it before it ran."""
        cores = None if self.capacity_millicores is None else self.capacity_millicores / 1000
        return Query(
            task_class=self.task_class,
            node_class=self.node_class,
            effort_flops=self.effort_flops,
            input_bytes=self.input_bytes,
            node=NodeFacts(cores=cores, accelerator=self.accelerator),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What becomes of one live attempt and its task. `event` moves the task, `state` is the attempt's next one."""

    attempt: LiveAttempt
    event: TaskEvent
    state: AttemptState
    reason: Reason
    started_at: datetime | None = None
    finished_at: datetime | None = None
    failures: int | None = None
    not_before: datetime | None = None
    outputs: object | None = None
    report: AttemptReport | None = None

    @property
    def key(self) -> AttemptKey:
        return self.attempt.key

    @property
    def ended(self) -> bool:
        return self.event is not TaskEvent.START

    @property
    def outcome(self) -> Observation | None:
        """What to learn from it; None unless it ran to a good end."""
        if self.state is not AttemptState.SUCCEEDED or self.started_at is None or self.finished_at is None:
            return None
        return Observation(
            query=self.attempt.query,
            seconds=(self.finished_at - self.started_at).total_seconds(),
            peak_memory_mib=_positive(self.report.peak_memory_mib if self.report else None),
        )


def read_heartbeat(
    live: Sequence[LiveAttempt], heartbeat: Heartbeat, *, newest: bool, now: datetime
) -> tuple[Change, ...]:
    """What a heartbeat changes.

    Args:
        live: The live attempts on that node (or some of them: each is judged alone).
        heartbeat: What its agent said.
        newest: Whether no later heartbeat of that node was read before; else absence means nothing.
        now: The recorder's time.
    """
    reports = {report.key: report for report in heartbeat.attempts}
    changes = []
    for attempt in live:
        report = reports.get(attempt.key)
        if report is not None:
            change = _read_report(attempt, report, now)
        elif newest and _forgotten(attempt, heartbeat):
            why = Reason(code=ReasonCode.AGENT_FORGOT, text=f"the agent of {attempt.node} lost it")
            change = _lose(attempt, why, now)
        else:
            change = None
        if change is not None:
            changes.append(change)
    return tuple(changes)


def end_leases(live: Sequence[LiveAttempt], *, now: datetime) -> tuple[Change, ...]:
    """The attempts whose lease has ended, as lost."""
    return tuple(_lose(attempt, _silence(attempt), now) for attempt in live if attempt.lease_until <= now)


def runs_with_ends(heartbeat: Heartbeat) -> frozenset[RunId]:
    """The runs of the attempts that are reported as ended."""
    return frozenset(report.key.run_id for report in heartbeat.attempts if report.state in _ENDS)


def keys_to_forget(heartbeat: Heartbeat, live: Collection[AttemptKey]) -> tuple[AttemptKey, ...]:
    """Reported ends that are on record, or too late to count: the agent need not repeat them.

    `live` are the attempts that are still live after the heartbeat was applied.
    """
    return tuple(r.key for r in heartbeat.attempts if r.state in _ENDS and r.key not in live)


def keys_to_cancel(heartbeat: Heartbeat, live: Collection[AttemptKey]) -> tuple[AttemptKey, ...]:
    """Reported as under way although they do not count any more: their work is void and takes up the node."""
    return tuple(r.key for r in heartbeat.attempts if r.state not in _ENDS and r.key not in live)


def keys_under_way(heartbeat: Heartbeat) -> tuple[AttemptKey, ...]:
    """The attempts whose lease this heartbeat renews."""
    return tuple(report.key for report in heartbeat.attempts if report.state not in _ENDS)


def _silence(attempt: LiveAttempt) -> Reason:
    return Reason(code=ReasonCode.LEASE_ENDED, text=f"nothing was heard of it from {attempt.node}")


def _forgotten(attempt: LiveAttempt, heartbeat: Heartbeat) -> bool:
    """Accepted, and not listed in a heartbeat that was sent after we first heard of it."""
    return attempt.accepted_at is not None and heartbeat.sent_at >= attempt.accepted_at


def _read_report(attempt: LiveAttempt, report: AttemptReport, now: datetime) -> Change | None:
    if report.state in _ENDS:
        return _end(attempt, report, now)
    if report.state is AttemptState.RUNNING and attempt.state is AttemptState.PLACED:
        return Change(
            attempt=attempt,
            event=TaskEvent.START,
            state=AttemptState.RUNNING,
            reason=Reason(code=ReasonCode.PLACED, text=f"runs on {attempt.node}"),
            started_at=_started(attempt, report, now),
            report=report,
        )
    return None


def _end(attempt: LiveAttempt, report: AttemptReport, now: datetime) -> Change:
    if attempt.cancel_requested:
        return _cancel(attempt, report.state, now, report)
    if report.state is AttemptState.SUCCEEDED:
        return _succeed(attempt, report, now)
    if report.state is AttemptState.FAILED and report.reason is not ReasonCode.AGENT_ERROR:
        return _fail(attempt, report, now)
    # The agent's own trouble, and an end that nobody asked for, are not the task's fault.
    # Nor is it canceled, whatever the agent calls its stopping of it: the task waits again.
    why = Reason(code=ReasonCode.AGENT_ERROR, text=_message(report, "the agent stopped it"))
    return _lose(attempt, why, now, report)


def _succeed(attempt: LiveAttempt, report: AttemptReport, now: datetime) -> Change:
    started = _started(attempt, report, now)
    return Change(
        attempt=attempt,
        event=TaskEvent.SUCCEED,
        state=AttemptState.SUCCEEDED,
        reason=Reason(code=ReasonCode.FINISHED, text=f"finished on {attempt.node}"),
        started_at=started,
        finished_at=_finished(attempt, report, now),
        outputs=None if report.outputs is None else storable(encode(report.outputs)),
        report=report,
    )


def _fail(attempt: LiveAttempt, report: AttemptReport, now: datetime) -> Change:
    failures = attempt.failures + 1
    code = report.reason or ReasonCode.EXIT_CODE
    message = _message(report, f"ended with exit code {report.exit_code}")
    again = failures <= attempt.retry.max_retries
    delay = attempt.retry.delay(failures)
    if again:
        allowed = attempt.retry.max_retries + 1
        text = f"failure {failures} of {allowed} allowed, on {attempt.node}: {message}"
        reason = Reason(code=ReasonCode.RETRY_BACKOFF, text=text)
    else:
        reason = Reason(code=code, text=message)
    return Change(
        attempt=attempt,
        event=TaskEvent.RETRY if again else TaskEvent.FAIL,
        state=AttemptState.FAILED,
        reason=reason,
        started_at=_started(attempt, report, now),
        finished_at=_finished(attempt, report, now),
        failures=failures,
        not_before=now + delay if again and delay else None,
        report=report,
    )


def _lose(attempt: LiveAttempt, why: Reason, now: datetime, report: AttemptReport | None = None) -> Change:
    """Try again elsewhere without counting a failure, unless it was lost too often."""
    if attempt.cancel_requested:
        return _cancel(attempt, AttemptState.LOST, now, report)
    losses = attempt.key.attempt - attempt.failures
    given_up = losses >= MAX_LOSSES
    text = (
        f"lost {losses} times, given up; last: {why.text}" if given_up else f"lost: {why.text}; tried again"
    )
    return Change(
        attempt=attempt,
        event=TaskEvent.FAIL if given_up else TaskEvent.LOSE,
        state=AttemptState.LOST,
        reason=Reason(code=why.code, text=text),
        started_at=None if report is None else _started(attempt, report, now),
        finished_at=now if report is None else _finished(attempt, report, now),
        not_before=None if given_up else now + _loss_delay(losses),
        report=report,
    )


def _cancel(
    attempt: LiveAttempt, state: AttemptState, now: datetime, report: AttemptReport | None = None
) -> Change:
    """Whatever its end was: in a run that is being canceled, the task is canceled."""
    return Change(
        attempt=attempt,
        event=TaskEvent.CANCEL,
        state=state,
        reason=Reason(code=ReasonCode.RUN_CANCELED, text="the run was canceled"),
        started_at=None if report is None else _started(attempt, report, now),
        finished_at=now if report is None else _finished(attempt, report, now),
        report=report,
    )


def _loss_delay(losses: int) -> timedelta:
    """None after the first loss (a node died), then longer and longer (something is wrong)."""
    if losses <= 1:
        return timedelta(0)
    return min(timedelta(seconds=2 ** (losses - 2)), _LONGEST_LOSS_DELAY)


def _message(report: AttemptReport, default: str) -> str:
    return storable_text(report.message or default)


def _started(attempt: LiveAttempt, report: AttemptReport, now: datetime) -> datetime | None:
    """The start on record if there is one (it never changes), else the reported one within its bounds."""
    if attempt.started_at is not None or report.started_at is None:
        return attempt.started_at
    return _within(report.started_at, attempt.placed_at, now)


def _finished(attempt: LiveAttempt, report: AttemptReport, now: datetime) -> datetime:
    earliest = _started(attempt, report, now) or attempt.placed_at
    return _within(report.finished_at or now, earliest, now)


def _positive(peak_mib: int | None) -> int | None:
    """None for what an agent reports that could not measure it."""
    return peak_mib if peak_mib is not None and 0 < peak_mib <= _LARGEST_INT else None


def _within(time: datetime, earliest: datetime, latest: datetime) -> datetime:
    """`earliest` wins where the two contradict each other (the placer's clock is ahead of ours)."""
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    return max(earliest, min(time, latest))
