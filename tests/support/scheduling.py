"""Recurring runs on a real database, with a clock that only a test turns; schedules are made over HTTP, as users make them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from sqlalchemy import Engine, event, text

from nodewise.api import create_api
from nodewise.api.scheduling.ticker import Ticker
from nodewise.api.wiring import Services
from nodewise.core.db.engine import transaction
from nodewise.core.settings import Settings
from tests.support.http import serving
from tests.support.pipelines import compiled
from tests.support.recording import Clock

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Killed(BaseException):
    """The process is gone: nothing may catch this."""


@dataclass
class Desk:
    """An api with a clock to turn, and a ticker that looks when it is told to."""

    http: httpx.Client
    services: Services
    clock: Clock

    @property
    def engine(self) -> Engine:
        return self.services.engine

    def add(self, *, run: dict[str, Any] | None = None, **fields: Any) -> str:
        """Make a schedule, by default of a chain of three every hour from noon on; returns its id."""
        timed = {} if "cron" in fields else {"interval_seconds": 3600, "start_at": NOON.isoformat()}
        body = {"run": {"pipeline_spec": compiled(), **(run or {})}, **timed, **fields}
        answer = self.http.post("/v1/schedules", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def look(self, *, ahead: timedelta = timedelta()) -> None:
        """Turn the clock and look once, with a ticker that remembers nothing."""
        self.clock.now += ahead
        assert Ticker(self.services).look() is False

    def show(self, schedule_id: str) -> dict[str, Any]:
        shown: dict[str, Any] = self.http.get(f"/v1/schedules/{schedule_id}").json()
        return shown

    def ask(self, schedule_id: str, action: str) -> None:
        assert self.http.post(f"/v1/schedules/{schedule_id}/{action}").is_success

    def times(self, schedule_id: str | None = None) -> list[datetime]:
        """The times that got their runs, in the order in which the runs were made."""
        query = """
        SELECT scheduled_for FROM runs WHERE schedule_id IS NOT NULL AND (CAST(:id AS uuid) IS NULL OR schedule_id = :id)
        ORDER BY submitted_at, scheduled_for
        """
        with transaction(self.engine) as connection:
            return list(connection.execute(text(query), {"id": schedule_id}).scalars())

    def end_runs(self, *, most: int = 1000) -> None:
        """The oldest open runs succeed, as far as the record tells."""
        query = """
        UPDATE runs SET state = 'SUCCEEDED', finished_at = :now
        WHERE id IN (SELECT id FROM runs WHERE finished_at IS NULL ORDER BY scheduled_for LIMIT :most)
        """
        with transaction(self.engine) as connection:
            connection.execute(text(query), {"now": self.clock(), "most": most})

    def count(self, table: str) -> int:
        with transaction(self.engine) as connection:
            return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())

    @contextmanager
    def killed_before(self, statement: int) -> Iterator[list[int]]:
        """The process dies before its n-th statement, counted from 1; yields how many there were so far."""
        seen: list[int] = []

        def count(*_: object) -> None:
            seen.append(len(seen) + 1)
            if len(seen) == statement:
                raise Killed

        event.listen(self.engine, "before_cursor_execute", count)
        try:
            yield seen
        finally:
            event.remove(self.engine, "before_cursor_execute", count)


@contextmanager
def a_desk(settings: Settings, *, now: datetime = NOON - HOUR / 2) -> Iterator[Desk]:
    """A desk on these servers."""
    clock = Clock(now)
    services = replace(Services.connect(settings), clock=clock)
    # No TLS here, and certificates take longer to load than a request to answer.
    with (
        serving(create_api(settings, services)) as url,
        httpx.Client(base_url=url, timeout=30, verify=False) as client,
    ):
        yield Desk(http=client, services=services, clock=clock)
        services.stopping.set()
