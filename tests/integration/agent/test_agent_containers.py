"""Components that bring their own image, through a real agent: on a fake runtime, and where one is named on a real one."""

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl

from nodewise.agent.containers import AGENT_LABEL
from nodewise.agent.runtime import Container, ContainerRuntime
from nodewise.core.lifecycle import AttemptState
from nodewise.core.messages import AttemptReport
from nodewise.core.model.decision import ReasonCode
from nodewise.core.model.job import Job
from tests.support.agent_runs import AgentRun
from tests.support.agents import AgentProcess
from tests.support.container_runtimes import FAKE, IMAGE, NO_IMAGE, REAL, fake_runtime
from tests.support.waiting import wait_until

SLOW = 120.0
RUNTIMES = ["fake", *(["real"] if REAL else [])]


@dataclass
class Dock:
    """A running agent with a container runtime."""

    agent: AgentProcess
    runtime: ContainerRuntime
    env: Mapping[str, str]
    fake: Path | None

    def start(self, **environment: str) -> None:
        self.agent.start("--container-runtime", self.runtime.command, **self.env, **environment)

    def names(self) -> list[str]:
        """The containers of this agent."""
        return self.runtime.named(AGENT_LABEL, (self.agent.work_dir / "folder.id").read_text())

    def log_of(self, report: AttemptReport) -> str:
        assert report.log_key is not None
        return (self.agent.store.read_key(report.log_key) or b"").decode()


@pytest.fixture(params=RUNTIMES)
def dock(request: pytest.FixtureRequest, stopped_agent: AgentProcess, tmp_path: Path) -> Iterator[Dock]:
    fake = tmp_path / "fake" if request.param == "fake" else None
    with fake_runtime(fake) if fake else nullcontext({}) as env:
        dock = Dock(stopped_agent, ContainerRuntime.connect(str(FAKE) if fake else str(REAL)), env, fake)
        dock.start()
        yield dock
        stopped_agent.close()
        assert dock.names() == []


def one_task(component: Any, **arguments: Any) -> Any:
    @dsl.pipeline(name="one")
    def pipeline() -> None:
        component(**arguments)

    return pipeline


def shell(script: str, image: str = IMAGE) -> Any:
    @dsl.container_component
    def step() -> dsl.ContainerSpec:
        return dsl.ContainerSpec(image=image, command=["sh", "-c", script])

    return step


def submitted(dock: Dock, component: Any) -> tuple[AgentRun, Job]:
    run = AgentRun(dock.agent, one_task(component))
    job = run.step()["step"]
    dock.agent.submit(job)
    return run, job


@dsl.container_component
def make(
    rows: int, table: dsl.Output[dsl.Dataset], count: dsl.OutputPath(int), name: dsl.OutputPath(str)
) -> dsl.ContainerSpec:  # type: ignore[valid-type]
    return dsl.ContainerSpec(
        image=IMAGE,
        command=["sh", "-c", 'mkdir -p "$1"; seq "$0" > "$1/part-1"; echo "$0" > "$2"; printf made > "$3"; echo "$GREETING"'],
        args=[rows, table.path, count, name],
    )  # fmt: skip


@dsl.container_component
def total(table: dsl.Input[dsl.Dataset], sum: dsl.OutputPath(int)) -> dsl.ContainerSpec:  # type: ignore[valid-type]
    program = (
        "import sys; print(open(sys.argv[1] + '/part-1').read().count('\\n'), file=open(sys.argv[2], 'w'))"
    )
    return dsl.ContainerSpec(image=IMAGE, command=["python3"], args=["-c", program, table.path, sum])


def test_plain_commands_hand_files_and_values_to_each_other(dock: Dock) -> None:
    @dsl.pipeline(name="two")
    def two() -> None:
        first = make(rows=4).set_env_variable("GREETING", "hello from inside")
        total(table=first.outputs["table"])

    run = AgentRun(dock.agent, two)
    reports = run.run(SLOW)

    assert run.outputs("make") == {"count": 4, "name": "made"}
    assert run.outputs("total") == {"sum": 4}
    made = reports["make"]
    assert made.reason is ReasonCode.FINISHED
    assert made.exit_code == 0
    assert dock.log_of(made) == "hello from inside\n"
    assert made.outputs is not None
    assert made.outputs.artifacts["table"].uri.startswith("store://tree/")


