"""The life of an agent: duplicates, kill -9, an orderly stop, a broker that comes late, its own metrics."""

import os
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
import redis

from nodewise.core.lifecycle import AttemptState
from nodewise.core.messages import START_JOBS, Heartbeat, StartJobs
from nodewise.core.model.component import ValueKind
from nodewise.core.model.decision import ReasonCode
from nodewise.core.model.job import Job
from tests.support.agents import NODE, AgentProcess, alive, job, key
from tests.support.waiting import wait_until

MARK = """
def step(marker: str) -> int:
    with open(marker, "a") as file:
        file.write("ran\\n")
    return 1
"""
SLEEP = """
def step(marker: str):
    import os, time
    with open(marker, "a") as file:
        file.write(f"{os.getpid()}\\n")
    time.sleep(60)
"""


def marking(marker: Path, **rest: object) -> Job:
    return job(MARK, parameters={"marker": str(marker)}, outputs={"Output": ValueKind.NUMBER_INTEGER}, **rest)  # type: ignore[arg-type]


def pids_in(marker: Path) -> list[int]:
    wait_until(lambda: marker.exists() and marker.read_text(), 20, "the task's pid")
    return [int(line) for line in marker.read_text().split()]


def test_a_heartbeat_describes_the_node(agent: AgentProcess) -> None:
    heartbeat = agent.ear.wait_for(lambda heartbeat: heartbeat)
    assert heartbeat.node.name == NODE
    assert heartbeat.node.capacity.memory_mib == 1024
    assert heartbeat.node.capacity.millicores >= 1000
    assert heartbeat.node.architecture in ("amd64", "arm64")
    assert heartbeat.metrics_url is None
    later = agent.ear.wait_for(lambda other: other if other.sequence > heartbeat.sequence else None)
    assert later.boot_id == heartbeat.boot_id


