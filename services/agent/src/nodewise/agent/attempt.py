"""One attempt from its job in the store to its end in the journal, in a thread of its own."""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

import structlog

from nodewise.agent.folder import AttemptFolder
from nodewise.agent.journal import ProcessRecord
from nodewise.agent.logs import AttemptLog
from nodewise.agent.outputs import OutputError, collect, read_bounded
from nodewise.agent.runtime import last_line
from nodewise.agent.staging import Staged, stage
from nodewise.agent.supervision import GRACE_SECONDS, Limits, ProcessEnd, StopCause, TaskProcess, begin
from nodewise.agent.verdicts import MESSAGE_LIMIT, one_line, presentable, verdict
from nodewise.agent.workplaces import Attempt, NotReady, Start, workplace
from nodewise.agent.workshop import Workshop
from nodewise.core.errors import ArtifactMissing, NodewiseError, StoreError, StoreFull
from nodewise.core.jobfiles import read_job
from nodewise.core.lifecycle import AttemptState
from nodewise.core.messages import AttemptReport, JobRef
from nodewise.core.model.artifact import TaskOutputs
from nodewise.core.model.decision import ReasonCode
from nodewise.core.model.ids import AttemptKey
from nodewise.core.model.job import Job
from nodewise.core.store import log_key
from nodewise.core.store.trees import open_regular

T = TypeVar("T")

_RETRY_PAUSES: Final = (0.2, 1.0, 3.0)
"""Seconds between tries when the store does not answer."""
_LEAVING_GRACE_SECONDS: Final = 1.0
_PAUSE_SECONDS: Final = 0.1
_STEP_OUTPUT_BYTES: Final = 1 << 20
_PEAK_DIGITS: Final = 12
"""Of the peak in KiB: what a task forges there must not become more than a database column holds."""
_log = structlog.get_logger()


class Stopped(NodewiseError):
    """The attempt was stopped before its process started."""


