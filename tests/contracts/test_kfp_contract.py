"""The KFP test server, and where KFP_URL is set a live server, are what KFP's own clients expect."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.contracts.kfp_contract import KfpContract
from tests.support.kfp_server.behaviour import Outcome, by_task
from tests.support.kfp_server.server import KfpServer


@dataclass
class PretendedWorld:
    server: KfpServer
    credentials: dict[str, Any] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return self.server.url

    def pass_time(self) -> None:
        self.server.turn(10)


@dataclass
class LiveWorld:
    url: str
    credentials: dict[str, Any]

    def pass_time(self) -> None:
        # A live server has no clock to turn.
        time.sleep(2)


class TestTheTestServer(KfpContract):
    @pytest.fixture
    def world(self) -> Iterator[PretendedWorld]:
        with KfpServer(behave=by_task(broken=Outcome(fails="Error (exit code 3)"))) as server:
            yield PretendedWorld(server)


if "KFP_URL" in os.environ:

    @pytest.mark.timeout(1800)
    class TestALiveServer(KfpContract):
        @pytest.fixture
        def world(self) -> LiveWorld:
            given = {"existing_token": os.environ.get("KFP_TOKEN"), "cookies": os.environ.get("KFP_COOKIE")}
            credentials = {name: value for name, value in given.items() if value}
            return LiveWorld(os.environ["KFP_URL"], credentials)
else:

    @pytest.mark.skip(reason="KFP_URL is not set: nothing was run against a live Kubeflow Pipelines")
    def test_a_live_server() -> None:
        """The whole contract, against the server that KFP_URL names (with KFP_TOKEN or KFP_COOKIE)."""