def test_the_same_job_twice_runs_once(agent: AgentProcess, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    one = marking(marker)
    agent.submit(one, one)
    agent.submit(one)
    agent.end_of(key())
    agent.submit(one)
    agent.forget(key())
    agent.ear.wait_for(lambda heartbeat: True if not heartbeat.attempts else None)
    agent.submit(one)
    agent.submit(marking(marker, key=key("other")))
    agent.end_of(key("other"))
    assert marker.read_text() == "ran\nran\n"


def test_a_higher_attempt_ends_the_older_one_and_a_lower_is_ignored(
    agent: AgentProcess, tmp_path: Path
) -> None:
    agent.submit(job(SLEEP, key=key(attempt=2), parameters={"marker": str(tmp_path / "old")}))
    (old,) = pids_in(tmp_path / "old")
    agent.submit(marking(tmp_path / "lower", key=key(attempt=1)))
    agent.submit(marking(tmp_path / "higher", key=key(attempt=3)))
    assert agent.end_of(key(attempt=3)).state is AttemptState.SUCCEEDED
    assert not alive(old)
    assert not (tmp_path / "lower").exists()


def test_a_forgotten_attempt_leaves_nothing_on_disk(agent: AgentProcess, tmp_path: Path) -> None:
    agent.submit(marking(tmp_path / "marker"))
    agent.end_of(key())
    assert list((agent.work_dir / "attempts").iterdir())
    agent.forget(key())
    wait_until(lambda: not list((agent.work_dir / "attempts").iterdir()), 10, "an empty folder")


def test_forgetting_a_running_attempt_ends_it_unheard(agent: AgentProcess, tmp_path: Path) -> None:
    agent.submit(job(SLEEP, parameters={"marker": str(tmp_path / "pid")}))
    (pid,) = pids_in(tmp_path / "pid")
    agent.forget(key())
    wait_until(lambda: not alive(pid), 10, "the end of the task")
    agent.ear.drain()
    assert agent.ear.wait_for(lambda heartbeat: heartbeat).attempts == ()


def test_after_kill_9_ends_are_told_again_and_leftovers_are_gone(agent: AgentProcess, tmp_path: Path) -> None:
    agent.submit(marking(tmp_path / "marker", key=key("done")))
    first = agent.end_of(key("done"))
    agent.submit(job(SLEEP, key=key("running"), parameters={"marker": str(tmp_path / "pid")}))
    (pid,) = pids_in(tmp_path / "pid")
    agent.running(key("running"))
    agent.kill()
    wait_until(lambda: not alive(pid), 5, "the task to die with its agent")
    agent.ear.drain()

    agent.start()

    heartbeat = agent.ear.wait_for(lambda heartbeat: heartbeat)
    told, killed = heartbeat.attempts
    assert told == first
    assert (killed.key, killed.state, killed.reason) == (
        key("running"), AttemptState.FAILED, ReasonCode.AGENT_ERROR,
    )  # fmt: skip
    left = {path.name for path in (agent.work_dir / "attempts").glob("*/running/*/*")}
    assert "result.json" in left
    assert left.isdisjoint({"work", "tmp", "inputs", "outputs", "parameters", "dataset"})


def test_a_job_that_comes_again_after_kill_9_is_not_run_again(agent: AgentProcess, tmp_path: Path) -> None:
    again = job(SLEEP, key=key("running"), parameters={"marker": str(tmp_path / "pid")})
    agent.submit(again)
    (pid,) = pids_in(tmp_path / "pid")
    agent.kill()
    wait_until(lambda: not alive(pid), 5, "the task to die with its agent")
    agent.ear.drain()
    agent.start()
    agent.submit(again)
    agent.submit(marking(tmp_path / "marker", key=key("later")))
    assert agent.end_of(key("later")).state is AttemptState.SUCCEEDED
    assert agent.end_of(key("running")).reason is ReasonCode.AGENT_ERROR
    assert pids_in(tmp_path / "pid") == [pid]


def test_a_new_start_has_a_new_boot_id(agent: AgentProcess) -> None:
    before = agent.ear.wait_for(lambda heartbeat: heartbeat.boot_id)
    agent.kill()
    agent.start()
    agent.ear.wait_for(lambda heartbeat: True if heartbeat.boot_id != before else None)


def test_sigterm_ends_tasks_and_says_goodbye(agent: AgentProcess, tmp_path: Path) -> None:
    agent.submit(job(SLEEP, parameters={"marker": str(tmp_path / "pid")}))
    (pid,) = pids_in(tmp_path / "pid")
    agent.submit(marking(tmp_path / "marker", key=key("done")))
    agent.end_of(key("done"))

    assert agent.terminate() == 0

    assert not alive(pid)
    last = agent.ear.drain()[-1]
    assert last.leaving
    assert [report.key.path for report in last.attempts] == ["done"]
    agent.start()
    back = agent.ear.wait_for(lambda heartbeat: heartbeat)
    assert [report.key.path for report in back.attempts] == ["done"]


def test_sigterm_right_after_the_start_is_orderly(agent: AgentProcess) -> None:
    agent.ear.wait_for(lambda heartbeat: heartbeat)
    assert agent.terminate() == 0
    assert agent.ear.drain()[-1].leaving


def test_sigterm_ends_an_agent_whose_broker_never_came(stopped_agent: AgentProcess) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        stopped_agent.start(REDIS_URL=f"redis://127.0.0.1:{unused.getsockname()[1]}/0")
        wait_until(lambda: "waiting for the broker" in stopped_agent.log.read_text(), 10, "the log line")
        assert stopped_agent.terminate() == 0


def test_a_flushed_broker_loses_nothing(agent: AgentProcess, redis_url: str, tmp_path: Path) -> None:
    agent.ear.wait_for(lambda heartbeat: heartbeat)
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    agent.submit(marking(tmp_path / "marker"))
    assert agent.end_of(key()).state is AttemptState.SUCCEEDED


def test_metrics_carry_node_exporters_names(stopped_agent: AgentProcess) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    stopped_agent.start(NODEWISE_METRICS_PORT=str(port))
    url = stopped_agent.ear.wait_for(lambda heartbeat: heartbeat.metrics_url)
    assert url == f"http://127.0.0.1:{port}/metrics"
    with urllib.request.urlopen(url) as response:
        text = response.read().decode()
    samples = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(samples["node_memory_MemTotal_bytes"]) == 1024 << 20
    assert 'node_cpu_seconds_total{cpu="0",mode="idle"}' in text
    for name in ("node_memory_MemAvailable_bytes", "node_load1", "nodewise_agent_running_tasks"):
        assert f"\n{name} " in text


def test_two_agents_cannot_share_a_work_directory(agent: AgentProcess) -> None:
    agent.ear.wait_for(lambda heartbeat: heartbeat)
    second = AgentProcess(agent.settings.redis_url, agent.settings.store_url, agent.work_dir)
    try:
        second.log = second.log.with_name("second.log")
        second.start()
        assert second.wait() == 2
        assert "another agent uses it" in second.log.read_text()
    finally:
        second.close()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--cores", "x"], "--cores 'x': give numbers such as 0,1 or 0-3"),
        (["--cores", "4096"], "--cores '4096': this machine gives us"),
        (["--label", "novalue"], "--label 'novalue': give key=value"),
        (["--name", "a/b"], "--name 'a/b': use letters"),
        (["--work-dir", "/proc/none/at/all"], "--work-dir /proc/none/at/all: "),
    ],
)
def test_a_wrong_option_gets_one_clear_line(arguments: list[str], line: str) -> None:
    command = [sys.executable, "-P", "-m", "nodewise.agent", *arguments]
    env = {**os.environ, "REDIS_URL": "redis://127.0.0.1:1/0", "NODEWISE_STORE_URL": "memory://store"}
    env["NODEWISE_NODE_KEYS"] = "off"
    result = subprocess.run(command, env=env, capture_output=True, text=True, timeout=30, check=False)
    assert result.returncode == 2
    assert result.stderr.startswith(f"nodewise agent: {line}")
    assert len(result.stderr.splitlines()) == 1


