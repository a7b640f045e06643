"""Jobs through a real agent process and a real broker: what they make, and how they end."""

import os
import re
import signal
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from nodewise.core.lifecycle import AttemptState
from nodewise.core.model.artifact import ArtifactRef
from nodewise.core.model.component import ValueKind
from nodewise.core.model.decision import ReasonCode
from tests.support.agents import AgentProcess, alive, job, key
from tests.support.waiting import wait_until

ADD = "def step(a: int, b: float = 0.5) -> float:\n    return a + b\n"
SLEEP = """
def step(marker: str):
    import os, time
    with open(marker, "a") as file:
        file.write(f"{os.getpid()}\\n")
    time.sleep(60)
"""


def pid_in(marker: Path) -> int:
    return int(wait_until(lambda: marker.exists() and marker.read_text(), 20, "the task's pid"))


@pytest.fixture
def agent(shared_agent: AgentProcess) -> AgentProcess:
    """One for all tests that only give it something to do."""
    return shared_agent


def test_a_job_runs_and_its_end_is_reported(agent: AgentProcess) -> None:
    agent.submit(job(ADD, parameters={"a": 3.0, "b": None}, outputs={"Output": ValueKind.NUMBER_DOUBLE}))

    report = agent.end_of(key())

    assert report.state is AttemptState.SUCCEEDED, report.message
    assert report.reason is ReasonCode.FINISHED
    assert report.outputs is not None
    assert report.outputs.parameters == {"Output": 3.5}
    assert report.exit_code == 0
    assert report.started_at is not None
    assert report.finished_at is not None
    assert report.finished_at >= report.started_at
    assert 5 <= (report.peak_memory_mib or 0) < 80
    assert (report.cpu_seconds or 0) > 0


@pytest.mark.parametrize("wanted", ["float", "Optional[float]"])
def test_a_large_whole_number_is_a_float_where_the_function_wants_one(
    agent: AgentProcess, wanted: str
) -> None:
    source = f"from typing import Optional\ndef step(x: {wanted}) -> str:\n    return f'{{type(x).__name__}} {{x}}'\n"
    agent.submit(job(source, parameters={"x": 10**23}, outputs={"Output": ValueKind.STRING}))
    outputs = agent.end_of(key()).outputs
    assert outputs is not None
    assert outputs.parameters == {"Output": "float 1e+23"}


def test_artifacts_travel_through_the_store(agent: AgentProcess, tmp_path: Path) -> None:
    make = """
def step(data: Output[Dataset], model: Output[Model], metrics: Output[Metrics], unused: Output[Artifact]):
    import os
    with open(data.path, "w") as file:
        file.write("a,b")
    os.makedirs(os.path.join(model.path, "layers"))
    with open(os.path.join(model.path, "layers", "one"), "w") as file:
        file.write("w")
    model.metadata["framework"] = "none"
    metrics.log_metric("loss", float("nan"))
    metrics.log_metric("accuracy", 0.9)
"""
    titles = {"data": "system.Dataset", "model": "system.Model", "metrics": "system.Metrics"}
    agent.submit(job(make, key=key("make"), artifacts={**titles, "unused": "system.Artifact"}))
    made = agent.end_of(key("make")).outputs
    assert made is not None
    assert made.artifacts["model"].uri.startswith("store://tree/")
    assert made.artifacts["model"].metadata == {"framework": "none"}
    assert made.artifacts["metrics"].metadata == {"loss": "nan", "accuracy": 0.9}
    assert made.artifacts["unused"].size_bytes == 0
    assert agent.store.get_bytes(made.artifacts["unused"].uri) == b""

    use = """
def step(data: Input[Dataset], model: Input[Model]) -> str:
    import os
    with open(data.path) as file:
        text = file.read()
    return text + str(os.listdir(model.path)) + model.metadata["framework"] + data.name
"""
    inputs = {name: made.artifacts[name] for name in ("data", "model")}
    agent.submit(job(use, key=key("use"), inputs=inputs, outputs={"Output": ValueKind.STRING}))
    report = agent.end_of(key("use"))
    assert report.outputs is not None, report.message
    assert report.outputs.parameters == {"Output": "a,b['layers']nonedata"}


