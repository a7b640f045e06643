"""The agent: its state behind a lock, and the edges that carry its instructions out."""

import threading
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

import structlog

from nodewise.agent import metrics
from nodewise.agent.attempt import AttemptRun
from nodewise.agent.heart import Heart
from nodewise.agent.state import (
    AgentState,
    AttemptEnded,
    Beat,
    CancelRequested,
    Event,
    ForgetRequested,
    Instruction,
    Launch,
    LeaveRequested,
    ProcessStarted,
    Remove,
    StartRequested,
    Stop,
)
from nodewise.agent.supervision import StopCause
from nodewise.agent.workshop import Workshop
from nodewise.core.messages import AttemptReport, CancelJobs, ForgetJobs, StartJobs
from nodewise.core.model.ids import AttemptKey

LEAVING_SECONDS: Final = 3.0
"""How long running tasks have to end when the agent is told to stop."""
SOON_SECONDS: Final = 0.1
"""Nothing waits for the news that a task was accepted or started, and each heartbeat is work for the recorder."""
_log = structlog.get_logger()


class Agent:
    """Runs the attempts that it is told to, and tells the heart whenever something changed. Thread-safe."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop
        self._lock = threading.RLock()
        self._state = AgentState()
        self._runs: dict[AttemptKey, AttemptRun] = {}
        self._heart: Heart | None = None

    def reports(self) -> tuple[AttemptReport, ...]:
        """What the next heartbeat says."""
        with self._lock:
            return self._state.reports

    def running(self) -> int:
        with self._lock:
            return len(self._runs)

    def resident_mib(self) -> float:
        """Memory that the tasks here used when last seen."""
        return self._workshop.watchdog.resident_mib

    def start(self, heart: Heart) -> None:
        """Recover what an earlier life left, then work and report."""
        for report in self._workshop.journal.recover():
            self._handle([AttemptEnded(report=report)])
        self._workshop.venvs.trim()
        if self._workshop.containers is not None:
            self._workshop.containers.start()
        self._heart = heart
        self._workshop.watchdog.start()
        self._workshop.shipper.start()
        self._workshop.spares.start()
        heart.start()

    def on_start(self, message: StartJobs) -> None:
        self._handle(StartRequested(job=job) for job in message.jobs)

    def on_cancel(self, message: CancelJobs) -> None:
        now = datetime.now(UTC)
        self._handle(CancelRequested(key=key, at=now) for key in message.keys)

    def on_forget(self, message: ForgetJobs) -> None:
        self._handle(ForgetRequested(key=key) for key in message.keys)

    def begin_leaving(self) -> None:
        """Take nothing more, and end what runs; returns at once."""
        self._handle([LeaveRequested()])

    def leave(self) -> None:
        """Stop in order: end what runs, and say so with the last heartbeat."""
        self.begin_leaving()
        deadline = time.monotonic() + LEAVING_SECONDS
        with self._lock:
            runs = list(self._runs.values())
        for run in runs:
            run.join(deadline - time.monotonic())
        self._workshop.watchdog.stop()
        self._workshop.spares.stop()
        if self._workshop.containers is not None:
            self._workshop.containers.stop()
        self._workshop.shipper.stop()
        if self._heart is not None:
            self._heart.leave()

    def _handle(self, events: Iterable[Event]) -> None:
        with self._lock:
            for event in events:
                for instruction in self._state.handle(event):
                    self._carry_out(instruction)

    def _carry_out(self, instruction: Instruction) -> None:
        match instruction:
            case Launch():
                self._launch(instruction)
            case Stop():
                self._stop(instruction.key)
            case Remove():
                self._workshop.journal.remove(instruction.key)
            case Beat():
                if self._heart is not None:
                    self._heart.beat(within=SOON_SECONDS if instruction.soon else 0.0)

    def _launch(self, instruction: Launch) -> None:
        run = AttemptRun(
            instruction.job, self._workshop, on_started=self._on_started, on_ended=self._on_ended
        )
        self._runs[run.key] = run
        _log.info("attempt accepted", attempt=str(run.key))
        run.start()

    def _stop(self, key: AttemptKey) -> None:
        run = self._runs.get(key)
        if run is not None:
            run.stop(StopCause.LEAVING if self._state.leaving else StopCause.CANCELED)

    def _on_started(self, key: AttemptKey, at: datetime) -> None:
        self._handle([ProcessStarted(key=key, at=at)])

    def _on_ended(self, report: AttemptReport) -> None:
        metrics.count_end(report)
        _log.info("attempt ended", attempt=str(report.key), state=report.state, message=report.message)
        with self._lock:
            self._runs.pop(report.key, None)
            self._handle([AttemptEnded(report=report)])
