"""The agent's memory on disk: survives `kill -9`, so that no end is lost and nothing keeps running unseen."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

import psutil
import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from nodewise.agent.folder import AttemptFolder
from nodewise.agent.processes import end_tree, marked_processes
from nodewise.core.errors import StoreError
from nodewise.core.lifecycle import AttemptState
from nodewise.core.messages import AttemptReport
from nodewise.core.model.decision import ReasonCode
from nodewise.core.model.ids import AttemptKey
from nodewise.core.store.addresses import safe_segment
from nodewise.core.store.trees import open_regular

T = TypeVar("T", bound=BaseModel)

_PROCESS: Final = "process.json"
_RESULT: Final = "result.json"
_BEGUN: Final = "begun.json"
_KILLED: Final = "its agent was killed while it was under way"
_log = structlog.get_logger()


class ProcessRecord(BaseModel):
    """The process of a running attempt. The creation time tells it from a later one with the same number."""

    model_config = ConfigDict(frozen=True)
    pid: int
    created_at: float


class Journal:
    """One folder per attempt under the agent's work directory."""

    def __init__(self, work_dir: Path) -> None:
        self._attempts = work_dir / "attempts"
        self._attempts.mkdir(parents=True, exist_ok=True)

    def folder(self, key: AttemptKey) -> Path:
        """Where the attempt keeps all it has; another one for every other key, whatever the key says."""
        return self._attempts / safe_segment(key.run_id) / safe_segment(key.path) / str(key.attempt)

    def begun(self, key: AttemptKey) -> None:
        """Remember that from now on something of the attempt may have run: after `kill -9` it is given up, not run again.

        Raises:
            OSError: The disk does not take it.
        """
        _write(self.folder(key) / _BEGUN, AttemptReport(key=key, state=AttemptState.PLACED).model_dump_json())

    def started(self, key: AttemptKey, record: ProcessRecord) -> None:
        """Remember the attempt's process."""
        _write(self.folder(key) / _PROCESS, record.model_dump_json())

    def ended(self, report: AttemptReport) -> None:
        """Remember the attempt's end; only then may it be told to anyone.

        Raises:
            OSError: The disk does not take it.
        """
        folder = self.folder(report.key)
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / _RESULT, report.model_dump_json())

    def remove(self, key: AttemptKey) -> None:
        """Delete what the attempt left, and the folders of its run that are empty now."""
        folder = self.folder(key)
        _remove(folder)
        for parent in (folder.parent, folder.parent.parent):
            try:
                parent.rmdir()
            except OSError:
                return

    def recover(self) -> list[AttemptReport]:
        """The ends of an earlier life that nobody confirmed. What was still under way then is killed, and has ended now.

        That end has to be told, too: who never heard that the attempt was accepted sends its job again.
        """
        reports = []
        for folder in list(self._folders()):
            report = self._report(folder, _RESULT)
            if report is None:
                report = self._given_up(folder)
            if report is not None:
                reports.append(report)
        return reports

    def _report(self, folder: Path, name: str) -> AttemptReport | None:
        """What is written there of the attempt whose folder it is."""
        report = _read(folder / name, AttemptReport)
        return report if report is not None and self.folder(report.key) == folder else None

    def _given_up(self, folder: Path) -> AttemptReport | None:
        _kill_leftovers(folder)
        begun = self._report(folder, _BEGUN)
        if begun is None:
            _remove(folder)
            return None
        end = AttemptReport(
            key=begun.key,
            state=AttemptState.FAILED,
            reason=ReasonCode.AGENT_ERROR,
            message=_KILLED,
            finished_at=datetime.now(UTC),
        )
        try:
            # First, so that another kill does not make it forgotten; the folder goes when the end is confirmed.
            self.ended(end)
            AttemptFolder(folder).clear()
        except OSError as error:
            _log.warning(
                "that an attempt was given up could not be kept", attempt=str(end.key), error=str(error)
            )
        return end

    def _folders(self) -> Iterator[Path]:
        return (path for path in self._attempts.glob("*/*/*") if path.is_dir())


def _write(path: Path, text: str) -> None:
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    partial.write_text(text)
    partial.replace(path)


def _remove(folder: Path) -> None:
    """Remove an attempt's folder as far as it goes: what a task left there must not stop the agent."""
    try:
        AttemptFolder(folder).remove()
    except (OSError, RecursionError) as error:
        _log.warning("an attempt's folder could not be removed", path=str(folder), error=str(error))


def _read(path: Path, kind: type[T]) -> T | None:
    try:
        # The task can reach this folder: a pipe in it would keep the agent from starting.
        with open_regular(path) as file:
            return kind.model_validate_json(file.read())
    except FileNotFoundError:
        return None
    except (OSError, StoreError, ValidationError) as error:
        _log.warning("a journal entry is not readable", path=str(path), error=str(error))
        return None


def _kill_leftovers(folder: Path) -> None:
    record = _read(folder / _PROCESS, ProcessRecord)
    if record is not None:
        try:
            process = psutil.Process(record.pid)
            if process.create_time() == record.created_at:
                end_tree(record.pid)
        except psutil.Error:
            pass
    for process in marked_processes(str(folder)):
        end_tree(process.pid)