def test_a_task_may_change_its_input_without_changing_it_for_others(agent: AgentProcess) -> None:
    uri = agent.store.put_bytes(b"original")
    spoil = """
def step(data: Input[Dataset]) -> str:
    with open(data.path, "r+") as file:
        before = file.read()
        file.write("spoiled")
    return before
"""
    ref = ArtifactRef(name="data", uri=uri, schema_title="system.Dataset")
    for path in ("one", "two"):
        agent.submit(job(spoil, key=key(path), inputs={"data": ref}, outputs={"Output": ValueKind.STRING}))
        outputs = agent.end_of(key(path)).outputs
        assert outputs is not None
        assert outputs.parameters == {"Output": "original"}


def test_the_environment_is_the_tasks_own(agent: AgentProcess) -> None:
    source = """
def step() -> dict:
    import os
    names = ["GREETING", "OMP_NUM_THREADS", "REDIS_URL", "NODEWISE_STORE_URL", "_KFP_RUNTIME", "TRACEPARENT"]
    with open(os.environ["NODEWISE_DATASET"]) as file:
        data = file.read()
    return {**{name: os.environ.get(name) for name in names}, "data": data, "cores": list(os.sched_getaffinity(0))}
"""
    dataset = agent.store.put_bytes(b"rows")
    greeting = {"GREETING": "hello"}
    asked = job(source, outputs={"Output": ValueKind.STRUCT}, dataset_uri=dataset, environment=greeting)
    agent.submit(replace(asked, traceparent="00-trace-span-01"))
    report = agent.end_of(key())
    assert report.outputs is not None, report.message
    assert report.outputs.parameters["Output"] == {
        "GREETING": "hello", "OMP_NUM_THREADS": "1", "REDIS_URL": None, "NODEWISE_STORE_URL": None,
        "_KFP_RUNTIME": "true", "TRACEPARENT": "00-trace-span-01", "data": "rows", "cores": sorted(os.sched_getaffinity(0)),
    }  # fmt: skip


def test_tasks_stay_on_the_agents_cores(stopped_agent: AgentProcess) -> None:
    core = max(os.sched_getaffinity(0))
    stopped_agent.start("--cores", str(core))
    source = "def step() -> list:\n    import os\n    return list(os.sched_getaffinity(0))\n"
    stopped_agent.submit(job(source, outputs={"Output": ValueKind.LIST}))
    outputs = stopped_agent.end_of(key()).outputs
    assert outputs is not None
    assert outputs.parameters == {"Output": [core]}


def test_a_failing_task_says_its_last_line_and_leaves_its_log(agent: AgentProcess) -> None:
    source = "def step():\n    print('before')\n    raise ValueError('no such column: age')\n"
    agent.submit(job(source))

    report = agent.end_of(key())

    assert report.state is AttemptState.FAILED
    assert report.reason is ReasonCode.EXIT_CODE
    assert report.exit_code == 1
    assert report.message == "ValueError: no such column: age"
    assert report.log_key == f"logs/{key().run_id}/train/1.txt"
    log = (agent.store.read_key(report.log_key) or b"").decode()
    assert log.startswith("before\n")
    assert "raise ValueError('no such column: age')" in log
    assert "executor.py" not in log


@pytest.mark.parametrize(
    ("source", "code", "message"),
    [
        ("def step():\n    import sys\n    sys.exit(3)\n", 3, "exited with code 3"),
        ("def step():\n    import os\n    os.kill(os.getpid(), 11)\n", 139, "killed by SIGSEGV"),
        ("def other():\n    pass\n", 1, "AttributeError: the component's source has no function 'step'"),
        ("def step(:\n", 1, "SyntaxError: invalid syntax"),
        ("import no_such_module\n", 1, "ModuleNotFoundError: No module named 'no_such_module'"),
    ],
)
def test_every_kind_of_failure_has_a_message(
    agent: AgentProcess, source: str, code: int, message: str
) -> None:
    agent.submit(job(source))
    report = agent.end_of(key())
    assert (report.state, report.exit_code, report.message) == (AttemptState.FAILED, code, message)


