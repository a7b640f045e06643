"""A gateway on this test's own servers, and a client for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from nodewise.api import create_api
from nodewise.api.wiring import Services
from nodewise.core.settings import Settings
from tests.support.http import serving
from tests.support.pipelines import compiled


@dataclass
class Clock:
    """The system's clock, turned ahead as far as a test likes."""

    ahead: timedelta = field(default_factory=timedelta)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@dataclass(frozen=True)
class Api:
    """The gateway as a client sees it."""

    http: httpx.Client
    services: Services
    clock: Clock

    def submit(
        self, pipeline: dict[str, Any] | None = None, *, key: str | None = None, **options: Any
    ) -> Any:
        """POST /v1/runs with that pipeline (default: a chain of three)."""
        headers = {"Idempotency-Key": key} if key else {}
        body = {"pipeline_spec": pipeline or compiled(), **options}
        return self.http.post("/v1/runs", json=body, headers=headers)

    def accepted(self, pipeline: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
        """The run that a submission became."""
        answer = self.submit(pipeline, **options)
        assert answer.status_code == 202, answer.text
        run: dict[str, Any] = answer.json()
        return run

    def refused(self, answer: httpx.Response, status: int) -> dict[str, Any]:
        """The problem that an answer is; fails unless it is one, in its proper form."""
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        problem: dict[str, Any] = answer.json()
        assert set(problem) == {"type", "title", "status", "detail", "errors"}
        assert problem["status"] == status
        return problem

    def fields(self, answer: httpx.Response, status: int = 422) -> list[str]:
        """The fields that a refusal names."""
        return [fault["field"] for fault in self.refused(answer, status)["errors"]]


@contextmanager
def running(settings: Settings) -> Iterator[Api]:
    """A gateway with these settings behind a real server."""
    clock = Clock()
    services = replace(Services.connect(settings), clock=clock)
    # No TLS here, and certificates take longer to load than a request to answer.
    with (
        serving(create_api(settings, services)) as url,
        httpx.Client(base_url=url, timeout=30, verify=False) as client,
    ):
        yield Api(http=client, services=services, clock=clock)
        services.stopping.set()


@pytest.fixture
def api(settings: Settings) -> Iterator[Api]:
    """A gateway with small limits."""
    with running(settings.model_copy(update={"max_body_mib": 1, "max_dataset_mib": 1})) as api:
        yield api
