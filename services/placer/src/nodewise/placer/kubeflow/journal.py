"""What is on record of submissions: `core.engine.kubeflow.submission.SubmissionJournal` on Postgres."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Engine

from nodewise.core.db.engine import transaction
from nodewise.core.db.queries import kubeflow
from nodewise.core.engine.kubeflow.runs import KfpRun
from nodewise.core.model.ids import RunId


class PostgresJournal:
    """Each call is a transaction of its own."""

    def __init__(self, engine: Engine, clock: Callable[[], datetime]) -> None:
        self._engine = engine
        self._clock = clock

    def posted_at(self, run_id: RunId) -> datetime | None:
        with transaction(self._engine) as connection:
            return kubeflow.posted_at(connection, run_id)

    def intend(self, run_id: RunId, at: datetime, *, instead_of: datetime | None) -> bool:
        with transaction(self._engine) as connection:
            return kubeflow.intend(connection, run_id, at, instead_of=instead_of)

    def withdraw(self, run_id: RunId) -> None:
        with transaction(self._engine) as connection:
            kubeflow.withdraw(connection, run_id)

    def confirm(self, run_id: RunId, run: KfpRun) -> None:  # noqa: ARG002 - what else of it counts, the recorder reads
        with transaction(self._engine) as connection:
            kubeflow.confirm(connection, run_id, at=self._clock())
