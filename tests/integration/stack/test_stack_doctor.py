"""`nodewise doctor`: a line for each thing, with what to do, and an exit code."""

import os
import signal
from collections import namedtuple
from pathlib import Path

import pytest

from nodewise.core.settings import without_password
from nodewise.stack import checkup
from nodewise.stack import home as homes
from nodewise.stack.doctor import examine
from nodewise.stack.findings import Finding, Level
from tests.support.stack import Foreground, fake_services, run_command
from tests.support.waiting import wait_until

Usage = namedtuple("Usage", ["total", "used", "free"])


def findings(home: Path) -> dict[str, Finding]:
    return {finding.subject: finding for finding in examine(home, {})}


def test_a_machine_where_nothing_runs_is_fine(tmp_path: Path) -> None:
    done = run_command("doctor", "--home", str(tmp_path / "home"))
    assert done.returncode == 0
    assert "never started here" in done.stdout
    assert not (tmp_path / "home").exists()


def test_a_full_disk_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(homes.shutil, "disk_usage", lambda _path: Usage(1, 1, 0))
    assert findings(tmp_path)["disk"].level is Level.FAIL


def test_a_state_that_cannot_be_read_fails_with_advice(tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text("{")
    assert findings(tmp_path)["stack"].level is Level.FAIL
    assert "delete that file" in findings(tmp_path)["stack"].line()


def test_a_running_stack_and_then_a_dead_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    up = Foreground(home, fake_services(tmp_path / "fake"))
    try:
        state = up.wait_ready()
        well = findings(home)
        assert {well[name].level for name in ("stack", "scheduler", "database", "redis", "api", "nodes")} == {
            Level.OK
        }
        assert without_password(state.database_url) in well["database"].line()
        assert without_password(state.redis_url) in well["redis"].line()
        assert state.api_url in well["api"].line()
        assert state.monitor_url in well["monitor"].line()
        assert state.store_url in well["store"].line()
        cordoned = {"name": "n1", "state": "READY", "cordoned_at": "2030-01-31T12:00:00Z", "observation": {}}
        with monkeypatch.context() as patched:
            patched.setattr(checkup, "nodes", lambda *_: [cordoned])
            assert "cordoned, so taking nothing new: n1" in findings(home)["nodes"].line()
        # A supervisor that hangs restarts nothing.
        up.process.send_signal(signal.SIGSTOP)
        os.kill(state.processes["scheduler"].id.pid, signal.SIGKILL)
        wait_until(
            lambda: findings(home)["scheduler"].level is Level.FAIL, 10, "the dead scheduler to be seen"
        )
        up.process.kill()
        up.process.wait()
        ill = run_command("doctor", "--home", str(home))
        assert ill.returncode == 1
        assert "its supervisor is gone; `nodewise down` cleans up" in ill.stdout
    finally:
        up.stop()
        run_command("down", "--home", str(home))
    assert "not running" in findings(home)["stack"].text
    assert findings(home)["ports"].level is Level.OK
