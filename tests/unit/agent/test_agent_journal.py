import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from nodewise.agent.journal import Journal, ProcessRecord
from nodewise.agent.processes import MARK
from nodewise.core.lifecycle import AttemptState
from nodewise.core.messages import AttemptReport
from nodewise.core.model.decision import ReasonCode
from nodewise.core.model.ids import AttemptKey, RunId, TaskPath


def key(path: str = "train", attempt: int = 1) -> AttemptKey:
    return AttemptKey(run_id=RunId("run"), path=TaskPath(path), attempt=attempt)


def sleeper(*, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
    process = subprocess.Popen(command, env={**os.environ, **(env or {})}, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def ended(process: subprocess.Popen[bytes]) -> int:
    assert process.stdout is not None
    process.stdout.close()
    return process.wait(10)


@pytest.mark.parametrize("path", ["../../etc", "a/b", "loop[0].train", ".", "x" * 400])
def test_a_folder_stays_inside_whatever_the_key_says(tmp_path: Path, path: str) -> None:
    folder = Journal(tmp_path).folder(key(path))
    assert folder.resolve().relative_to(tmp_path.resolve() / "attempts").parts[0] == "run"
    assert len(folder.relative_to(tmp_path).parts) == 4


def test_ends_come_back_after_a_restart(tmp_path: Path) -> None:
    report = AttemptReport(key=key("a/[0]"), state=AttemptState.FAILED, message="no")
    Journal(tmp_path).ended(report)
    assert Journal(tmp_path).recover() == [report]


def test_what_has_no_readable_end_is_removed(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for path, text in (("none", None), ("torn", '{"key": {"run'), ("other", "{}")):
        folder = journal.folder(key(path))
        folder.mkdir(parents=True)
        if text is not None:
            (folder / "result.json").write_text(text)
    assert journal.recover() == []
    assert list((tmp_path / "attempts").glob("*/*/*")) == []


def test_what_was_under_way_has_ended_and_says_so_until_it_is_confirmed(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.folder(key()).mkdir(parents=True)
    journal.begun(key())
    (found,) = journal.recover()
    assert (found.key, found.state, found.reason) == (key(), AttemptState.FAILED, ReasonCode.AGENT_ERROR)
    assert Journal(tmp_path).recover() == [found]
    journal.remove(key())
    assert Journal(tmp_path).recover() == []


def test_a_folder_that_names_another_attempt_is_removed(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.folder(key()).mkdir(parents=True)
    journal.begun(key())
    journal.folder(key()).rename(journal.folder(key()).with_name("2"))
    assert journal.recover() == []


def test_a_process_that_was_left_running_is_killed(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.folder(key()).mkdir(parents=True)
    process = sleeper()
    journal.started(
        key(), ProcessRecord(pid=process.pid, created_at=psutil.Process(process.pid).create_time())
    )
    journal.recover()
    assert ended(process) == -9


def test_another_process_with_the_same_number_is_left_alone(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.folder(key()).mkdir(parents=True)
    process = sleeper()
    journal.started(key(), ProcessRecord(pid=process.pid, created_at=1.0))
    journal.recover()
    assert process.poll() is None
    process.terminate()
    assert ended(process) == -15


def test_a_marked_descendant_is_killed_wherever_it_went(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    folder = journal.folder(key())
    folder.mkdir(parents=True)
    process = sleeper(env={MARK: str(folder)})
    journal.recover()
    assert ended(process) == -9


def test_removing_takes_the_empty_folders_of_the_run_along(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for name in ("a", "b"):
        journal.ended(AttemptReport(key=key(name), state=AttemptState.SUCCEEDED))
    journal.remove(key("a"))
    assert [path.name for path in (tmp_path / "attempts" / "run").iterdir()] == ["b"]
    journal.remove(key("b"))
    journal.remove(key("b"))
    assert list((tmp_path / "attempts").iterdir()) == []