def test_its_limits_are_the_jobs(dock: Dock) -> None:
    if dock.fake is None:
        script = "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null; true"
    else:
        script = "echo 201326592"

    @dsl.pipeline(name="limits")
    def limits() -> None:
        shell(script)().set_memory_limit("192Mi").set_cpu_limit("500m").set_env_variable("X", "y")

    run = AgentRun(dock.agent, limits)
    job = run.step()["step"]
    assert job.memory_limit_mib == 192
    dock.agent.submit(job)
    report = dock.agent.end_of(job.key, SLOW)
    assert report.state is AttemptState.SUCCEEDED
    assert dock.log_of(report) == f"{192 << 20}\n"


def test_a_command_that_fails_tells_its_code(dock: Dock) -> None:
    _, job = submitted(dock, shell("echo before; exit 3"))
    report = dock.agent.end_of(job.key, SLOW)
    assert (report.state, report.reason, report.exit_code) == (AttemptState.FAILED, ReasonCode.EXIT_CODE, 3)
    assert report.message == "exited with code 3"
    assert dock.log_of(report) == "before\n"


def test_a_command_that_is_not_there_is_the_tasks_failure(dock: Dock) -> None:
    @dsl.container_component
    def step() -> dsl.ContainerSpec:
        return dsl.ContainerSpec(image=IMAGE, command=["no-such-program"])

    _, job = submitted(dock, step)
    report = dock.agent.end_of(job.key, SLOW)
    assert (report.state, report.reason, report.exit_code) == (AttemptState.FAILED, ReasonCode.EXIT_CODE, 127)
    assert "no-such-program" in (report.message or "")


def test_an_image_that_cannot_be_had_is_the_tasks_failure(dock: Dock) -> None:
    _, job = submitted(dock, shell("true", NO_IMAGE))
    report = dock.agent.end_of(job.key, SLOW)
    assert (report.state, report.reason) == (AttemptState.FAILED, ReasonCode.IMAGE_UNAVAILABLE)
    assert (report.message or "").startswith(f"image {NO_IMAGE}: ")
    assert "registry.invalid" in (report.message or "")
    assert report.started_at is None
    assert "registry.invalid" in dock.log_of(report)


def test_an_image_cannot_be_an_option(dock: Dock) -> None:
    _, job = submitted(dock, shell("true", "--privileged"))
    report = dock.agent.end_of(job.key, SLOW)
    assert (report.state, report.reason) == (AttemptState.FAILED, ReasonCode.IMAGE_UNAVAILABLE)
    assert report.message == "no name of an image: '--privileged'"


def test_a_cancel_ends_the_container(dock: Dock) -> None:
    _, job = submitted(dock, shell("echo up; exec sleep 300"))
    dock.agent.running(job.key, SLOW)
    wait_until(dock.names, 60, "the container")
    dock.agent.cancel(job.key)
    report = dock.agent.end_of(job.key, SLOW)
    assert (report.state, report.reason) == (AttemptState.CANCELED, ReasonCode.RUN_CANCELED)
    assert dock.names() == []


def test_a_timeout_ends_the_container(dock: Dock) -> None:
    run = AgentRun(dock.agent, one_task(shell("exec sleep 300")))
    job = replace(run.step()["step"], timeout=timedelta(seconds=2))
    dock.agent.submit(job)
    report = dock.agent.end_of(job.key, SLOW)
    assert (report.state, report.reason) == (AttemptState.FAILED, ReasonCode.TIMEOUT)
    assert dock.names() == []


def test_what_takes_more_memory_than_its_limit_is_told(dock: Dock) -> None:
    run = AgentRun(dock.agent, one_task(shell("exec python3 -c 'x = bytearray(500 << 20)'")))
    job = replace(run.step()["step"], memory_limit_mib=100)
    dock.agent.submit(job)
    report = dock.agent.end_of(job.key, SLOW)
    assert (report.state, report.reason) == (AttemptState.FAILED, ReasonCode.OUT_OF_MEMORY)
    assert (report.message or "").endswith("limit of 100 MiB") or "limit 100 MiB" in (report.message or "")


def test_an_agent_that_died_ends_its_containers_when_it_is_back(dock: Dock) -> None:
    _, job = submitted(dock, shell("exec sleep 300"))
    dock.agent.running(job.key, SLOW)
    (name,) = wait_until(dock.names, 60, "the container")
    dock.agent.kill()
    assert dock.names() == [name]
    dock.start()
    wait_until(lambda: dock.names() == [], 60, "its end")


