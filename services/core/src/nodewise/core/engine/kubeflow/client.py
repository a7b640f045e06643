"""KFP's API through KFP's own Python client, which is imported when first needed.

Answers are read as plain JSON, not into the client's models: those know one version of KFP, and neither v1beta1.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import quote

from nodewise.core.engine.kubeflow.connection import KfpConnection
from nodewise.core.engine.kubeflow.errors import KfpRefused, KfpUnauthorized, KfpUnavailable
from nodewise.core.engine.kubeflow.runs import KfpRun, read_run

LARGEST_PAGE: Final = 200
_RUNS: Final = "/apis/v2beta1/runs"
_TOO_MANY: Final = 429
_LONGEST_MESSAGE: Final = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPage:
    """Some runs, and where the list goes on; an empty token is its end."""

    runs: tuple[KfpRun, ...]
    next_token: str = ""


class KfpApi(Protocol):
    """What the engine asks of KFP. All raise `KfpUnavailable` and `KfpRefused`."""

    def get_run(self, run_id: str) -> KfpRun | None: ...
    def create_run(self, body: Mapping[str, Any]) -> KfpRun: ...
    def list_runs(
        self, *, page_token: str = "", page_size: int = LARGEST_PAGE, sort_by: str = "", filter_by: str = ""
    ) -> RunPage: ...
    def run_in_v1(self, run_id: str) -> Mapping[str, Any] | None: ...
    def act(self, run_id: str, verb: str) -> None: ...


class KfpClient:
    """KFP over HTTP. It tries nothing twice: who calls decides, and knows what that would mean."""

    def __init__(self, connection: KfpConnection) -> None:
        self._connection = connection
        self._client: Any = None

    def get_run(self, run_id: str) -> KfpRun | None:
        """The run; None when KFP answers that it has none of that id."""
        found = self._unless_missing("GET", f"{_RUNS}/{quote(run_id, safe='')}")
        return None if found is None else read_run(found)

    def create_run(self, body: Mapping[str, Any]) -> KfpRun:
        """Post a run. KFP does not look whether it has one of that id: ask before."""
        return read_run(self._call("POST", _RUNS, body=body))

    def list_runs(
        self, *, page_token: str = "", page_size: int = LARGEST_PAGE, sort_by: str = "", filter_by: str = ""
    ) -> RunPage:
        """One page. With a token, sort and filter are those of the first page, whatever is given."""
        query: dict[str, Any] = {"page_size": page_size}
        if page_token:
            query["page_token"] = page_token
        else:
            query.update(
                {"sort_by": sort_by} if sort_by else {}, **({"filter": filter_by} if filter_by else {})
            )
        found = self._call("GET", _RUNS, query=query)
        runs = tuple(read_run(one) for one in found.get("runs") or () if isinstance(one, dict))
        return RunPage(runs=runs, next_token=str(found.get("next_page_token") or ""))

    def run_in_v1(self, run_id: str) -> Mapping[str, Any] | None:
        """The run as v1beta1 shows it, with Argo's workflow; None where there is no such run or no v1beta1."""
        return self._unless_missing("GET", f"/apis/v1beta1/runs/{quote(run_id, safe='')}", missing=(404, 501))

    def act(self, run_id: str, verb: str) -> None:
        """Do one of terminate, retry, archive, unarchive; or `delete`."""
        path = f"{_RUNS}/{quote(run_id, safe='')}"
        if verb == "delete":
            self._call("DELETE", path)
        else:
            self._call("POST", f"{path}:{verb}")

    def version(self) -> str:
        """KFP's version as its health check names it; empty where it does not."""
        return str(self._call("GET", "/apis/v2beta1/healthz").get("tag_name") or "")

    def close(self) -> None:
        """Close all connections."""
        if self._client is not None:
            self._client.rest_client.pool_manager.clear()
            self._client.close()
            self._client = None

    def _unless_missing(
        self, method: str, path: str, *, missing: tuple[int, ...] = (404,)
    ) -> Mapping[str, Any] | None:
        try:
            return self._call(method, path)
        except KfpRefused as error:
            if error.status in missing:
                return None
            raise

    def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Mapping[str, Any]:
        import kfp_server_api as kfp  # noqa: PLC0415 (0.2 s to import)
        import urllib3  # noqa: PLC0415

        request = f"{method} {path}"
        try:
            found = self._send(method, path, query=query, body=body)
        except kfp.ApiException as error:
            raise _from_status(request, error) from error
        except (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError) as error:
            raise KfpUnavailable(request, "no connection", uncertain=False) from error
        except urllib3.exceptions.HTTPError as error:
            raise KfpUnavailable(request, _brief(error), uncertain=True) from error
        except AttributeError as error:
            # The client trips over its own report of a failed TLS handshake, which has no body.
            raise KfpUnavailable(request, _brief(error.__context__ or error), uncertain=False) from error
        if not isinstance(found, dict):
            raise KfpUnavailable(request, "what answers is not Kubeflow Pipelines", uncertain=True)
        return found

    def _send(
        self, method: str, path: str, *, query: Mapping[str, Any] | None, body: Mapping[str, Any] | None
    ) -> object:
        connection = self._connection
        return self._ready().call_api(
            path,
            method,
            query_params=list((query or {}).items()),
            header_params={
                "Accept": "application/json",
                "Content-Type": "application/json",
                **self._authorization(),
            },
            body=None if body is None else dict(body),
            response_type="object",
            auth_settings=[],
            _return_http_data_only=True,
            _request_timeout=(connection.connect_seconds, connection.read_seconds),
        )

    def _authorization(self) -> dict[str, str]:
        try:
            token = self._connection.bearer()
        except OSError as error:
            raise KfpUnauthorized("any request", 401, f"the token file cannot be read: {error}") from error
        return {} if token is None else {"authorization": f"Bearer {token}"}

    def _ready(self) -> Any:
        if self._client is None:
            self._client = _client(self._connection)
        return self._client


def _client(connection: KfpConnection) -> Any:
    import kfp_server_api as kfp  # noqa: PLC0415

    settings = kfp.Configuration(host=connection.url.rstrip("/"))
    settings.retries = False
    settings.verify_ssl = connection.verify_tls
    settings.ssl_ca_cert = _text(connection.ca_file)
    settings.cert_file = _text(connection.client_certificate)
    settings.key_file = _text(connection.client_key)
    return kfp.ApiClient(settings, cookie=connection.cookie)


def _from_status(request: str, error: Any) -> KfpUnavailable | KfpRefused:
    status, message = int(error.status or 0), _message(error)
    if status == 404 and "code" not in _body(error):
        # A proxy without a route to KFP must not look like a KFP that has lost its runs.
        return KfpUnavailable(request, "what answers is not Kubeflow Pipelines (404)", uncertain=False)
    if status >= 500 and status != 501:
        return KfpUnavailable(request, f"{status}: {message}", uncertain=True)
    if status in (_TOO_MANY, 0):
        return KfpUnavailable(request, message, uncertain=False)
    if status in (401, 403) or 300 <= status < 400:
        return KfpUnauthorized(request, status, message)
    return KfpRefused(request, status, message)


def _message(error: Any) -> str:
    body = _body(error)
    return str(body.get("message") or body.get("error") or error.reason or error.body or "")[
        :_LONGEST_MESSAGE
    ]


def _body(error: Any) -> Mapping[str, Any]:
    try:
        read = json.loads(error.body or "")
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}


def _brief(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:300]


def _text(path: object) -> str | None:
    return None if path is None else str(path)