def test_kfp_stays_out_of_the_agent() -> None:
    code = "import sys, nodewise.agent.worker; print([m for m in sys.modules if m.split('.')[0] == 'kfp'])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


def test_the_runner_imports_little() -> None:
    code = (
        "import sys, nodewise.agent.runner, kfp.dsl.executor;"
        "print([m for m in sys.modules if m in ('pydantic', 'celery', 'psutil', 'fsspec', 'nodewise.core', 'kfp.compiler')])"
    )
    env = {**os.environ, "_KFP_RUNTIME": "true"}
    result = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


def test_changes_are_told_at_once(stopped_agent: AgentProcess, tmp_path: Path) -> None:
    stopped_agent.start(NODEWISE_HEARTBEAT_SECONDS="60")

    def first(heartbeat: Heartbeat) -> bool | None:
        return True

    stopped_agent.ear.wait_for(first)
    stopped_agent.submit(marking(tmp_path / "marker"))
    assert stopped_agent.end_of(key(), 15).state is AttemptState.SUCCEEDED


def test_a_store_that_fails_for_a_moment_costs_only_time(agent: AgentProcess, tmp_path: Path) -> None:
    store = Path(agent.store.url.removeprefix("file://"))
    one = marking(tmp_path / "marker")
    agent.ear.wait_for(lambda heartbeat: heartbeat)
    objects, away = store / "file", store / "away"
    [ref] = agent.stored(one)
    objects.rename(away)
    objects.write_text("a file where a directory should be")
    agent.send(START_JOBS, StartJobs(jobs=(ref,)))
    wait_until(lambda: "the store failed; trying again" in agent.log.read_text(), 10, "the first try")
    objects.unlink()
    away.rename(objects)
    assert agent.end_of(key()).state is AttemptState.SUCCEEDED


def test_what_a_canceled_task_said_is_stored(agent: AgentProcess) -> None:
    agent.submit(job("def step():\n    import time\n    print('so far', flush=True)\n    time.sleep(60)\n"))
    agent.running(key())
    log = agent.work_dir / "attempts"
    wait_until(
        lambda: any(b"so far" in path.read_bytes() for path in log.rglob("*log*") if path.is_file()),
        20,
        "words",
    )
    agent.cancel(key())
    end = agent.end_of(key())
    assert end.state is AttemptState.CANCELED
    assert end.log_key is not None
    assert b"so far" in (agent.store.read_key(end.log_key) or b"")
    assert "could not be stored" not in agent.log.read_text()
