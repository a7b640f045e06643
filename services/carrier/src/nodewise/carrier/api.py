"""The Kubernetes API as a carrier uses it, through the official client, in plain JSON."""

import json
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from nodewise.core.engine.kubeflow.kubernetes_api import KubernetesConnection, open_client
from nodewise.core.errors import NodewiseError, Unavailable

Object = Mapping[str, Any]

_PAGE: Final = 500
_GONE, _NOT_FOUND, _CONFLICT, _FORBIDDEN = 410, 404, 409, 403
_TRY_AGAIN: Final = frozenset({408, 429})
_WATCH_SECONDS: Final = 60
_OWN_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_DEFAULT_NAMESPACE: Final = "default"


class Refused(NodewiseError):
    """The API has answered, and does not do it: asking again as it is does not help."""

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        super().__init__(f"Kubernetes refuses it ({status}): {text}")

    @property
    def lacks_rights(self) -> bool:
        return self.status in (401, _FORBIDDEN)


class KubernetesApi:
    """All calls raise `Unavailable` where nothing can be said of the cluster, and `Refused` where it says no. Thread-safe."""

    def __init__(self, connection: KubernetesConnection, namespace: str | None = None) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._client: Any = None
        self.namespace = namespace or _namespace_of(connection)

    def close(self) -> None:
        with self._lock:
            if self._client is not None:
                self._client.rest_client.pool_manager.clear()
                self._client.close()
                self._client = None

    def version(self) -> str:
        return str(self._call("GET", "/version").get("gitVersion") or "unknown")

    def nodes(self, selector: str | None) -> Sequence[Object]:
        return self._list("/api/v1/nodes", selector)

    def pods_everywhere(self) -> Sequence[Object]:
        """What is not over, in all namespaces."""
        running = [("fieldSelector", "status.phase!=Succeeded,status.phase!=Failed")]
        return self._list("/api/v1/pods", None, running)

    def pods(self, selector: str) -> Sequence[Object]:
        return self._list(self._core("pods"), selector)

    def jobs(self, selector: str) -> Sequence[Object]:
        return self._list(self._batch(), selector)

    def create_job(self, manifest: Object) -> None:
        """Make it, unless there is one of its name."""
        try:
            self._call("POST", self._batch(), body=manifest)
        except Refused as error:
            if error.status != _CONFLICT:
                raise

    def limit_job(self, name: str, seconds: int) -> None:
        """Let it run so long from its start."""
        body = {"spec": {"activeDeadlineSeconds": seconds}}
        self._call("PATCH", f"{self._batch()}/{name}", body=body, kind="application/merge-patch+json")

    def delete_job(self, name: str) -> None:
        """Remove it, when its pods have ended; nothing where there is none."""
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Foreground"}
        try:
            self._call("DELETE", f"{self._batch()}/{name}", body=body)
        except Refused as error:
            if error.status != _NOT_FOUND:
                raise

    def log(self, pod: str, container: str, *, limit_bytes: int, tail_lines: int | None = None) -> bytes:
        """What a container has said; empty where nothing can be had of it (any more)."""
        query: list[tuple[str, object]] = [("container", container), ("limitBytes", limit_bytes)]
        if tail_lines is not None:
            query.append(("tailLines", tail_lines))
        try:
            answer = self._raw("GET", f"{self._core('pods')}/{pod}/log", query=query)
        except Refused:
            return b""
        return bytes(answer.data)

    def may(self, verb: str, resource: str, *, group: str = "", namespace: str | None = None) -> bool:
        """Whether we have that right; a subresource is written `pods/log`."""
        name, _, sub = resource.partition("/")
        attributes = {"verb": verb, "resource": name, "group": group}
        attributes |= {"subresource": sub} if sub else {}
        attributes |= {"namespace": namespace} if namespace else {}
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        answer = self._call("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body=body)
        return bool((answer.get("status") or {}).get("allowed"))

    def exists(self, resource: str, name: str) -> bool:
        """Whether the namespace has a core object of that kind and name."""
        try:
            self._call("GET", f"{self._core(resource)}/{name}")
        except Refused as error:
            if error.status == _NOT_FOUND:
                return False
            raise
        return True

    def changes(self, selector: str) -> Generator[None, None, None]:
        """Yields when something happened to the pods of ours, until the API ends it; what happened has to be read."""
        query: list[tuple[str, object]] = [
            ("labelSelector", selector), ("watch", "1"), ("timeoutSeconds", _WATCH_SECONDS),
        ]  # fmt: skip
        import urllib3  # noqa: PLC0415 (with the client)

        answer = self._raw("GET", self._core("pods"), query=query, seconds=_WATCH_SECONDS + 10)
        try:
            for _ in answer.stream(1 << 16):
                yield
        except urllib3.exceptions.HTTPError as error:
            raise Unavailable(f"the Kubernetes API does not answer: {error}") from error
        finally:
            answer.close()
            answer.release_conn()

    def _core(self, resource: str) -> str:
        return f"/api/v1/namespaces/{self.namespace}/{resource}"

    def _batch(self) -> str:
        return f"/apis/batch/v1/namespaces/{self.namespace}/jobs"

    def _list(
        self, path: str, selector: str | None, query: Sequence[tuple[str, object]] = ()
    ) -> Sequence[Object]:
        given = [*query, ("limit", _PAGE), *([("labelSelector", selector)] if selector else [])]
        for _ in range(2):
            try:
                return list(self._pages(path, given))
            except Refused as error:
                if error.status != _GONE:
                    raise
        raise Unavailable("the Kubernetes API changes its lists faster than they can be read")

    def _pages(self, path: str, query: Sequence[tuple[str, object]]) -> Iterator[Object]:
        token = ""
        while True:
            page = self._call("GET", path, query=[*query, *([("continue", token)] if token else [])])
            yield from (one for one in page.get("items") or () if isinstance(one, dict))
            token = str((page.get("metadata") or {}).get("continue") or "")
            if not token:
                return

    def _call(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, object]] = (),
        body: Object | None = None,
        kind: str = "application/json",
    ) -> Object:
        answer = self._raw(method, path, query=query, body=body, kind=kind)
        try:
            found = json.loads(answer.data)
        except ValueError as error:
            raise Unavailable("what answers is not the Kubernetes API") from error
        if not isinstance(found, dict):
            raise Unavailable("what answers is not the Kubernetes API")
        return found

    def _raw(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, object]] = (),
        body: Object | None = None,
        kind: str = "application/json",
        seconds: float | None = None,
    ) -> Any:
        import kubernetes.client.exceptions as kubernetes  # noqa: PLC0415 (0.6 s to import)
        import urllib3  # noqa: PLC0415

        limit = self._connection.seconds
        try:
            return self._opened().call_api(
                path,
                method,
                query_params=list(query),
                header_params={"Accept": "application/json, */*", "Content-Type": kind},
                body=body,
                auth_settings=["BearerToken"],
                _preload_content=False,
                _return_http_data_only=True,
                _request_timeout=(min(limit, 5.0), seconds or limit),
            )
        except kubernetes.ApiException as error:
            raise _told(error) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Unavailable(f"the Kubernetes API does not answer: {error}") from error

    def _opened(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = open_client(self._connection)
            return self._client


def _told(error: Any) -> NodewiseError:
    status = int(error.status or 0)
    text = _message(error)
    if status in _TRY_AGAIN or status >= 500 or not status:
        return Unavailable(f"the Kubernetes API has trouble ({status}): {text}")
    return Refused(status, text)


def _message(error: Any) -> str:
    try:
        return str(json.loads(error.body)["message"])
    except (ValueError, TypeError, KeyError):
        return str(error.reason)


def _namespace_of(connection: KubernetesConnection) -> str:
    """Our own pod's, or that of the kubeconfig's context."""
    try:
        return _OWN_NAMESPACE.read_text().strip() or _DEFAULT_NAMESPACE
    except OSError:
        if connection.url is not None:
            return _DEFAULT_NAMESPACE
    from kubernetes import config  # noqa: PLC0415

    file = None if connection.kubeconfig is None else str(connection.kubeconfig)
    try:
        contexts, active = config.list_kube_config_contexts(config_file=file)
    except (config.ConfigException, OSError, TypeError):
        return _DEFAULT_NAMESPACE
    named = next((one for one in contexts if one["name"] == connection.context), active)
    return str(named["context"].get("namespace") or _DEFAULT_NAMESPACE)
