"""Experiments and recurring runs: as much of them as a client meets on its way to a run."""

import uuid
from collections.abc import Mapping
from typing import Any

from tests.support.kfp_server.clock import Clock
from tests.support.kfp_server.listing import page
from tests.support.kfp_server.shape import EPOCH, dense, exists, invalid, not_found, stamp

_FIELDS = frozenset(
    {
        "id",
        "experiment_id",
        "recurring_run_id",
        "display_name",
        "name",
        "created_at",
        "storage_state",
        "namespace",
        "status",
    }
)


class Table:
    """Rows with an id and a display name. `unique`: a name may be taken once only."""

    def __init__(self, clock: Clock, *, kind: str, key: str, plural: str, unique: bool) -> None:
        self._clock, self._kind, self._key, self._plural, self._unique = clock, kind, key, plural, unique
        self.rows: dict[str, dict[str, Any]] = {}

    def create(self, body: Mapping[str, Any], **defaults: Any) -> dict[str, Any]:
        name = body.get("display_name")
        if not name:
            raise invalid(f"the {self._kind}'s name is empty")
        if self._unique and any(row["display_name"] == name for row in self.rows.values()):
            raise exists(f"Failed to create a new {self._kind}. The name {name} already exists.")
        identity = str(uuid.uuid4())
        row = {**defaults, **body, self._key: identity, "created_at": stamp(self._clock.now)}
        self.rows[identity] = row
        return dense(row)

    def row(self, identity: str) -> dict[str, Any]:
        if identity not in self.rows:
            raise not_found(self._kind, identity)
        return self.rows[identity]

    def shown(self, identity: str) -> dict[str, Any]:
        return dense(self.row(identity))

    def set(self, identity: str, name: str, value: str) -> None:
        self.row(identity)[name] = value

    def delete(self, identity: str) -> None:
        del self.rows[self.row(identity)[self._key]]

    def listed(self, query: Mapping[str, str]) -> dict[str, Any]:
        rows = [{"namespace": "", "name": row["display_name"], **row} for row in self.rows.values()]
        found = page(rows, query, key=self._key, fields=_FIELDS)
        return dense({self._plural: [self.shown(row[self._key]) for row in found.pop("rows")], **found})


class Experiments(Table):
    """There is always one named Default."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock, kind="Experiment", key="experiment_id", plural="experiments", unique=True)
        made = self.create({"display_name": "Default"})
        self.default_id: str = made["experiment_id"]

    def create(self, body: Mapping[str, Any], **defaults: Any) -> dict[str, Any]:
        return super().create(body, storage_state="AVAILABLE", last_run_created_at=stamp(EPOCH), **defaults)


class RecurringRuns(Table):
    """Kept and shown; nothing is triggered."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock, kind="Job", key="recurring_run_id", plural="recurringRuns", unique=False)

    def create(self, body: Mapping[str, Any], **defaults: Any) -> dict[str, Any]:
        if not body.get("trigger"):
            raise invalid("a recurring run needs a trigger")
        enabled = body.get("mode") == "ENABLE"
        made = {**body, "max_concurrency": str(body.get("max_concurrency") or 1)}
        return super().create(made, status="ENABLED" if enabled else "DISABLED", **defaults)
