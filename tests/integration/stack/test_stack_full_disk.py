import os
import signal
from pathlib import Path

from tests.support.stack import Foreground, alive, fake_services, run_command
from tests.support.waiting import wait_until


def test_a_state_that_cannot_be_written_does_not_end_what_runs(tmp_path: Path) -> None:
    """As on a full disk: whoever frees it must find the stack alive."""
    home = tmp_path / "home"
    up = Foreground(home, fake_services(tmp_path / "fake"))
    try:
        state = up.wait_ready()
        in_the_way = home / f"stack.json.{up.process.pid}"
        in_the_way.mkdir()
        os.kill(state.processes["scheduler"].id.pid, signal.SIGKILL)
        wait_until(lambda: "the stack goes on" in up.output, 10, "a line about it")
        assert up.process.poll() is None
        others = {name: runs for name, runs in alive(state).items() if name != "scheduler"}
        assert all(others.values())
        in_the_way.rmdir()
    finally:
        up.stop()
        run_command("down", "--home", str(home))
