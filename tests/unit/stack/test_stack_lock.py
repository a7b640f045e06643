import subprocess
import sys
from pathlib import Path

import pytest

from nodewise.stack.lock import AlreadyRunning, SupervisorLock, forget_pid_file, running_supervisor

HOLD = "import sys, pathlib; from nodewise.stack.lock import SupervisorLock\nwith SupervisorLock(pathlib.Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"


def test_a_second_supervisor_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert running_supervisor(tmp_path) == holder.pid
        with (
            pytest.raises(AlreadyRunning, match=f"pid {holder.pid}.*nodewise down"),
            SupervisorLock(tmp_path),
        ):
            pass
        holder.kill()
    assert running_supervisor(tmp_path) is None


def test_a_stale_pid_file_does_not_count_even_when_its_pid_lives(tmp_path: Path) -> None:
    (tmp_path / "supervisor.pid").write_text("1\n")
    assert running_supervisor(tmp_path) is None
    with SupervisorLock(tmp_path):
        pass


def test_the_pid_file_goes_with_its_holder(tmp_path: Path) -> None:
    with SupervisorLock(tmp_path):
        assert (tmp_path / "supervisor.pid").exists()
    assert not (tmp_path / "supervisor.pid").exists()


def test_a_stale_pid_file_can_be_forgotten(tmp_path: Path) -> None:
    (tmp_path / "supervisor.pid").write_text("123456\n")
    forget_pid_file(tmp_path)
    assert not (tmp_path / "supervisor.pid").exists()


def test_nothing_runs_where_there_is_no_folder(tmp_path: Path) -> None:
    assert running_supervisor(tmp_path / "none") is None
