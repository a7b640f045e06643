from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.agents import AgentProcess


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
