"""The broker goes away while tasks run, and comes back: nothing is lost but time."""

from pathlib import Path

from nodewise.core.lifecycle import AttemptState
from nodewise.stack.health import RedisProbe
from nodewise.stack.ports import choose_ports
from nodewise.stack.valkey import ValkeyServer, find_binary
from tests.support.agents import AgentProcess, Ear, job, key
from tests.support.servers import running
from tests.support.waiting import wait_until

WAITS_FOR_A_FILE = """
def step(marker: str):
    import os, time
    with open(marker + ".started", "w"):
        pass
    while not os.path.exists(marker):
        time.sleep(0.02)
"""


def a_server(folder: Path) -> ValkeyServer:
    server = ValkeyServer(
        binary=find_binary(), folder=folder / "valkey", port=choose_ports(["valkey"], {})["valkey"],
        log=folder / "valkey.log", durable=False,
    )  # fmt: skip
    server.initialise()
    return server


def test_an_end_without_a_broker_is_told_when_it_is_back(tmp_path: Path, store_url: str) -> None:
    server = a_server(tmp_path)
    probe = RedisProbe(server.url())
    marker = tmp_path / "go"
    with running(server.program(), probe):
        agent = AgentProcess(server.url(), store_url, tmp_path / "agent")
        agent.start()
        agent.submit(job(WAITS_FOR_A_FILE, parameters={"marker": str(marker)}))
        wait_until(lambda: marker.with_name("go.started").exists(), 20, "the task to start")
    try:
        marker.touch()
        results = agent.work_dir / "attempts"
        wait_until(lambda: list(results.glob("*/*/*/result.json")), 20, "the end in the journal")
        with running(server.program(), probe):
            agent.ear = Ear(server.url())
            assert agent.end_of(key(), 30).state is AttemptState.SUCCEEDED
            agent.submit(job("def step():\n    pass\n", key=key("next")))
            assert agent.end_of(key("next"), 30).state is AttemptState.SUCCEEDED
    finally:
        agent.close()


def test_sigterm_ends_an_agent_whose_broker_is_gone(tmp_path: Path, store_url: str) -> None:
    server = a_server(tmp_path)
    with running(server.program(), RedisProbe(server.url())):
        agent = AgentProcess(server.url(), store_url, tmp_path / "agent")
        agent.start()
        agent.ear.wait_for(lambda heartbeat: heartbeat)
    try:
        wait_until(lambda: "the broker does not answer" in agent.log.read_text(), 15, "the agent to notice")
        assert agent.terminate(seconds=8) == 0
    finally:
        agent.close()
