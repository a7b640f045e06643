import signal
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nodewise.stack.process import ProcessId
from nodewise.stack.state import Phase, ProcessState, StackState, load_state, save_state, state_path
from tests.support.stack import read_json


def running() -> StackState:
    process = ProcessState(
        id=ProcessId(pid=42, created=1.5), stop_signal=int(signal.SIGINT), port=7000, restarts=2
    )
    return StackState(
        phase=Phase.RUNNING,
        api_url="http://127.0.0.1:7001",
        monitor_url="http://127.0.0.1:7002",
        database_url="postgresql://u:secret@127.0.0.1:7003/nodewise",
        redis_url="redis://127.0.0.1:7004/0",
        store_url="file:///s",
        started_at=datetime(2026, 1, 2, tzinfo=UTC),
        supervisor=ProcessId(pid=41, created=1.0),
        processes={"api": process},
        ports={"api": 7001},
    )


def test_state_survives_the_file(tmp_path: Path) -> None:
    save_state(tmp_path, running())
    assert load_state(tmp_path) == running()


def test_the_file_has_what_clients_read(tmp_path: Path) -> None:
    save_state(tmp_path, running())
    told = read_json(state_path(tmp_path))
    assert told["api_url"] == "http://127.0.0.1:7001"
    assert told["supervisor_pid"] == 41
    assert told["processes"]["api"]["pid"] == 42  # type: ignore[index]


def test_only_its_owner_may_read_the_passwords(tmp_path: Path) -> None:
    save_state(tmp_path, running())
    assert state_path(tmp_path).stat().st_mode & 0o077 == 0


def test_saving_leaves_no_other_file(tmp_path: Path) -> None:
    save_state(tmp_path, running())
    save_state(tmp_path, running().stopped())
    assert [path.name for path in tmp_path.iterdir()] == ["stack.json"]


def test_a_stopped_stack_keeps_its_addresses_and_no_process() -> None:
    stopped = running().stopped()
    assert stopped.phase is Phase.STOPPED
    assert stopped.supervisor is None
    assert stopped.processes == {}
    assert stopped.ports == {"api": 7001}


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"phase": "odd"}'])
def test_a_file_that_cannot_be_read_counts_as_none(tmp_path: Path, text: str) -> None:
    state_path(tmp_path).write_text(text)
    assert load_state(tmp_path) is None
