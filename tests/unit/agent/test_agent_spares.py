"""Runners started in advance, where none can be forked (for that, see `test_agent_runners.py` of the integration tests)."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from nodewise.agent.folder import AttemptFolder
from nodewise.agent.processes import MARK, marked_below
from nodewise.agent.spares import Spare, Spares
from nodewise.agent.staging import inherited
from nodewise.agent.supervision import Limits, TaskProcess, begin
from tests.support.waiting import wait_until

WORLD = """
def look(report: str):
    import json, os, signal, sys, tempfile, time
    print("said")
    world = {
        "folder": os.getcwd(),
        "environment": dict(os.environ),
        "path": sys.path,
        "arguments": sys.argv[1:],
        "input": sys.stdin.read(),
        "cores": sorted(os.sched_getaffinity(0)),
        "nice": os.nice(0),
        "leads": os.getsid(0) == os.getpid() == os.getpgid(0),
        "zone": time.tzname,
        "temporary": tempfile.gettempdir(),
        "open": sorted(os.listdir("/proc/self/fd")),
        "sigterm": signal.getsignal(signal.SIGTERM) == signal.SIG_DFL,
    }
    with open(report, "w") as file:
        json.dump(world, file)
"""


@pytest.fixture
def spares(tmp_path: Path) -> Iterator[Spares]:
    spares = Spares(tmp_path / "agent", count=1)
    spares.start()
    yield spares
    spares.stop()
    assert marked_below(tmp_path) == []


def taken(spares: Spares) -> Spare:
    return wait_until(spares.take, 20, "a runner")


def attempt(tmp_path: Path, report: Path, *, core: int) -> AttemptFolder:
    folder = AttemptFolder(tmp_path / "attempt")
    folder.create()
    folder.source.write_text(WORLD)
    executor_input = {
        "inputs": {"parameterValues": {"report": str(report)}},
        "outputs": {"outputFile": str(folder.executor_output)},
    }
    order = {
        "agent_pid": os.getpid(), "cores": [core], "source_path": str(folder.source), "function": "look",
        "error_path": str(folder.error), "peak_path": str(folder.peak), "executor_input": executor_input,
    }  # fmt: skip
    folder.task.write_text(json.dumps(order))
    return folder


def world(folder: AttemptFolder, process: TaskProcess, report: Path) -> dict[str, Any]:
    assert process.wait().exit_code == 0, folder.log.read_text()
    assert folder.log.read_text() == "said\n"
    assert int(folder.peak.read_text()) > 0
    found: dict[str, Any] = json.loads(report.read_text())
    return found


def test_a_task_finds_what_it_would_find_in_a_runner_of_its_own(tmp_path: Path, spares: Spares) -> None:
    report = tmp_path / "world.json"
    core = min(os.sched_getaffinity(0))
    env = {**inherited(os.environ), "TZ": "Asia/Tokyo", "TMPDIR": str(tmp_path), MARK: "theirs"}
    limits = Limits(memory_mib=1000)

    folder = attempt(tmp_path, report, core=core)
    words = [sys.executable, "-m", "nodewise.agent.runner", str(folder.task)]
    own = TaskProcess(
        begin(words, env=env, cwd=folder.work, log=folder.log), marks=[env[MARK]], limits=limits
    )
    expected = world(folder, own, report)
    folder.remove()

    folder = attempt(tmp_path, report, core=core)
    spare = taken(spares)
    assert spare.give(folder.task, env=env, cwd=folder.work, log=folder.log)
    found = world(folder, TaskProcess(spare.popen, marks=[spare.mark], limits=limits), report)
    folder.remove()

    assert found == expected
    assert found["environment"][MARK] == "theirs"
    assert found["cores"] == [core]
    assert found["zone"] == ["JST", "JST"]
    assert found["leads"]


def test_another_takes_its_place(spares: Spares) -> None:
    first, second = taken(spares), taken(spares)
    assert first.popen.pid != second.popen.pid
    for spare in (first, second):
        spare.end()
        assert spare.popen.returncode is not None


def test_one_that_is_gone_does_nothing(tmp_path: Path, spares: Spares) -> None:
    spare = taken(spares)
    psutil.Process(spare.popen.pid).kill()
    spare.popen.wait(10)
    assert not spare.give(tmp_path / "task.json", env={}, cwd=tmp_path, log=tmp_path / "log")
    spare.end()


def test_one_that_is_told_nothing_ends_when_the_agent_does(spares: Spares) -> None:
    spare = taken(spares)
    assert spare.popen.stdin is not None
    spare.popen.stdin.close()
    assert spare.popen.wait(20) == 0


def test_what_an_earlier_life_left_is_ended(tmp_path: Path) -> None:
    mark = tmp_path / "agent" / "spares" / "one"
    left = subprocess.Popen(["sleep", "60"], env={**os.environ, MARK: str(mark)})
    other = subprocess.Popen(["sleep", "60"], env={**os.environ, MARK: str(tmp_path / "agent" / "attempts")})
    try:
        wait_until(lambda: len(marked_below(tmp_path)) == 2, 10, "both marks")
        Spares(tmp_path / "agent", count=0).start()
        assert left.wait(10) < 0
        assert other.poll() is None
    finally:
        for process in (left, other):
            process.kill()
            process.wait(10)


def test_none_is_kept_where_none_is_wanted(tmp_path: Path) -> None:
    spares = Spares(tmp_path, count=0)
    spares.start()
    assert spares.take() is None
    spares.stop()


FORKS = """
def look(report: str):
    import os, subprocess, time
    started = subprocess.Popen(["sleep", "60"], start_new_session=True)
    forked = os.fork()
    if forked == 0:
        os.setsid()
        time.sleep(60)
        os._exit(0)
    with open(report, "w") as file:
        file.write(f"{started.pid} {forked}")
    print("said", flush=True)
    while not os.path.exists(report + ".seen"):
        time.sleep(0.02)
"""


def test_what_its_task_left_running_ends_with_it(tmp_path: Path, spares: Spares) -> None:
    report = tmp_path / "pids"
    folder = attempt(tmp_path, report, core=min(os.sched_getaffinity(0)))
    folder.source.write_text(FORKS)
    spare = taken(spares)
    env = {**inherited(os.environ), "TMPDIR": str(tmp_path), MARK: str(folder.root)}
    assert spare.give(folder.task, env=env, cwd=folder.work, log=folder.log)
    process = TaskProcess(spare.popen, marks=[spare.mark, str(folder.root)], limits=Limits(memory_mib=1000))
    text = wait_until(lambda: report.exists() and report.read_text(), 20, "what it started")
    left = [psutil.Process(int(pid)) for pid in text.split()]
    process.check(0.0)
    report.with_name("pids.seen").touch()
    assert process.wait().exit_code == 0
    assert psutil.wait_procs(left, timeout=10)[1] == []
    folder.remove()
