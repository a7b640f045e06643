"""Tasks that leave what no honest task leaves: their attempts end, by their own fault, and the agent goes on."""

import os
import subprocess
from pathlib import Path

import pytest

from nodewise.core.lifecycle import AttemptState
from nodewise.core.messages import AttemptReport
from nodewise.core.model.component import ValueKind
from nodewise.core.model.decision import ReasonCode
from tests.support.agents import AgentProcess, job, key
from tests.support.waiting import wait_until

MODEL = {"model": "system.Model"}
DEEP = """
def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value

"""


@pytest.fixture
def agent(shared_agent: AgentProcess) -> AgentProcess:
    """One for all tests that only give it something to do."""
    return shared_agent


def assert_tasks_fault(report: AttemptReport, said: str) -> None:
    assert (report.state, report.reason) == (AttemptState.FAILED, ReasonCode.EXIT_CODE), report.message
    assert said in (report.message or "")
    assert report.outputs is None


def assert_goes_on(agent: AgentProcess) -> None:
    agent.submit(job("def step():\n    pass\n", key=key("after")))
    assert agent.end_of(key("after")).state is AttemptState.SUCCEEDED


@pytest.mark.parametrize("depth", [64, 300, 900])
def test_a_list_nested_too_deeply_fails_its_task(agent: AgentProcess, depth: int) -> None:
    source = f"{DEEP}def step() -> list:\n    return nested({depth})\n"
    agent.submit(job(source, outputs={"Output": ValueKind.LIST}))
    assert_tasks_fault(agent.end_of(key()), "the output parameter 'Output' is nested deeper than 64 levels")
    assert_goes_on(agent)


def test_a_list_nested_to_the_limit_arrives(agent: AgentProcess) -> None:
    source = f"{DEEP}def step() -> list:\n    return nested(63)\n"
    agent.submit(job(source, outputs={"Output": ValueKind.LIST}))
    report = agent.end_of(key())
    assert report.outputs is not None, report.message
    assert str(report.outputs.parameters["Output"]) == "[" * 64 + "]" * 64


def test_a_file_nested_beyond_every_parser_fails_its_task(agent: AgentProcess) -> None:
    source = """
def step(out: OutputPath(list)):
    with open(out, "w") as file:
        file.write("[" * 200_000 + "]" * 200_000)
"""
    agent.submit(job(source, outputs={"out": ValueKind.LIST}))
    assert_tasks_fault(agent.end_of(key()), "nested too deeply")


def test_metadata_nested_too_deeply_fails_its_task(agent: AgentProcess) -> None:
    source = f"{DEEP}def step(model: Output[Model]):\n    model.metadata['x'] = nested(300)\n"
    agent.submit(job(source, artifacts=MODEL))
    assert_tasks_fault(agent.end_of(key()), "the metadata of the output artifact 'model' is nested deeper")


@pytest.mark.parametrize(
    "spoil",
    [
        "model.uri = 's3://bucket/\\ud800'",
        "model.metadata = [1]",
        "model.metadata = 'text'",
    ],
)
def test_an_artifact_described_wrongly_fails_its_task(agent: AgentProcess, spoil: str) -> None:
    agent.submit(job(f"def step(model: Output[Model]):\n    {spoil}\n", artifacts=MODEL))
    assert_tasks_fault(agent.end_of(key()), "the output artifact 'model'")
    assert_goes_on(agent)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        ("os.mkfifo(model.path)", "only files"),
        ("os.mkdir(model.path); os.mkfifo(model.path + '/pipe')", "only files"),
        ("model.uri = '/dev/zero'", "only files"),
        ("os.symlink('/etc/hostname', model.path)", "leads out"),
        ("os.symlink('/etc', model.path)", "leads out"),
        ("os.symlink(model.path, model.path)", "leads nowhere"),
        ("os.symlink('nothing', model.path)", "leads nowhere"),
        ("os.mkdir(model.path); os.symlink('/etc/hostname', model.path + '/x')", "leads out"),
        ("os.mkdir(model.path); os.symlink('..', model.path + '/x')", "leads out"),
        ("os.mkdir(model.path); os.symlink('x', model.path + '/x')", "symbolic links"),
        ("os.mkdir(model.path); open(os.fsencode(model.path) + b'/\\xff', 'w').close()", "not UTF-8"),
        ("model.uri = '/' + 'x' * 300", "name too long"),
    ],
)
def test_what_is_neither_file_nor_directory_fails_its_task(agent: AgentProcess, make: str, said: str) -> None:
    agent.submit(job(f"def step(model: Output[Model]):\n    import os\n    {make}\n", artifacts=MODEL))
    report = agent.end_of(key(), 10)
    assert_tasks_fault(report, "the output artifact 'model'")
    assert said in (report.message or "").replace("File name", "name")


def test_a_link_to_the_attempts_own_files_is_followed(agent: AgentProcess) -> None:
    source = """
def step(model: Output[Model]):
    import os
    with open("weights", "w") as file:
        file.write("w")
    os.symlink(os.path.abspath("weights"), model.path)
"""
    agent.submit(job(source, artifacts=MODEL))
    report = agent.end_of(key())
    assert report.outputs is not None, report.message
    assert agent.store.get_bytes(report.outputs.artifacts["model"].uri) == b"w"


