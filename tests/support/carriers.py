"""A real carrier process under test, on a test server of Kubernetes: to whoever sends jobs it is the agent of its nodes."""

import os
import subprocess
import sys
from pathlib import Path

from nodewise.core.messages import Heartbeat
from tests.support.agents import ENDED, NODE, AgentProcess
from tests.support.kubernetes_server.server import KubeNode, KubernetesServer
from tests.support.nodekeys import carrier_key_file
from tests.support.waiting import wait_until

NODES = (
    KubeNode(name=NODE, cpu="16", memory="16Gi"),
    KubeNode(name="n2", cpu="1", memory="1Gi", labels={"pool": "small"}),
)


def carrier_environment(server: KubernetesServer, store_folder: str) -> dict[str, str]:
    """The settings of a carrier for that server, whose pods find the store where we do."""
    return {
        "NODEWISE_KUBERNETES_URL": server.url,
        "NODEWISE_KUBERNETES_IMAGE": "nodewise/agent:test",
        "NODEWISE_KUBERNETES_STORE_PATH": store_folder,
        "NODEWISE_KUBERNETES_SECONDS": "0.5",
        "NODEWISE_KUBERNETES_POLL_SECONDS": "0.5",
        "NODEWISE_NODE_EXPORTER_PORT": "0",
    }


class CarrierProcess(AgentProcess):
    """`python -m nodewise.carrier`; all that it remembers is in the server and in the store."""

    def __init__(self, server: KubernetesServer, redis_url: str, store_url: str, work_dir: Path) -> None:
        super().__init__(redis_url, store_url, work_dir)
        self.server = server

    def start(self, *arguments: str, **environment: str) -> None:
        env = {
            **os.environ,
            "REDIS_URL": self.settings.redis_url,
            "NODEWISE_STORE_URL": self.settings.store_url,
            "_KFP_RUNTIME": "true",
            "NODEWISE_HEARTBEAT_SECONDS": "0.3",
            "NODEWISE_NODE_KEY_FILE": str(carrier_key_file(self.work_dir.parent)),
            **carrier_environment(self.server, self.settings.store_url.removeprefix("file://")),
            **environment,
        }
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "nodewise.carrier", *arguments], env=env, stderr=log, stdout=log
            )

    def tidy(self) -> None:
        """End and forget all that it was given, and see the cluster without it."""

        def ended(heartbeat: Heartbeat) -> bool:
            if heartbeat.node.name != NODE:
                return False
            live = [report.key for report in heartbeat.attempts if report.state not in ENDED]
            over = [report.key for report in heartbeat.attempts if report.state in ENDED]
            if live:
                self.cancel(*live)
            if over:
                self.forget(*over)
            return not heartbeat.attempts

        self.ear.drain()
        self.ear.wait_for(lambda heartbeat: ended(heartbeat) or None, 120, "a carrier with nothing to do")
        wait_until(lambda: not self.server.jobs() and not self.server.pods(), 120, "an empty cluster")
