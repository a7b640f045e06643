"""HTTP with patience: tries again what may be tried again, and turns every refusal into an `ApiError`."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from nodewise.core.errors import NodewiseError
from nodewise.sdk.client.errors import ApiError, NotReachable

TRY_AGAIN = frozenset({429, 502, 503, 504})
_FIRST_DELAY_SECONDS = 0.2
_LONGEST_DELAY_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One call. `repeatable` says that sending it twice does the same as once, so that it may be tried again.

    `timeout`: seconds for one try, where it takes longer than others.
    """

    method: str
    path: str
    params: Mapping[str, Any] | None = None
    json: object = None
    content: Any = None
    headers: Mapping[str, str] | None = None
    repeatable: bool = True
    timeout: float | None = None


class Transport:
    """Owns the connection pool. `api_key` goes with every request, to `url` only. `sleep` is for tests."""

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        timeout: float,
        retries: int,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = url
        self._retries = retries
        self._sleep = sleep
        # Without TLS no certificates: loading them is most of the time that a client takes to make. No redirect is followed.
        plain = url.lower().startswith("http://")
        try:
            self._http = httpx.Client(
                base_url=url, timeout=timeout, transport=transport, verify=not plain, follow_redirects=False,
                headers={"User-Agent": "nodewise-sdk"} | ({} if api_key is None else {"Authorization": f"Bearer {api_key}"}),
            )  # fmt: skip
        except httpx.InvalidURL as error:
            raise NotReachable(url, f"no valid address: {error}") from error

    def close(self) -> None:
        self._http.close()

    def send(self, request: Request) -> httpx.Response:
        """The answer, if it is a success.

        Raises:
            NotReachable: No answer, after all tries.
            ApiError: The API refused.
        """
        attempt = 0
        while True:
            answer = self._try(request)
            if isinstance(answer, httpx.Response) and answer.is_success:
                return answer
            if not (request.repeatable and _may_pass(answer) and self.pause(attempt, answer)):
                raise self._error(answer)
            attempt += 1

    def _try(self, request: Request) -> httpx.Response | httpx.TransportError:
        timeout = self._http.timeout if request.timeout is None else request.timeout
        try:
            return self._http.request(
                request.method, request.path, params=_without_none(request.params), json=request.json,
                content=_body(request.content), headers=request.headers, timeout=timeout,
            )  # fmt: skip
        except httpx.TransportError as error:
            return error

    def _error(self, answer: httpx.Response | httpx.TransportError) -> NodewiseError:
        if isinstance(answer, httpx.Response):
            return refusal(answer)
        error = NotReachable(self.url, _cause(answer))
        error.__cause__ = answer
        return error

    @contextmanager
    def stream(self, path: str, *, headers: Mapping[str, str]) -> Iterator[httpx.Response]:
        """An answer whose body is read as it comes; may stay silent for as long as it likes.

        Raises:
            ApiError: The API refused.
        """
        timeout = httpx.Timeout(self._http.timeout.connect, read=None)
        with self._http.stream("GET", path, headers=headers, timeout=timeout) as response:
            if not response.is_success:
                response.read()
                raise refusal(response)
            yield response

    def pause(self, attempt: int, answer: object = None) -> bool:
        """Wait after failure `attempt` (from 0), as long as the answer asks for; False when patience is at its end."""
        if attempt >= self._retries:
            return False
        self._sleep(_delay(attempt, answer))
        return True


def refusal(response: httpx.Response) -> ApiError:
    """The error that an unsuccessful answer stands for."""
    try:
        body: object = response.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        body = response.text
    reason = f"{response.status_code} {response.reason_phrase}"
    return ApiError.from_body(response.status_code, body, reason=reason)


def _may_pass(answer: httpx.Response | httpx.TransportError) -> bool:
    return not isinstance(answer, httpx.Response) or answer.status_code in TRY_AGAIN


def _delay(attempt: int, answer: object) -> float:
    said = answer.headers.get("Retry-After", "") if isinstance(answer, httpx.Response) else ""
    wanted = float(said) if said.isdigit() else _FIRST_DELAY_SECONDS * 2**attempt
    return min(wanted, _LONGEST_DELAY_SECONDS)


def _body(content: Any) -> Any:
    """A fresh body for each try: a callable makes one, so that an upload can be repeated."""
    return content() if callable(content) else content


def _without_none(params: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if params is None else {key: value for key, value in params.items() if value is not None}


def _cause(error: httpx.TransportError) -> str:
    text = str(error).strip()
    # The usual case needs no more words than the advice.
    return "" if isinstance(error, httpx.ConnectError) else f"{type(error).__name__}: {text}"
