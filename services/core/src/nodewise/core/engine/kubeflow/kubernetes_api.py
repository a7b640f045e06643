"""Nodes from the Kubernetes API, through its own Python client, which is imported when first needed."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from nodewise.core.engine.kubeflow.nodes import KubernetesNode, read_node
from nodewise.core.errors import Unavailable

_PAGE: Final = 500
_GONE: Final = 410
"""The list was changed too much since its first page: it has to be read anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KubernetesConnection:
    """Where the Kubernetes API is. Without an address: as the pod's service account, or else as kubeconfig says."""

    url: str | None = None
    token: str | None = None
    ca_file: Path | None = None
    context: str | None = None
    kubeconfig: Path | None = None
    seconds: float = 15.0


class KubernetesNodes:
    """A `NodesSource`."""

    def __init__(self, connection: KubernetesConnection) -> None:
        self._connection = connection
        self._client: Any = None

    def nodes(self) -> Sequence[KubernetesNode]:
        """All nodes by name.

        Raises:
            Unavailable: no answer, no permission, or no configuration.
        """
        try:
            found = {node.name: node for node in self._read()}
        except _Expired:
            found = {node.name: node for node in self._read()}
        return [found[name] for name in sorted(found)]

    def close(self) -> None:
        """Close all connections."""
        if self._client is not None:
            self._client.rest_client.pool_manager.clear()
            self._client.close()
            self._client = None

    def _read(self) -> Iterator[KubernetesNode]:
        token = ""
        while True:
            page = self._page(token)
            yield from (read_node(one) for one in page.get("items") or () if isinstance(one, dict))
            token = str((page.get("metadata") or {}).get("continue") or "")
            if not token:
                return

    def _page(self, token: str) -> Mapping[str, Any]:
        import kubernetes.client.exceptions as kubernetes  # noqa: PLC0415 (0.6 s to import)
        import urllib3  # noqa: PLC0415

        try:
            return self._ask(token)
        except kubernetes.ApiException as error:
            if error.status == _GONE:
                raise _Expired from error
            raise Unavailable(
                f"the Kubernetes API refuses its nodes ({error.status}): {error.reason}"
            ) from error
        except urllib3.exceptions.HTTPError as error:
            raise Unavailable(f"the Kubernetes API does not answer: {error}") from error

    def _ask(self, token: str) -> Mapping[str, Any]:
        if self._client is None:
            self._client = open_client(self._connection)
        query = [("limit", _PAGE), *([("continue", token)] if token else [])]
        found = self._client.call_api(
            "/api/v1/nodes",
            "GET",
            query_params=query,
            header_params={"Accept": "application/json"},
            response_type="object",
            auth_settings=["BearerToken"],
            _return_http_data_only=True,
            _request_timeout=(self._connection.seconds, self._connection.seconds),
        )
        if not isinstance(found, dict):
            raise Unavailable("what answers is not the Kubernetes API")
        return found


class _Expired(Exception):
    """The list has to be read anew."""


def open_client(connection: KubernetesConnection) -> Any:
    """A client of the official package. Contacts nobody yet.

    Raises:
        Unavailable: There is no configuration that it could read.
    """
    from kubernetes import client, config  # noqa: PLC0415

    settings = client.Configuration()
    settings.retries = False
    if connection.url is not None:
        settings.host = connection.url.rstrip("/")
        settings.ssl_ca_cert = None if connection.ca_file is None else str(connection.ca_file)
        if connection.token is not None:
            settings.api_key = {"authorization": f"Bearer {connection.token}"}
        return client.ApiClient(settings)
    try:
        _load(config, settings, connection)
    except (config.ConfigException, OSError, TypeError) as error:
        raise Unavailable(f"no way to the Kubernetes API is configured: {error}") from error
    return client.ApiClient(settings)


def _load(config: Any, settings: Any, connection: KubernetesConnection) -> None:
    if connection.kubeconfig is None and connection.context is None:
        # Not by its `load_config`: that one hands a context to what knows none, and prints what it does.
        with suppress(config.ConfigException):
            config.load_incluster_config(client_configuration=settings)
            return
    config.load_kube_config(
        config_file=None if connection.kubeconfig is None else str(connection.kubeconfig),
        client_configuration=settings,
        context=connection.context,
    )
