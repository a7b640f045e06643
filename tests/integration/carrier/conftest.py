from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.agents import begin_run
from tests.support.carriers import NODES, CarrierProcess
from tests.support.kubernetes_server.server import KubernetesServer
from tests.support.servers import valkey_in


@pytest.fixture
def server() -> Iterator[KubernetesServer]:
    with KubernetesServer(NODES) as server:
        yield server


@pytest.fixture
def stopped_carrier(
    server: KubernetesServer, redis_url: str, store_url: str, tmp_path: Path
) -> Iterator[CarrierProcess]:
    """A carrier that was not started yet; ended at teardown."""
    begin_run()
    process = CarrierProcess(server, redis_url, store_url, tmp_path / "carrier")
    yield process
    process.close()


@pytest.fixture
def carrier(stopped_carrier: CarrierProcess) -> CarrierProcess:
    """A running carrier."""
    stopped_carrier.start()
    return stopped_carrier


@pytest.fixture(scope="module")
def standing_carrier(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CarrierProcess]:
    """A running carrier for all tests of a module, with a cluster, a broker and a store of its own."""
    folder = tmp_path_factory.mktemp("standing")
    (folder / "store").mkdir()
    with KubernetesServer(NODES) as server, valkey_in(folder / "valkey") as broker:
        process = CarrierProcess(server, broker.url(), (folder / "store").as_uri(), folder / "carrier")
        process.start()
        yield process
        process.close()


@pytest.fixture
def shared_agent(standing_carrier: CarrierProcess) -> Iterator[CarrierProcess]:
    """The module's carrier, with nothing to do, in the place of the agent of suites for agents."""
    begin_run()
    yield standing_carrier
    standing_carrier.tidy()