@pytest.mark.parametrize("name", ["executor_output.json", "parameters/Output"])
def test_a_pipe_in_place_of_a_parameters_file_fails_its_task(agent: AgentProcess, name: str) -> None:
    source = f"""
def step() -> int:
    import os
    os.mkfifo(os.path.join("..", {name!r}))
    os._exit(0)
"""
    agent.submit(job(source, outputs={"Output": ValueKind.NUMBER_INTEGER}))
    assert_tasks_fault(agent.end_of(key(), 10), "only files")


def test_pipes_in_place_of_what_the_runner_leaves_delay_nothing(agent: AgentProcess) -> None:
    source = """
def step():
    import os
    for name in ("error.txt", "peak.txt", "result.json"):
        os.mkfifo(os.path.join("..", name))
    os._exit(3)
"""
    agent.submit(job(source))
    assert_tasks_fault(agent.end_of(key(), 10), "exited with code 3")
    assert_goes_on(agent)


def test_an_agent_starts_again_where_a_task_left_pipes(stopped_agent: AgentProcess, tmp_path: Path) -> None:
    source = """
def step(marker: str):
    import os, time
    os.mkfifo(os.path.join("..", "result.json"))
    os.remove(os.path.join("..", "process.json"))
    os.mkfifo(os.path.join("..", "process.json"))
    open(marker, "w").close()
    time.sleep(60)
"""
    stopped_agent.start()
    stopped_agent.submit(job(source, parameters={"marker": str(tmp_path / "made")}))
    wait_until((tmp_path / "made").exists, 20, "the pipes")
    stopped_agent.kill()
    stopped_agent.start()
    assert_goes_on(stopped_agent)


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("def step() -> float:\n    return 10**400\n", ValueKind.NUMBER_DOUBLE),
        ("def step() -> float:\n    return -(10**400)\n", ValueKind.NUMBER_DOUBLE),
        ("def step() -> int:\n    return 10**4299 * 10**4000 // 10**4000\n", ValueKind.STRING),
    ],
)
def test_a_number_beyond_its_type_fails_its_task(agent: AgentProcess, source: str, kind: ValueKind) -> None:
    agent.submit(job(source, outputs={"Output": kind}))
    assert_tasks_fault(agent.end_of(key()), "the output parameter 'Output' is")


def test_a_signal_without_a_name_fails_its_task(agent: AgentProcess) -> None:
    agent.submit(job("def step():\n    import os\n    os.kill(os.getpid(), 40)\n"))
    assert_tasks_fault(agent.end_of(key()), "killed by signal 40")


def test_a_directory_deeper_than_we_walk_fails_its_task(stopped_agent: AgentProcess) -> None:
    source = """
def step(model: Output[Model]):
    import os
    os.mkdir(model.path)
    os.chdir(model.path)
    for _ in range(1500):
        os.mkdir("d")
        os.chdir("d")
"""
    stopped_agent.start()
    stopped_agent.submit(job(source, artifacts=MODEL))
    try:
        assert_tasks_fault(stopped_agent.end_of(key()), "the output artifact 'model'")
        stopped_agent.forget(key())
        assert_goes_on(stopped_agent)
    finally:
        # `shutil.rmtree`, which pytest uses later, does not reach that deep either.
        subprocess.run(["rm", "-rf", str(stopped_agent.work_dir)], check=True)


def test_an_upload_ends_when_it_is_cancelled(agent: AgentProcess, tmp_path: Path) -> None:
    source = """
def step(marker: str, model: Output[Model]):
    import os
    with open(model.path, "wb") as file:
        os.truncate(file.fileno(), 1 << 40)
    with open(marker, "w") as file:
        file.write(str(os.getpid()))
"""
    marker = tmp_path / "pid"
    agent.submit(job(source, parameters={"marker": str(marker)}, artifacts=MODEL))
    pid = int(wait_until(lambda: marker.exists() and marker.read_text(), 20, "the task's pid"))
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"), 20, "the task's end")  # noqa: PTH110
    agent.cancel(key())
    report = agent.end_of(key(), 10)
    assert (report.state, report.reason) == (AttemptState.CANCELED, ReasonCode.RUN_CANCELED)
    assert report.message == "canceled before its outputs were stored"
    assert_goes_on(agent)


def test_a_pipe_in_place_of_the_log_holds_up_nobody(agent: AgentProcess) -> None:
    source = """
def step() -> int:
    import os
    os.unlink(os.path.join("..", "log.txt"))
    os.mkfifo(os.path.join("..", "log.txt"))
    return 3
"""
    agent.submit(job(source, outputs={"Output": ValueKind.NUMBER_INTEGER}))
    report = agent.end_of(key(), 10)
    assert report.outputs is not None, report.message
    assert report.outputs.parameters == {"Output": 3}
    assert_goes_on(agent)
