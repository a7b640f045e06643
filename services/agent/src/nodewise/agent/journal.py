"""The agent's memory on disk: survives `kill -9`, so that no end is lost and nothing keeps running unseen."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypeVar

import psutil
import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from nodewise.agent.folder import AttemptFolder
from nodewise.agent.processes import end_tree, marked_processes
from nodewise.core.errors import StoreError
from nodewise.core.messages import AttemptReport
from nodewise.core.model.ids import AttemptKey
from nodewise.core.store.addresses import safe_segment
from nodewise.core.store.trees import open_regular

T = TypeVar("T", bound=BaseModel)

_PROCESS: Final = "process.json"
_RESULT: Final = "result.json"
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
        """The ends of an earlier life that nobody confirmed. What was still running then is killed and removed."""
        reports = []
        for folder in list(self._folders()):
            report = _read(folder / _RESULT, AttemptReport)
            if report is not None and self.folder(report.key) == folder:
                reports.append(report)
            else:
                _kill_leftovers(folder)
                _remove(folder)
        return reports

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