def test_a_missing_output_is_a_failure(agent: AgentProcess) -> None:
    agent.submit(job("def step() -> int:\n    return None\n", outputs={"Output": ValueKind.NUMBER_INTEGER}))
    report = agent.end_of(key())
    assert report.state is AttemptState.FAILED
    assert report.message == "the output parameter 'Output' was not written"


def test_a_timeout_ends_the_task_and_its_children(agent: AgentProcess, tmp_path: Path) -> None:
    marker = tmp_path / "child"
    source = f"""
def step():
    import subprocess, time
    child = subprocess.Popen(["sleep", "60"], start_new_session=True)
    with open({str(marker)!r}, "w") as file:
        file.write(str(child.pid))
    time.sleep(60)
"""
    agent.submit(job(source, timeout=timedelta(seconds=1)))
    report = agent.end_of(key())
    assert (report.state, report.reason) == (AttemptState.FAILED, ReasonCode.TIMEOUT)
    assert report.message == "ran longer than its timeout of 0:00:01"
    assert not alive(int(marker.read_text()))


def test_a_task_above_its_memory_limit_is_ended(agent: AgentProcess) -> None:
    source = "def step():\n    import time\n    held = bytearray(300 << 20)\n    time.sleep(60)\n"
    agent.submit(job(source, memory_limit_mib=150))
    report = agent.end_of(key())
    assert (report.state, report.reason) == (AttemptState.FAILED, ReasonCode.OUT_OF_MEMORY)
    used = re.fullmatch(r"used (\d+) MiB, limit 150 MiB", report.message or "")
    assert used is not None, report.message
    assert 150 < int(used[1]) <= (report.peak_memory_mib or 0)


def test_a_cancelled_task_ends(agent: AgentProcess, tmp_path: Path) -> None:
    agent.submit(job(SLEEP, parameters={"marker": str(tmp_path / "pid")}))
    pid = pid_in(tmp_path / "pid")
    agent.cancel(key())
    report = agent.end_of(key())
    assert (report.state, report.reason) == (AttemptState.CANCELED, ReasonCode.RUN_CANCELED)
    assert not alive(pid)


def test_a_task_that_ignores_sigterm_is_killed(agent: AgentProcess, tmp_path: Path) -> None:
    stubborn = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SLEEP
    agent.submit(job(stubborn, parameters={"marker": str(tmp_path / "pid")}))
    pid = pid_in(tmp_path / "pid")
    agent.cancel(key())
    report = agent.end_of(key())
    assert (report.state, report.exit_code) == (AttemptState.CANCELED, 137)
    assert not alive(pid)


def test_a_log_grows_in_the_store_while_the_task_runs(agent: AgentProcess, tmp_path: Path) -> None:
    source = "def step(marker: str):\n    import time\n    print('first line')\n    time.sleep(60)\n"
    agent.submit(job(source, parameters={"marker": "x"}))
    wait_until(
        lambda: agent.store.read_key(f"logs/{key().run_id}/train/1.txt") == b"first line\n", 10, "the log"
    )
    agent.cancel(key())
    agent.end_of(key())


def test_a_job_that_cannot_be_read_fails_with_a_reason(agent: AgentProcess) -> None:
    from nodewise.core.messages import START_JOBS, JobRef, StartJobs  # noqa: PLC0415

    uri = agent.store.put_bytes(b'{"key": "nonsense"}')
    missing = f"store://file/{'0' * 64}"
    now = agent.ear.wait_for(lambda heartbeat: heartbeat.sent_at)
    refs = (
        JobRef(key=key("garbled"), job_uri=uri, dispatched_at=now),
        JobRef(key=key("missing"), job_uri=missing, dispatched_at=now),
    )
    agent.send(START_JOBS, StartJobs(jobs=refs))
    garbled, absent = agent.end_of(key("garbled")), agent.end_of(key("missing"))
    assert garbled.reason is ReasonCode.AGENT_ERROR
    assert (garbled.message or "").startswith("the job cannot be read")
    assert absent.message == f"nothing is stored at {missing}"


