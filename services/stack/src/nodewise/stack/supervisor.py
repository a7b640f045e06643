"""Starts the processes of a plan stage by stage, restarts what dies, stops all in reverse order."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from subprocess import Popen, TimeoutExpired

from nodewise.stack.backoff import delay_seconds, failures_after
from nodewise.stack.errors import CannotStart
from nodewise.stack.health import problem
from nodewise.stack.plan import Planned, Stage
from nodewise.stack.probes import Probe
from nodewise.stack.process import ProcessId, identity, start, tail
from nodewise.stack.signals import Signals
from nodewise.stack.state import ProcessState

_LOOK_SECONDS = 0.1
_UP_WITHIN_SECONDS = 90.0


class StopRequested(Exception):
    """A signal asked us to stop while we were still starting."""


@dataclass(slots=True)
class _Child:
    planned: Planned
    process: "Popen[bytes]"
    created: float
    started_at: float
    failures: int = 0
    restarts: int = 0
    due_at: float | None = None
    """When to start it again; None while it runs."""
    waiting_for: list[Probe] = field(default_factory=list)


class Supervisor:
    """The children of one home.

    Args:
        signals: Entered by the caller, in the main thread.
        tell: Takes a line for a person.
        changed: Called after every start, with the processes as they are then.
    """

    def __init__(
        self,
        signals: Signals,
        *,
        tell: Callable[[str], None],
        changed: Callable[[dict[str, ProcessState]], None],
    ) -> None:
        self._signals = signals
        self._tell = tell
        self._changed = changed
        self._stages: list[list[_Child]] = []

    def start_stage(self, stage: Stage, within_seconds: float = _UP_WITHIN_SECONDS) -> None:
        """Start all of a stage and wait until they are up.

        Raises:
            CannotStart: One of them, or of an earlier stage, ended or did not come up in time.
            StopRequested: A signal came first.
        """
        children = [_launch(planned) for planned in stage]
        self._stages.append(children)
        self._changed(self.processes())
        deadline = time.monotonic() + within_seconds
        pending = list(children)
        while pending:
            if self._signals.stop_requested:
                raise StopRequested
            self._require_alive()
            pending = [child for child in pending if not _is_up(child)]
            if pending and time.monotonic() > deadline:
                raise _too_late(pending[0], within_seconds)
            if pending:
                self._signals.wait(_LOOK_SECONDS)

    def _require_alive(self) -> None:
        for child in self._children():
            code = child.process.poll()
            if code is not None and not (child.planned.once and code == 0):
                raise _ended(child, code)

    def run(self) -> None:
        """Restart what dies, until a signal asks us to stop."""
        while not self._signals.stop_requested:
            now = time.monotonic()
            for child in self._children():
                self._look_after(child, now)
            self._signals.wait(_LOOK_SECONDS)

    def _look_after(self, child: _Child, now: float) -> None:
        if child.due_at is None:
            code = child.process.poll()
            if code is not None and not child.planned.once:
                child.failures = failures_after(child.failures, now - child.started_at)
                pause = delay_seconds(child.failures)
                child.due_at = now + pause
                self._tell(f"{child.planned.name} {_death(code)}; starting it again in {pause:.1f} s")
        elif now >= child.due_at:
            self._restart(child, now)

    def _restart(self, child: _Child, now: float) -> None:
        try:
            child.process = start(child.planned.program)
        except OSError as error:
            child.failures += 1
            child.due_at = now + delay_seconds(child.failures)
            self._tell(f"{child.planned.name} cannot be started: {error}")
            return
        child.created = identity(child.process.pid).created
        child.started_at, child.due_at = now, None
        child.restarts += 1
        self._changed(self.processes())

    def stop(self) -> None:
        """End everything, the last stage first; a stage together, so that waiting is not added up."""
        while self._stages:
            children = self._stages.pop()
            for child in children:
                if child.process.poll() is None:
                    child.process.send_signal(child.planned.program.stop_signal)
            asked_at = time.monotonic()
            for child in children:
                _wait_or_kill(child, asked_at)

    def processes(self) -> dict[str, ProcessState]:
        """What runs, in the order of its start."""
        return {
            child.planned.name: ProcessState(
                id=ProcessId(pid=child.process.pid, created=child.created),
                stop_signal=int(child.planned.program.stop_signal),
                port=child.planned.port,
                restarts=child.restarts,
            )
            for child in self._children()
            if not child.planned.once
        }

    def _children(self) -> Sequence[_Child]:
        return [child for stage in self._stages for child in stage]


def _launch(planned: Planned) -> _Child:
    try:
        process = start(planned.program)
    except OSError as error:
        raise CannotStart(planned.name, str(error), log=str(planned.program.log), last_line="") from error
    return _Child(
        planned=planned,
        process=process,
        created=identity(process.pid).created,
        started_at=time.monotonic(),
        waiting_for=list(planned.probes),
    )


def _is_up(child: _Child) -> bool:
    if child.planned.once:
        return child.process.poll() == 0
    while child.waiting_for and problem(child.waiting_for[0]) is None:
        child.waiting_for.pop(0)
    return not child.waiting_for


def _wait_or_kill(child: _Child, asked_at: float) -> None:
    patience = asked_at + child.planned.program.stop_seconds - time.monotonic()
    try:
        child.process.wait(max(0.0, patience))
    except TimeoutExpired:
        child.process.kill()
        child.process.wait()


def _death(code: int) -> str:
    return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"


def _ended(child: _Child, code: int) -> CannotStart:
    log = child.planned.program.log
    return CannotStart(child.planned.name, f"it {_death(code)}", log=str(log), last_line=tail(log))


def _too_late(child: _Child, seconds: float) -> CannotStart:
    log = child.planned.program.log
    why = problem(child.waiting_for[0]) if child.waiting_for else "it did not finish"
    reason = f"not ready within {seconds:.0f} s: {why}"
    return CannotStart(child.planned.name, reason, log=str(log), last_line=tail(log))
