"""Runners that wait for their task, in a real agent: no task can tell, none is left, and the agent does without where it must."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

from nodewise.core.lifecycle import AttemptState
from tests.support.agents import AgentProcess, job, key
from tests.support.waiting import wait_until

WORLD = """
def step(report: str):
    import ctypes, json, os, random, signal, sys, tempfile, threading
    death = ctypes.c_int()
    ctypes.CDLL(None).prctl(2, ctypes.byref(death))
    adopts = ctypes.c_int()
    ctypes.CDLL(None).prctl(37, ctypes.byref(adopts))
    with open("/proc/self/status") as status:
        lines = dict(line.rstrip("\\n").split(":\\t", 1) for line in status)
    world = {
        "folder": os.getcwd(), "environment": dict(os.environ), "path": sys.path, "arguments": sys.argv[1:],
        "input": sys.stdin.read(), "cores": sorted(os.sched_getaffinity(0)), "nice": os.nice(0),
        "leads": os.getsid(0) == os.getpid() == os.getpgid(0), "parent": os.getppid(), "open": sorted(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(), "temporary": tempfile.gettempdir() == os.environ["TMPDIR"],
        "signals": [lines[name] for name in ("SigBlk", "SigIgn", "SigCgt")], "umask": lines["Umask"],
        "death": death.value, "adopts": adopts.value, "modules": "nodewise.core" in sys.modules,
    }
    with open(report, "w") as file:
        json.dump({"world": world, "pid": os.getpid(), "chance": random.random()}, file)
"""


def seen(agent: AgentProcess, path: str, report: Path) -> dict[str, Any]:
    agent.submit(job(WORLD, key=key(path), parameters={"report": str(report)}))
    assert agent.end_of(key(path)).state is AttemptState.SUCCEEDED
    found: dict[str, Any] = json.loads(report.read_text())
    for name in ("TMPDIR",):
        assert found["world"]["environment"].pop(name)
    return json.loads(json.dumps(found).replace(f"/{path}/", "/PATH/"))  # type: ignore[no-any-return]


def waiting(agent: AgentProcess, *, besides: int = 0) -> list[psutil.Process]:
    """The nursery (another one than `besides`) and a runner that waits, once they are there."""

    def look() -> list[psutil.Process]:
        children = psutil.Process(agent.pid).children()
        found = sorted(
            (one for one in children if "--fork" in one.cmdline()), key=lambda one: one.create_time()
        )
        return found if len(found) > 1 and found[0].pid != besides else []

    return wait_until(look, 30, "a nursery and a runner")


def test_a_task_finds_what_it_would_find_in_a_process_of_its_own(
    stopped_agent: AgentProcess, tmp_path: Path
) -> None:
    agent, report = stopped_agent, tmp_path / "world.json"
    agent.start("--spares", "0")
    own = seen(agent, "own", report)
    assert own["world"]["parent"] == agent.pid
    agent.terminate()

    agent.start("--spares", "1")
    found = []
    for path in ("one", "two"):
        runner = waiting(agent)[1]
        found.append(seen(agent, path, report))
        assert found[-1]["pid"] == runner.pid
    own["world"]["parent"] = agent.pid
    assert [one["world"] for one in found] == [own["world"]] * 2
    assert found[0]["chance"] != found[1]["chance"]


def test_a_nursery_that_dies_is_replaced_and_tasks_run_meanwhile(agent: AgentProcess, tmp_path: Path) -> None:
    nursery = waiting(agent)[0]
    nursery.kill()
    for path in ("one", "two", "three"):
        seen(agent, path, tmp_path / "world.json")
    waiting(agent, besides=nursery.pid)


def test_a_nursery_that_does_not_answer_holds_up_no_task(agent: AgentProcess, tmp_path: Path) -> None:
    nursery = waiting(agent)[0]
    nursery.suspend()
    # The one that waits runs the first; to make another is being waited for, in vain, while the others run.
    for path in ("one", "two"):
        seen(agent, path, tmp_path / "world.json")
    assert nursery.status() == psutil.STATUS_STOPPED, "the tasks waited until it was given up"


def test_runners_end_with_an_agent_that_is_killed(agent: AgentProcess) -> None:
    runners = waiting(agent)
    agent.kill()
    assert psutil.wait_procs(runners, timeout=10)[1] == []


BIRTHS = """
import os, sys
from pathlib import Path
from nodewise.agent import orphans
from nodewise.agent.nursery import Nursery
orphans.adopt()
nursery = Nursery(Path(sys.argv[1]))
for _ in range(20):
    runner = nursery.bear()
    # Fails for what is no child of ours.
    os.waitid(os.P_PID, runner.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    runner.stdin.close()
    runner.wait(20)
    orphans.gone(runner.pid)
nursery.stop()
"""


def test_a_runner_can_be_waited_for_as_soon_as_it_is_there(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BIRTHS, str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
