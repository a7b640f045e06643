"""Results that may be reused. Writer: recorder (retention removes them: `queries.pruning`)."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, Row, text

from nodewise.core.codec import decode
from nodewise.core.ir.caching import CacheKey
from nodewise.core.model.artifact import TaskOutputs
from nodewise.core.model.ids import RunId, TaskPath, TaskRef

_COMPARED: Final = 20
"""Of the earlier results of a component, how many of the latest are looked at to say why none fits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedResult:
    """What an equal task left, and which one it was."""

    ref: TaskRef
    outputs: TaskOutputs
    stored_at: datetime


# Held until the task that reuses it is on record: retention removes neither it nor its content before (queries.pruning).
_FIND = text(
    "SELECT run_id, path, outputs, stored_at FROM cached_results WHERE digest = :digest FOR KEY SHARE"
)

_LATEST = text("""
SELECT digest, parts FROM cached_results WHERE component = :component AND parts -> 'team' ->> 'digest' IS NOT DISTINCT FROM CAST(:team AS text)
ORDER BY stored_at DESC LIMIT :limit
""")

# The latest result stands: what an older one refers to may be gone from the store.
_STORE = text("""
INSERT INTO cached_results (digest, component, parts, outputs, run_id, path, stored_at)
SELECT DISTINCT ON (t.cache ->> 'digest') t.cache ->> 'digest', t.component, t.cache -> 'parts', t.outputs, t.run_id, t.path,
       CAST(:at AS timestamptz)
FROM tasks AS t JOIN jsonb_to_recordset(CAST(:rows AS jsonb)) AS v(run_id uuid, path text) USING (run_id, path)
WHERE t.state = 'SUCCEEDED' AND t.cache IS NOT NULL AND t.outputs IS NOT NULL
ORDER BY t.cache ->> 'digest', t.run_id, t.path
ON CONFLICT (digest) DO UPDATE SET
    parts = excluded.parts, outputs = excluded.outputs, run_id = excluded.run_id, path = excluded.path,
    stored_at = excluded.stored_at
""")


def find_result(connection: Connection, digest: str) -> CachedResult | None:
    """The result under that digest; it stays for as long as this transaction."""
    row = connection.execute(_FIND, {"digest": digest}).first()
    return None if row is None else _result(row)


def latest_keys(connection: Connection, component: str, team: str | None) -> Sequence[CacheKey]:
    """The keys of a component's latest results, latest first, of the team with that `team_digest`."""
    values = {"component": component, "team": team, "limit": _COMPARED}
    rows = connection.execute(_LATEST, values)
    return [decode(CacheKey, {"digest": row.digest, "parts": row.parts}) for row in rows]


def store_results(connection: Connection, refs: Sequence[TaskRef], *, at: datetime) -> None:
    """Keep what these tasks left, as far as they succeeded and may be reused."""
    if not refs:
        return
    rows = json.dumps([{"run_id": ref.run_id, "path": ref.path} for ref in refs])
    connection.execute(_STORE, {"rows": rows, "at": at})


def _result(row: "Row[tuple[object, ...]]") -> CachedResult:
    return CachedResult(
        ref=TaskRef(run_id=RunId(str(row.run_id)), path=TaskPath(row.path)),
        outputs=decode(TaskOutputs, row.outputs),
        stored_at=row.stored_at,
    )
