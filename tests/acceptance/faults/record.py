"""What the stack's database says, asked from outside while it may be restarted at any moment."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, TypeVar

import psycopg

from nodewise.core.lifecycle import FINAL_RUN_STATES, AttemptState, RunState
from tests.acceptance.faults.effects import Recorded

T = TypeVar("T")


class Record:
    """Asks again with a new connection when the old one breaks; an answer is None while there is none."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def all(self, query: str, *values: object) -> list[tuple[Any, ...]] | None:
        try:
            if self._connection is None:
                self._connection = psycopg.connect(self._url, autocommit=True, connect_timeout=5)
            return self._connection.execute(query, values).fetchall()
        except psycopg.Error:
            with suppress(psycopg.Error):
                self.close()
            self._connection = None
            return None

    def _one(self, make: Callable[[tuple[Any, ...]], T], query: str, *values: object) -> T | None:
        rows = self.all(query, *values)
        return make(rows[0]) if rows else None

    def first_end_after(self, moment: datetime) -> datetime | None:
        """When the first task ended well that ended after that."""
        query = "SELECT min(at) FROM events WHERE event = 'succeed' AND path IS NOT NULL AND at > %s"
        return self._one(lambda row: row[0], query, moment)

    def states(self) -> Mapping[str, RunState] | None:
        rows = self.all("SELECT id, state FROM runs")
        return None if rows is None else {str(run_id): RunState(state) for run_id, state in rows}

    def ended(self) -> set[str] | None:
        states = self.states()
        return (
            None
            if states is None
            else {run_id for run_id, state in states.items() if state in FINAL_RUN_STATES}
        )

    def ends(self) -> list[datetime]:
        """When tasks ended well, in order."""
        rows = self.all("SELECT at FROM events WHERE event = 'succeed' AND path IS NOT NULL ORDER BY at")
        return [at for (at,) in rows or ()]

    def recorded(self) -> dict[str, dict[str, Recorded]]:
        """What is on record of each task, by run and path."""
        states: dict[tuple[str, str], dict[int, AttemptState]] = {}
        for run_id, path, attempt, state in (
            self.all("SELECT run_id, path, attempt, state FROM attempts") or ()
        ):
            states.setdefault((str(run_id), path), {})[attempt] = AttemptState(state)
        found: dict[str, dict[str, Recorded]] = {}
        query = "SELECT run_id, path, outputs #>> '{parameters,Output}' FROM tasks"
        for run_id, path, token in self.all(query) or ():
            task = Recorded(states=states.get((str(run_id), path), {}), token=token)
            found.setdefault(str(run_id), {})[path] = task
        return found

    def counts(self) -> dict[str, int]:
        """Attempts by their ends, and bookings that were too much, by the view for people."""
        rows = self.all("SELECT state, count(*) FROM attempts GROUP BY state ORDER BY state") or ()
        return {str(state): int(count) for state, count in rows}