def test_processes_of_a_task_can_talk_however_deep_its_folder_is(agent: AgentProcess) -> None:
    source = """
def step() -> list:
    import multiprocessing
    with multiprocessing.Manager() as manager:
        return list(manager.list([1, 2]))
"""
    deep = key("a" * 150)
    agent.submit(job(source, key=deep, outputs={"Output": ValueKind.LIST}))
    report = agent.end_of(deep)
    assert report.outputs is not None, report.message
    assert report.outputs.parameters == {"Output": [1, 2]}


def test_many_jobs_run_at_once(agent: AgentProcess) -> None:
    jobs = [
        job(ADD, key=key(f"t[{n}]/x"), parameters={"a": n}, outputs={"Output": ValueKind.NUMBER_DOUBLE})
        for n in range(12)
    ]
    agent.submit(*jobs)

    def all_ended(heartbeat: object) -> dict[str, object] | None:
        ended = {r.key.path: r for r in heartbeat.attempts if r.state is AttemptState.SUCCEEDED}  # type: ignore[attr-defined]
        return ended if len(ended) == 12 else None

    ended = agent.ear.wait_for(all_ended, 30, "twelve ends")
    for number, one in enumerate(jobs):
        assert ended[one.key.path].outputs.parameters == {"Output": number + 0.5}  # type: ignore[attr-defined]


LEAVE = """
def step(pids: str, at_once: bool):
    import os, subprocess

    def daemon():
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.execve("/bin/sleep", ["sleep", "60"], {})
            os._exit(0)

    left = [
        subprocess.Popen(["sleep", "60"]).pid,
        subprocess.Popen(["sleep", "60"], start_new_session=True).pid,
        subprocess.Popen(["sleep", "60"], start_new_session=True, env={}).pid,
    ]
    daemon()
    with open(pids, "w") as file:
        file.write(" ".join(map(str, left)))
    if at_once:
        os._exit(0)
"""


@pytest.mark.parametrize("at_once", [False, True])
def test_what_a_task_leaves_running_ends_with_it_however_short_it_was(
    agent: AgentProcess, tmp_path: Path, at_once: bool
) -> None:
    pids = tmp_path / "pids"
    agent.submit(job(LEAVE, parameters={"pids": str(pids), "at_once": at_once}))
    assert agent.end_of(key()).state is AttemptState.SUCCEEDED
    assert [pid for pid in map(int, pids.read_text().split()) if alive(pid)] == []
    # And of those whose numbers nobody knows: the agent has no child that sleeps.
    names = [child.name() for child in psutil.Process(agent.pid).children(recursive=True)]
    assert "sleep" not in names, names


def test_what_the_agent_was_given_by_who_started_it_stays(stopped_agent: AgentProcess) -> None:
    given = "import os,subprocess,sys; print(subprocess.Popen(['sleep', '120'], start_new_session=True).pid, flush=True); os.execv(sys.executable, sys.argv[1:])"
    stopped_agent.start(through=[sys.executable, "-c", given])
    sleeper = int(
        wait_until(lambda: stopped_agent.log.read_text().split("\n")[0], 20, "the process before the agent")
    )
    try:
        stopped_agent.submit(job(ADD, parameters={"a": 1.0}, outputs={"Output": ValueKind.NUMBER_DOUBLE}))
        assert stopped_agent.end_of(key()).state is AttemptState.SUCCEEDED
        assert alive(sleeper)
    finally:
        os.kill(sleeper, signal.SIGKILL)
