from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.agents import AgentProcess, begin_run
from tests.support.servers import valkey_in


@pytest.fixture
def stopped_agent(redis_url: str, store_url: str, tmp_path: Path) -> Iterator[AgentProcess]:
    """An agent that was not started yet; ended at teardown."""
    process = AgentProcess(redis_url, store_url, tmp_path / "agent")
    yield process
    process.close()


@pytest.fixture
def agent(stopped_agent: AgentProcess) -> AgentProcess:
    """A running agent."""
    stopped_agent.start()
    return stopped_agent


@pytest.fixture(scope="module")
def standing_agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentProcess]:
    """A running agent for all tests of a module, with a broker and a store of its own."""
    folder = tmp_path_factory.mktemp("standing")
    (folder / "store").mkdir()
    with valkey_in(folder / "valkey") as broker:
        process = AgentProcess(broker.url(), (folder / "store").as_uri(), folder / "agent")
        process.start()
        yield process
        process.close()


@pytest.fixture
def shared_agent(standing_agent: AgentProcess) -> Iterator[AgentProcess]:
    """The module's agent, with nothing to do; for tests that leave it as it is."""
    begin_run()
    yield standing_agent
    standing_agent.tidy()
