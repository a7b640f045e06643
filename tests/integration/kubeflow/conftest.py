"""A KFP test server, our client of it, and pipelines for both."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl
from sqlalchemy import Engine

from nodewise.core.engine.kubeflow.client import KfpClient
from nodewise.core.engine.kubeflow.connection import KfpConnection
from nodewise.core.settings import Settings
from tests.support.kfp_server.server import KfpServer
from tests.support.kubeflow import MemoryJournal, compiled
from tests.support.kubeflow_services import Services
from tests.support.placing import DRIFT, MOST_BOOKED, all_rows


@pytest.fixture
def server() -> Iterator[KfpServer]:
    with KfpServer() as server:
        yield server


@pytest.fixture
def kfp(server: KfpServer) -> Iterator[KfpClient]:
    """A client with short patience, for servers that do not answer."""
    client = KfpClient(KfpConnection(url=server.url, read_seconds=1.0))
    yield client
    client.close()


@pytest.fixture
def patient(server: KfpServer) -> Iterator[KfpClient]:
    """A client for long answers."""
    client = KfpClient(KfpConnection(url=server.url, read_seconds=60.0))
    yield client
    client.close()


@pytest.fixture
def journal() -> MemoryJournal:
    return MemoryJournal()


@dsl.component(base_image="python:3.11")
def double(n: int) -> int:
    return 2 * n


@dsl.component(base_image="python:3.11")
def gather(numbers: list) -> int:
    return len(numbers)


@dsl.component(base_image="python:3.11")
def report(status: dsl.PipelineTaskFinalStatus):
    pass


@dsl.pipeline(name="chain")
def chain(n: int = 1):
    double(n=double(n=n).output)


@dsl.pipeline(name="rich")
def rich(n: int = 3):
    with dsl.ExitHandler(report()):
        first = double(n=n).set_retry(2)
        with dsl.ParallelFor([1, 2, 3], parallelism=2) as item:
            each = double(n=item)
        gather(numbers=dsl.Collected(each.output))
        with dsl.If(first.output > 100):
            gather(numbers=[1])
        with dsl.Else():
            gather(numbers=[2])


@pytest.fixture(scope="session")
def chain_ir(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two tasks: `double`, then `double-2`."""
    return compiled(chain, Path(tmp_path_factory.mktemp("chain")))


@pytest.fixture(scope="session")
def rich_ir(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    """A retry, a loop with a gathering, two branches, an exit handler."""
    return compiled(rich, Path(tmp_path_factory.mktemp("rich")))


@pytest.fixture
def services(server: KfpServer, engine: Engine, settings: Settings) -> Iterator[Services]:
    """Scheduler, placer and recorder around the test server; what holds always is checked at the end."""
    services = Services(server, engine, settings.model_copy(update={"kfp_url": server.url}))
    yield services
    services.close()
    assert all_rows(engine, DRIFT) == []
    assert all(most <= capacity for _, most, capacity in all_rows(engine, MOST_BOOKED))
