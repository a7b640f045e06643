"""What the agent knows of its attempts: events in, instructions out. Pure; the edges carry the instructions out.

An attempt is *live* (accepted, staging or running) or *ended*. An end is reported until the recorder says that it has
it on record (`Forget`); then the key alone is remembered for a while, so that a late duplicate starts nothing.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from nodewise.core.lifecycle import LIVE_ATTEMPT_STATES, AttemptState
from nodewise.core.messages import AttemptReport, JobRef
from nodewise.core.model.decision import ReasonCode
from nodewise.core.model.ids import AttemptKey, TaskRef

REMEMBERED_KEYS: Final = 10_000
"""How many forgotten keys are still recognised: some minutes of a very busy node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRequested:
    job: JobRef


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRequested:
    key: AttemptKey
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetRequested:
    key: AttemptKey


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessStarted:
    key: AttemptKey
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptEnded:
    """The attempt reached the end that the report describes, now or (after a restart) in an earlier life."""

    report: AttemptReport


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaveRequested:
    """The agent is told to stop."""


Event = StartRequested | CancelRequested | ForgetRequested | ProcessStarted | AttemptEnded | LeaveRequested


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    job: JobRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    key: AttemptKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Remove:
    """Delete what the attempt left on disk."""

    key: AttemptKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """Report at once; or soon: what follows within a moment, the end of a short task even, goes with it."""

    soon: bool = False


Instruction = Launch | Stop | Remove | Beat


class AgentState:
    """The attempts of one agent. Not thread-safe: one event at a time."""

    def __init__(self) -> None:
        self._attempts: dict[AttemptKey, AttemptReport] = {}
        self._held: dict[AttemptKey, JobRef] = {}
        """Accepted, but an older attempt of the same task has to end first."""
        self._disowned: set[AttemptKey] = set()
        """Live, but nobody wants its end: told to forget it, or leaving."""
        self._forgotten: OrderedDict[AttemptKey, None] = OrderedDict()
        self._highest: dict[TaskRef, int] = {}
        """The highest attempt known of each task, forgotten ones included."""
        self._leaving = False

    @property
    def leaving(self) -> bool:
        return self._leaving

    @property
    def reports(self) -> tuple[AttemptReport, ...]:
        """What a heartbeat says: every attempt that anyone may still want to hear of."""
        return tuple(report for key, report in sorted(self._attempts.items()) if key not in self._disowned)

    @property
    def live(self) -> Sequence[AttemptKey]:
        return [key for key, report in self._attempts.items() if report.state in LIVE_ATTEMPT_STATES]

    def knows(self, key: AttemptKey) -> bool:
        """Whether it is live or its end is to be told; what was forgotten is not known."""
        return key in self._attempts

    def handle(self, event: Event) -> Sequence[Instruction]:
        """Take one event in; what has to be done about it, in that order. The same event again asks for nothing."""
        match event:
            case StartRequested():
                return self._start(event.job)
            case CancelRequested():
                return self._cancel(event)
            case ForgetRequested():
                return self._forget(event.key)
            case ProcessStarted():
                return self._started(event)
            case AttemptEnded():
                return self._ended(event.report)
            case LeaveRequested():
                return self._leave()

    def _start(self, job: JobRef) -> Sequence[Instruction]:
        highest = self._highest.get(job.key.task, 0)
        if self._leaving or self._is_known(job.key) or highest > job.key.attempt:
            return ()
        older = [key for key in self.live if key.task == job.key.task] if highest else []
        self._note(AttemptReport(key=job.key, state=AttemptState.PLACED))
        if not older:
            return (Launch(job=job), Beat(soon=True))
        self._held[job.key] = job
        return (*self._stop_all(older), Beat())

    def _is_known(self, key: AttemptKey) -> bool:
        return key in self._attempts or key in self._forgotten

    def _note(self, report: AttemptReport) -> None:
        self._attempts[report.key] = report
        self._raise_highest(report.key)

    def _raise_highest(self, key: AttemptKey) -> None:
        self._highest[key.task] = max(key.attempt, self._highest.get(key.task, 0))

    def _stop_all(self, keys: Iterable[AttemptKey]) -> Sequence[Instruction]:
        """Stop these; the ones that wait for an older attempt end here and now."""
        instructions: list[Instruction] = []
        for key in keys:
            if self._held.pop(key, None) is None:
                instructions.append(Stop(key=key))
            else:
                instructions += self._ended(AttemptReport(key=key, state=AttemptState.CANCELED))
        return tuple(instructions)

    def _cancel(self, event: CancelRequested) -> Sequence[Instruction]:
        if event.key in self._forgotten:
            return ()
        known = self._attempts.get(event.key)
        if known is not None and known.state not in LIVE_ATTEMPT_STATES:
            return ()
        if known is not None and event.key not in self._held:
            return (Stop(key=event.key),)
        # Never started here: the end is said at once, and a start that comes late finds the key taken.
        self._held.pop(event.key, None)
        return self._ended(
            AttemptReport(
                key=event.key,
                state=AttemptState.CANCELED,
                finished_at=event.at,
                reason=ReasonCode.RUN_CANCELED,
                message="canceled before it started",
            )
        )

    def _forget(self, key: AttemptKey) -> Sequence[Instruction]:
        known = self._attempts.get(key)
        if known is None:
            self._remember(key)
            return ()
        if known.state not in LIVE_ATTEMPT_STATES:
            return self._drop(key)
        # Fenced: for the record it is lost, and perhaps runs elsewhere by now.
        if key in self._disowned:
            return ()
        self._disowned.add(key)
        return self._stop_all([key])

    def _drop(self, key: AttemptKey) -> Sequence[Instruction]:
        del self._attempts[key]
        self._disowned.discard(key)
        self._remember(key)
        return (Remove(key=key),)

    def _remember(self, key: AttemptKey) -> None:
        self._forgotten[key] = None
        self._forgotten.move_to_end(key)
        self._raise_highest(key)
        while len(self._forgotten) > REMEMBERED_KEYS:
            oldest, _ = self._forgotten.popitem(last=False)
            if self._highest.get(oldest.task) == oldest.attempt:
                del self._highest[oldest.task]

    def _started(self, event: ProcessStarted) -> Sequence[Instruction]:
        known = self._attempts.get(event.key)
        if known is None or known.state is not AttemptState.PLACED:
            return ()
        self._attempts[event.key] = known.model_copy(
            update={"state": AttemptState.RUNNING, "started_at": event.at}
        )
        return (Beat(soon=True),)

    def _ended(self, report: AttemptReport) -> Sequence[Instruction]:
        known = self._attempts.get(report.key)
        if known is not None and known.state not in LIVE_ATTEMPT_STATES:
            return ()
        self._note(report)
        dropped = self._drop(report.key) if report.key in self._disowned else ()
        return (*dropped, *self._release(report.key), Beat())

    def _release(self, ended: AttemptKey) -> Sequence[Instruction]:
        """Launch what waited for this one, if nothing older of the task is left."""
        waiting = [key for key in self._held if key.task == ended.task]
        if not waiting or any(key.task == ended.task and key not in self._held for key in self.live):
            return ()
        return (Launch(job=self._held.pop(max(waiting))),)

    def _leave(self) -> Sequence[Instruction]:
        if self._leaving:
            return ()
        self._leaving = True
        held, live = list(self._held), self.live
        self._held.clear()
        self._disowned.update(live)
        for key in held:
            self._drop(key)
        return tuple(Stop(key=key) for key in live if key not in held)
