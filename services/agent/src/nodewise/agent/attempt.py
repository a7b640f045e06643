"""One attempt from its job in the store to its end in the journal, in a thread of its own."""

import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

import structlog
from pydantic import ValidationError

from nodewise.agent.cache import ArtifactCache
from nodewise.agent.folder import AttemptFolder
from nodewise.agent.journal import Journal, ProcessRecord
from nodewise.agent.logs import AttemptLog, LogShipper
from nodewise.agent.options import AgentOptions
from nodewise.agent.outputs import OutputError, collect, read_bounded
from nodewise.agent.staging import stage
from nodewise.agent.supervision import (
    GRACE_SECONDS,
    Limits,
    ProcessEnd,
    StopCause,
    TaskProcess,
    Watchdog,
)
from nodewise.core.codec import decode
from nodewise.core.errors import ArtifactMissing, NodewiseError, StoreError, StoreFull
from nodewise.core.lifecycle import AttemptState
from nodewise.core.messages import AttemptReport, JobRef
from nodewise.core.model.artifact import TaskOutputs
from nodewise.core.model.decision import ReasonCode
from nodewise.core.model.ids import AttemptKey
from nodewise.core.model.job import Job
from nodewise.core.store import ArtifactStore, log_key

T = TypeVar("T")

_RETRY_PAUSES: Final = (0.2, 1.0, 3.0)
"""Seconds between tries when the store does not answer."""
_LEAVING_GRACE_SECONDS: Final = 1.0
_MESSAGE_LIMIT: Final = 2000
_PEAK_DIGITS: Final = 12
"""Of the peak in KiB: what a task forges there must not become more than a database column holds."""
_log = structlog.get_logger()


class Stopped(NodewiseError):
    """The attempt was stopped before its process started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """What every attempt of an agent works with."""

    options: AgentOptions
    store: ArtifactStore
    cache: ArtifactCache
    journal: Journal
    watchdog: Watchdog
    shipper: LogShipper
    max_log_mib: int


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
            return self._end(AttemptState.CANCELED, ReasonCode.RUN_CANCELED, "canceled before it started")
        except (NodewiseError, OSError, ValidationError) as error:
            return self._failed_here(_one_line(error))
        except Exception as error:
            _log.exception("an attempt failed in the agent")
            return self._failed_here(f"{type(error).__name__}: {error}")

    def _tellable(self, report: AttemptReport) -> AttemptReport:
        """The report, if it can be sent: one that cannot would silence the whole node."""
        try:
            report.model_dump_json()
        except Exception as error:
            # All but the outputs is the agent's own, made of numbers and clean text.
            text = f"the outputs cannot be sent: {_one_line(error)}"
            _log.warning("an attempt's report cannot be sent", error=text)
            return report.model_copy(
                update={
                    "state": AttemptState.FAILED,
                    "reason": ReasonCode.EXIT_CODE,
                    "message": _presentable(text),
                    "outputs": None,
                }
            )
        return report

    def _carried_out(self) -> AttemptReport:
        job = self._patiently(self._read_job)
        env = self._patiently(lambda: self._staged(job))
        process = self._spawn(job, env)
        try:
            self._announce(process)
            end = process.wait()
        except BaseException:
            process.stop(StopCause.CANCELED, grace=0)
            raise
        finally:
            self._workshop.watchdog.unwatch(process)
            self._workshop.shipper.remove(self._log)
        self._finish_log()
        return self._judge(job, end)

    def _staged(self, job: Job) -> dict[str, str]:
        self._folder.create()
        return stage(job, self._folder, self._workshop.cache, cores=self._workshop.options.cores)

    def _read_job(self) -> Job:
        job = decode(Job, json.loads(self._workshop.store.get_bytes(self._job_uri)))
        if job.key != self.key:
            raise NodewiseError(f"the job at {self._job_uri} is that of {job.key}")
        return job

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

    def _spawn(self, job: Job, env: dict[str, str]) -> TaskProcess:
        limit = job.memory_limit_mib or self._workshop.options.node.capacity.memory_mib
        seconds = job.timeout.total_seconds() if job.timeout else None
        with self._guard:
            if self._stop_asked.is_set():
                raise Stopped
            process = TaskProcess(
                [sys.executable, "-m", "nodewise.agent.runner", str(self._folder.task)],
                env=env, cwd=self._folder.work, log=self._folder.log,
                limits=Limits(memory_mib=limit, seconds=seconds),
            )  # fmt: skip
            self._process = process
        return process

    def _announce(self, process: TaskProcess) -> None:
        self._started_at = datetime.now(UTC)
        self._workshop.watchdog.watch(process)
        self._workshop.shipper.add(self._log)
        self._on_started(self.key, self._started_at)
        record = ProcessRecord(pid=process.pid, created_at=process.created_at)
        self._workshop.journal.started(self.key, record)

    def _finish_log(self) -> None:
        try:
            # What it said until it was stopped is asked for like any other log.
            self._patiently(self._log.finish, although_stopped=True)
        except (StoreError, OSError) as error:
            _log.warning("a log could not be stored", error=str(error))

    def _judge(self, job: Job, end: ProcessEnd) -> AttemptReport:
        limits = f"limit {job.memory_limit_mib or self._workshop.options.node.capacity.memory_mib} MiB"
        match end.stopped:
            case StopCause.TIMEOUT:
                text = f"ran longer than its timeout of {job.timeout}"
                return self._end(AttemptState.FAILED, ReasonCode.TIMEOUT, text, end=end)
            case StopCause.MEMORY:
                text = f"used {end.used_mib} MiB, {limits}"
                return self._end(AttemptState.FAILED, ReasonCode.OUT_OF_MEMORY, text, end=end)
            case StopCause.CANCELED | StopCause.LEAVING if end.exit_code != 0:
                return self._end(
                    AttemptState.CANCELED, ReasonCode.RUN_CANCELED, "canceled while it ran", end=end
                )
        if end.exit_code != 0:
            return self._end(AttemptState.FAILED, ReasonCode.EXIT_CODE, self._last_words(end), end=end)
        return self._succeeded(job, end)

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
        said = self._left(self._folder.error, 4 * _MESSAGE_LIMIT)
        if said:
            return said
        if end.exit_code > 0:
            return f"exited with code {end.exit_code}"
        name = _signal_name(-end.exit_code)
        hint = " (perhaps by the system, for lack of memory)" if name == "SIGKILL" else ""
        return f"killed by {name}{hint}"

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
            message=_presentable(message),
            peak_memory_mib=None if end is None else max(end.peak_memory_mib, self._told_peak_mib()),
            cpu_seconds=None if end is None else end.cpu_seconds,
            outputs=outputs,
            log_key=self._log.key if os.path.lexists(self._folder.log) else None,
        )

    def _told_peak_mib(self) -> int:
        try:
            return -(-int(self._left(self._folder.peak, _PEAK_DIGITS)) // 1024)
        except ValueError:
            return 0

    def _keep(self, report: AttemptReport) -> None:
        try:
            self._workshop.journal.ended(report)
        except OSError as error:
            # Still reported from memory; only `kill -9` before the recorder hears it would lose it.
            _log.warning("an end could not be written to the journal", error=str(error))


def _grace(cause: StopCause) -> float:
    return _LEAVING_GRACE_SECONDS if cause is StopCause.LEAVING else GRACE_SECONDS


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _one_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"the job cannot be read: {'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error) or type(error).__name__


def _presentable(message: str | None) -> str | None:
    if message is None:
        return None
    return message.replace("\0", "").encode("utf-8", "replace").decode()[:_MESSAGE_LIMIT]
