"""The test server, and where one is asked for a real cluster, keep what a carrier takes for granted."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from kubernetes import client, config

from nodewise.carrier.api import KubernetesApi
from nodewise.core.engine.kubeflow.configured import kubernetes_connection
from nodewise.core.engine.kubeflow.kubernetes_api import KubernetesConnection
from nodewise.core.settings import Settings
from tests.contracts.kubernetes_contract import KubernetesContract
from tests.support.kubernetes_server.server import KubernetesServer


@dataclass
class World:
    api_client: Any
    ours: KubernetesApi
    namespace: str
    image: str
    seconds: float


class TestTheTestServer(KubernetesContract):
    @pytest.fixture
    def world(self) -> Iterator[World]:
        with KubernetesServer() as server:
            settings = client.Configuration()
            settings.host = server.url
            ours = KubernetesApi(KubernetesConnection(url=server.url))
            api_client = client.ApiClient(settings)
            yield World(api_client, ours, "default", "busybox", 60)
            ours.close()
            api_client.rest_client.pool_manager.clear()
            api_client.close()


@pytest.mark.skipif(
    "NODEWISE_KUBERNETES_TEST" not in os.environ, reason="NODEWISE_KUBERNETES_TEST is not set"
)
class TestARealCluster(KubernetesContract):
    """KUBECONFIG names it; NODEWISE_KUBERNETES_TEST_IMAGE an image with `sh` that its nodes have (busybox)."""

    @pytest.fixture
    def world(self) -> Iterator[World]:
        settings = Settings()
        ours = KubernetesApi(kubernetes_connection(settings), settings.kubernetes_namespace)
        api_client = config.new_client_from_config()
        image = os.environ.get("NODEWISE_KUBERNETES_TEST_IMAGE", "busybox")
        yield World(api_client, ours, ours.namespace, image, 120)
        ours.close()
        api_client.close()