def test_an_agent_that_leaves_takes_its_containers_along(dock: Dock) -> None:
    _, job = submitted(dock, shell("trap 'exit 0' TERM; sleep 300 & wait"))
    dock.agent.running(job.key, SLOW)
    wait_until(dock.names, 60, "the container")
    dock.agent.terminate(60)
    # What was still ending when the agent had to go is ended by the next one.
    dock.start()
    wait_until(lambda: dock.names() == [], 60, "its end")


def test_containers_of_others_stay(dock: Dock) -> None:
    stranger = Container(
        name=f"nodewise-stranger-{dock.agent.work_dir.parent.name}", image=IMAGE, command=("sleep", "300"),
        labels={AGENT_LABEL: "another"}, memory_mib=64, millicores=1000,
    )  # fmt: skip
    import subprocess  # noqa: PLC0415

    with subprocess.Popen(dock.runtime.run_words(stranger, []), stdout=subprocess.DEVNULL) as client:
        try:
            wait_until(lambda: (dock.runtime.state(stranger.name) or None) is not None, 60, "the container")
            dock.agent.terminate(60)
            dock.start()
            dock.agent.ear.drain()
            dock.agent.ear.wait_for(lambda heartbeat: True)
            assert dock.runtime.state(stranger.name) is not None
        finally:
            dock.runtime.remove(stranger.name)
            client.wait(60)


def test_the_node_tells_its_runtime(dock: Dock) -> None:
    told = dock.agent.ear.wait_for(lambda heartbeat: heartbeat.node.container_runtime)
    assert told == Path(dock.runtime.command).name


def test_a_cancel_ends_the_fetching_of_an_image(stopped_agent: AgentProcess, tmp_path: Path) -> None:
    with fake_runtime(tmp_path / "fake") as env:
        (tmp_path / "fake" / "slow-registry").touch()
        dock = Dock(stopped_agent, ContainerRuntime.connect(str(FAKE)), env, tmp_path / "fake")
        dock.start()
        _, job = submitted(dock, shell("true", "registry.example/slow:1"))
        wait_until(
            lambda: (stopped_agent.store.read_key(f"logs/{job.key.run_id}/step/1.txt") or b"").startswith(b"pulling"),
            60, "the pull",
        )  # fmt: skip
        assert stopped_agent.report_of(job.key, lambda _: True).state is AttemptState.PLACED
        stopped_agent.cancel(job.key)
        report = stopped_agent.end_of(job.key, SLOW)
        assert (report.state, report.message) == (AttemptState.CANCELED, "canceled before it started")
        stopped_agent.close()


def test_a_runtime_that_is_down_is_the_nodes_trouble(stopped_agent: AgentProcess, tmp_path: Path) -> None:
    with fake_runtime(tmp_path / "fake") as env:
        dock = Dock(stopped_agent, ContainerRuntime.connect(str(FAKE)), env, tmp_path / "fake")
        dock.start()
        stopped_agent.ear.wait_for(lambda heartbeat: True)
        (tmp_path / "fake" / "down").touch()
        _, job = submitted(dock, shell("true"))
        report = stopped_agent.end_of(job.key, SLOW)
        assert (report.state, report.reason) == (AttemptState.FAILED, ReasonCode.AGENT_ERROR)
        assert "the container runtime does not answer" in (report.message or "")
        stopped_agent.close()


def test_an_agent_does_not_start_without_the_runtime_that_it_was_told(
    stopped_agent: AgentProcess, tmp_path: Path
) -> None:
    stopped_agent.start(NODEWISE_CONTAINER_RUNTIME="no-such-runtime")
    assert stopped_agent.wait(60) == 2
    assert "--container-runtime no-such-runtime: there is no program 'no-such-runtime'" in " ".join(
        stopped_agent.log.read_text().split()
    )


def test_a_node_without_a_runtime_says_so(agent: AgentProcess) -> None:
    run = AgentRun(agent, one_task(shell("true")))
    report = run.run(SLOW)["step"]
    assert (report.state, report.reason) == (AttemptState.FAILED, ReasonCode.AGENT_ERROR)
    assert report.message == "the task brings its own image, and this node has no container runtime"