class AttemptRun:
    """Runs one attempt. `on_started` and `on_ended` are called from its thread; the end is journaled before."""

    def __init__(
        self,
        job: JobRef,
        workshop: Workshop,
        *,
        on_started: Callable[[AttemptKey, datetime], None],
        on_ended: Callable[[AttemptReport], None],
    ) -> None:
        self.key = job.key
        self._job_uri = job.job_uri
        self._workshop = workshop
        self._on_started = on_started
        self._on_ended = on_ended
        self._folder = AttemptFolder(workshop.journal.folder(job.key))
        self._log = AttemptLog(
            workshop.store, self._folder.log, key=log_key(job.key), limit_mib=workshop.max_log_mib
        )
        self._guard = threading.Lock()
        self._stop_cause: StopCause | None = None
        self._stop_asked = threading.Event()
        self._process: TaskProcess | None = None
        self._started_at: datetime | None = None
        self._thread = threading.Thread(target=self._run, name=f"attempt-{job.key}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self, seconds: float) -> None:
        self._thread.join(max(0.0, seconds))

    def stop(self, cause: StopCause = StopCause.CANCELED) -> None:
        """End it, whatever it is doing. It then ends CANCELED, unless it was faster."""
        with self._guard:
            self._stop_cause = self._stop_cause or cause
            self._stop_asked.set()
            if self._process is not None:
                self._process.stop(cause, grace=_grace(cause))

    def _run(self) -> None:
        """Reach an end, whatever happens on the way: nobody else would ever say that the attempt is over."""
        structlog.contextvars.bind_contextvars(attempt=str(self.key))
        report = self._tellable(self._outcome())
        try:
            if self._stop_cause is not StopCause.LEAVING:
                # An attempt that ended with its agent is LOST and runs elsewhere: its end must not be told later.
                self._keep(report)
            self._folder.clear()
        except Exception:
            _log.exception("what an attempt left could not be put in order")
        finally:
            self._on_ended(report)

    def _outcome(self) -> AttemptReport:
        try:
            return self._carried_out()
        except Stopped:
            self._finish_log()
            return self._end(AttemptState.CANCELED, ReasonCode.RUN_CANCELED, "canceled before it started")
        except NotReady as error:
            self._finish_log()
            return self._end(AttemptState.FAILED, error.reason, str(error))
        except (NodewiseError, OSError) as error:
            return self._failed_here(one_line(error))
        except Exception as error:
            _log.exception("an attempt failed in the agent")
            return self._failed_here(f"{type(error).__name__}: {error}")

    def _tellable(self, report: AttemptReport) -> AttemptReport:
        """The report, if it can be sent: one that cannot would silence the whole node."""
        try:
            report.model_dump_json()
        except Exception as error:
            # All but the outputs is the agent's own, made of numbers and clean text.
            text = f"the outputs cannot be sent: {one_line(error)}"
            _log.warning("an attempt's report cannot be sent", error=text)
            return report.model_copy(
                update={
                    "state": AttemptState.FAILED,
                    "reason": ReasonCode.EXIT_CODE,
                    "message": presentable(text),
                    "outputs": None,
                }
            )
        return report

    def _carried_out(self) -> AttemptReport:
        job = self._patiently(self._read_job)
        staged = self._patiently(lambda: self._staged(job))
        attempt = Attempt(job=job, folder=self._folder, staged=staged, limits=self._limits(job))
        try:
            with workplace(attempt, self._workshop, self) as start:
                end = self._waited_for(start)
        finally:
            self._workshop.shipper.remove(self._log)
        self._finish_log()
        found = verdict(end, attempt.limits, lambda: self._last_words(end))
        if found is not None:
            return self._end(found.state, found.reason, found.message, end=end)
        return self._succeeded(job, end)

    def _waited_for(self, start: Start) -> ProcessEnd:
        process = self._spawn(start)
        try:
            self._announce(process)
            return process.wait()
        except BaseException:
            process.stop(StopCause.CANCELED, grace=0)
            raise
        finally:
            self._workshop.watchdog.unwatch(process)

    def run(self, words: Sequence[str], *, env: Mapping[str, str], seconds: float) -> tuple[ProcessEnd, str]:
        """Run a command that has to end before the attempt can start, its words into the attempt's log.

        Raises:
            Stopped: The attempt was stopped meanwhile.
        """
        before = self._log_size()
        limits = Limits(memory_mib=self._workshop.options.node.capacity.memory_mib, seconds=seconds)
        folder = self._folder
        process = self._spawn(
            lambda: TaskProcess(
                begin(words, env=env, cwd=folder.work, log=folder.log),
                marks=[str(folder.root)],
                limits=limits,
            )
        )
        self._workshop.shipper.add(self._log)
        self._workshop.watchdog.watch(process)
        try:
            self._remember(process)
            end = process.wait()
        finally:
            self._workshop.watchdog.unwatch(process)
        self._check_stopped()
        # An installation may run code of the package's: what it put there must not make us wait.
        with open_regular(folder.log) as log:
            log.seek(max(before, self._log_size() - _STEP_OUTPUT_BYTES))
            return end, log.read().decode("utf-8", "replace")

    def pause(self) -> None:
        """Wait a moment.

        Raises:
            Stopped: The attempt was stopped meanwhile.
        """
        self._stop_asked.wait(_PAUSE_SECONDS)
        self._check_stopped()

    def note(self, text: str) -> None:
        """Put text into the attempt's log."""
        with self._folder.log.open("a", encoding="utf-8", errors="replace") as log:
            log.write(text)

    def _log_size(self) -> int:
        return self._folder.log.lstat().st_size if os.path.lexists(self._folder.log) else 0

    def _staged(self, job: Job) -> Staged:
        self._folder.create()
        staged = stage(job, self._folder, self._workshop.cache, cores=self._workshop.options.cores)
        for note in staged.notes:
            self.note(f"nodewise: {note}\n")
        self._workshop.journal.begun(self.key)
        return staged

    def _limits(self, job: Job) -> Limits:
        return Limits(
            memory_mib=job.memory_limit_mib or self._workshop.options.node.capacity.memory_mib,
            seconds=job.timeout.total_seconds() if job.timeout else None,
        )

    def _read_job(self) -> Job:
        return read_job(self._workshop.store, self._job_uri, self.key)

    def _patiently(self, step: Callable[[], T], *, although_stopped: bool = False) -> T:
        """Try a step that needs the store a few times, unless trying again cannot help."""
        for pause in _RETRY_PAUSES:
            if self._stop_asked.is_set() and not although_stopped:
                raise Stopped
            try:
                return step()
            except (ArtifactMissing, StoreFull):
                raise
            except StoreError as error:
                _log.warning("the store failed; trying again", error=str(error))
                self._stop_asked.wait(pause)
        return step()

    def _spawn(self, start: Start) -> TaskProcess:
        with self._guard:
            if self._stop_asked.is_set():
                raise Stopped
            self._process = start()
            return self._process

    def _announce(self, process: TaskProcess) -> None:
        self._started_at = datetime.now(UTC)
        self._workshop.watchdog.watch(process)
        self._workshop.shipper.add(self._log)
        self._on_started(self.key, self._started_at)
        self._remember(process)

    def _remember(self, process: TaskProcess) -> None:
        record = ProcessRecord(pid=process.pid, created_at=process.created_at)
        self._workshop.journal.started(self.key, record)

    def _finish_log(self) -> None:
        try:
            # What it said until it was stopped is asked for like any other log.
            self._patiently(self._log.finish, although_stopped=True)
        except (StoreError, OSError) as error:
            _log.warning("a log could not be stored", error=str(error))

    def _succeeded(self, job: Job, end: ProcessEnd) -> AttemptReport:
        try:
            outputs = self._patiently(
                lambda: collect(job, self._folder, self._workshop.store, checkpoint=self._check_stopped)
            )
        except Stopped:
            text = "canceled before its outputs were stored"
            return self._end(AttemptState.CANCELED, ReasonCode.RUN_CANCELED, text, end=end)
        except OutputError as error:
            return self._end(AttemptState.FAILED, ReasonCode.EXIT_CODE, str(error), end=end)
        except (StoreError, OSError) as error:
            text = f"its outputs could not be stored: {error}"
            return self._end(AttemptState.FAILED, ReasonCode.AGENT_ERROR, text, end=end)
        return self._end(AttemptState.SUCCEEDED, ReasonCode.FINISHED, None, end=end, outputs=outputs)

    def _check_stopped(self) -> None:
        if self._stop_asked.is_set():
            raise Stopped

    def _last_words(self, end: ProcessEnd) -> str:
        if end.lost:
            # Nothing but the runtime's client has written there.
            return last_line(self._left(self._folder.log, 4 * MESSAGE_LIMIT))
        return self._left(self._folder.error, 4 * MESSAGE_LIMIT)

    def _left(self, path: Path, limit_bytes: int) -> str:
        """The text that the runner left for us, if it is still there: the task can reach it."""
        try:
            return (read_bounded(path, limit_bytes) or b"").decode("utf-8", "replace")
        except (OSError, StoreError):
            return ""

    def _failed_here(self, text: str) -> AttemptReport:
        _log.warning("an attempt failed in the agent", error=text)
        return self._end(AttemptState.FAILED, ReasonCode.AGENT_ERROR, text)

    def _end(
        self, state: AttemptState, reason: ReasonCode, message: str | None, *,
        end: ProcessEnd | None = None, outputs: TaskOutputs | None = None,
    ) -> AttemptReport:  # fmt: skip
        return AttemptReport(
            key=self.key,
            state=state,
            started_at=self._started_at,
            finished_at=datetime.now(UTC),
            # A shell's custom: 128 + the signal's number.
            exit_code=None if end is None else (end.exit_code if end.exit_code >= 0 else 128 - end.exit_code),
            reason=reason,
            message=presentable(message),
            peak_memory_mib=None if end is None else self._peak_mib(end),
            cpu_seconds=None if end is None else end.cpu_seconds,
            outputs=outputs,
            log_key=self._log.key if os.path.lexists(self._folder.log) else None,
        )

    def _peak_mib(self, end: ProcessEnd) -> int | None:
        """The higher of what was seen and what the runner told; None: nobody knows."""
        try:
            told = -(-int(self._left(self._folder.peak, _PEAK_DIGITS)) // 1024)
        except ValueError:
            told = 0
        return max(end.peak_memory_mib or 0, told) or None

    def _keep(self, report: AttemptReport) -> None:
        try:
            self._workshop.journal.ended(report)
        except OSError as error:
            # Still reported from memory; only `kill -9` before the recorder hears it would lose it.
            _log.warning("an end could not be written to the journal", error=str(error))


def _grace(cause: StopCause) -> float:
    return _LEAVING_GRACE_SECONDS if cause is StopCause.LEAVING else GRACE_SECONDS
