"""An agent has a key of its own, heeds its cluster only, and says so where it is not believed."""

from pathlib import Path

import pytest

from nodewise.core.messages import CANCEL_JOBS, NOT_HEARD, START_JOBS, CancelJobs, NotHeard, StartJobs
from nodewise.core.messaging.app import agent_queue, create_app
from nodewise.core.model.ids import NodeName
from nodewise.core.nodekeys import ClusterSecret
from nodewise.core.sealing import Sealer, seal_of_cluster, unsealed
from tests.support.agents import NODE, AgentProcess, begin_run, job, key
from tests.support.nodekeys import agent_key_file, now, services_seal
from tests.support.waiting import wait_until

WRITES = "def step(folder: str):\n    open(folder + '/ran', 'w').close()\n"
SLEEPS = "def step():\n    import time\n    time.sleep(60)\n"


def refused(agent: AgentProcess, **environment: str) -> str:
    """What an agent says that must not start."""
    agent.start(**environment)
    assert agent.wait(20) == 2
    (line,) = agent.log.read_text().splitlines()
    return line


def test_an_agent_without_a_key_says_what_is_missing_and_how_to_get_it(stopped_agent: AgentProcess) -> None:
    line = refused(stopped_agent, NODEWISE_NODE_KEY_FILE="")
    assert line.startswith("nodewise agent: --key-file is missing")
    assert f"nodewise keys node {NODE}" in line


def test_an_agent_with_the_key_of_another_name_does_not_start(
    stopped_agent: AgentProcess, tmp_path: Path
) -> None:
    line = refused(stopped_agent, NODEWISE_NODE_KEY_FILE=str(agent_key_file(tmp_path, "n9")))
    assert "holds the key of node n9, and this is n1" in line


def test_an_agent_that_is_told_to_starts_without_a_key(stopped_agent: AgentProcess) -> None:
    stopped_agent.start(NODEWISE_NODE_KEYS="off", NODEWISE_NODE_KEY_FILE="")
    stopped_agent.ear.wait_for(lambda heartbeat: heartbeat)


def send(agent: AgentProcess, name: str, message: StartJobs | CancelJobs | NotHeard, seal: Sealer) -> None:
    app = create_app("test", agent.settings)
    app.send_task(name, args=[seal(name, NodeName(NODE), message)], queue=agent_queue(NODE))
    app.close()


@pytest.mark.parametrize("seal", [unsealed, seal_of_cluster(ClusterSecret(raw=b"x" * 40), now)])
def test_whoever_has_the_broker_alone_cannot_make_an_agent_run_anything(
    agent: AgentProcess, tmp_path: Path, seal: Sealer
) -> None:
    begin_run()
    smuggled, ours = key("smuggled"), key("ours")
    [bad] = agent.stored(job(WRITES, key=smuggled, parameters={"folder": str(tmp_path)}))
    send(agent, START_JOBS, StartJobs(jobs=(bad,)), seal)
    agent.submit(job("def step():\n    pass\n", key=ours))
    agent.end_of(ours)
    assert not (tmp_path / "ran").exists()
    heard = agent.ear.wait_for(lambda heartbeat: heartbeat)
    assert [report.key for report in heard.attempts] == [ours]
    log = agent.log.read_text()
    assert "a message is refused" in log
    assert str(smuggled) not in log


def test_nor_end_what_runs(agent: AgentProcess) -> None:
    begin_run()
    long, short = key("long"), key("short")
    agent.submit(job(SLEEPS, key=long))
    agent.running(long)
    send(agent, CANCEL_JOBS, CancelJobs(keys=(long,)), unsealed)
    agent.submit(job("def step():\n    pass\n", key=short))
    agent.end_of(short)
    assert agent.running(long).key == long
    send(agent, CANCEL_JOBS, CancelJobs(keys=(long,)), services_seal())
    agent.end_of(long)


def test_an_agent_that_is_refused_says_so_with_what_to_do(agent: AgentProcess) -> None:
    agent.ear.wait_for(lambda heartbeat: heartbeat)
    send(agent, NOT_HEARD, NotHeard(why="signature"), unsealed)
    wait_until(lambda: "the cluster refuses messages of this node" in agent.log.read_text(), 15, "a line")
    assert "nodewise keys node" in agent.log.read_text()
