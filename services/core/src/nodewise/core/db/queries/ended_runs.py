"""Runs that have ended: trying them again, putting them away. Writers: api, and recorder of what KFP was told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from nodewise.core.lifecycle import RunState
from nodewise.core.model.ids import RunId


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """What a run was submitted with, as far as the next try of it is the same; its deadline was its own."""

    state: RunState
    spec_digest: str
    name: str
    parameters: Mapping[str, object]
    labels: Mapping[str, str]
    team: str
    priority: int
    policy: str
    strategy: str
    engine: str
    caching: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ToArchive:
    """A run of which KFP has not been told yet that it was put away (`archived`), or taken back."""

    run_id: RunId
    archived: bool


# Held until its next try is on record: retention does not take it from under that.
_STORED = text("""
SELECT state, spec_digest, name, parameters, labels, team, priority, policy, strategy, engine, caching
FROM runs WHERE id = :run_id AND (CAST(:team AS text) IS NULL OR team = :team) FOR KEY SHARE
""")

_ARCHIVE = text("""
UPDATE runs SET archived_at = CASE WHEN :archived THEN coalesce(archived_at, :at) END
WHERE id = :run_id AND state IN ('SUCCEEDED', 'FAILED', 'CANCELED')
  AND (CAST(:team AS text) IS NULL OR team = :team)
RETURNING id
""")

_TO_ARCHIVE = text("""
SELECT id, archived_at IS NOT NULL AS archived FROM runs
WHERE engine = 'kubeflow' AND (archived_at IS NOT NULL) <> archived_in_kfp
ORDER BY id LIMIT :limit
""")

_TOLD = text("UPDATE runs SET archived_in_kfp = :archived WHERE id = :run_id")


def stored_run(connection: Connection, run_id: RunId, *, team: str | None = None) -> StoredRun | None:
    """What that run was submitted with; None: there is no such run of that team (None: of any)."""
    row = connection.execute(_STORED, {"run_id": run_id, "team": team}).mappings().first()
    return StoredRun(**{**row, "state": RunState(row["state"])}) if row else None


def archive_run(
    connection: Connection, run_id: RunId, *, archived: bool, now: datetime, team: str | None = None
) -> bool:
    """Put a run away, or take it back; asking again changes nothing.

    False: it has not ended, or there is no such run of that team (None: of any).
    """
    values = {"run_id": run_id, "archived": archived, "at": now, "team": team}
    return connection.execute(_ARCHIVE, values).first() is not None


def runs_to_archive(connection: Connection, *, limit: int) -> Sequence[ToArchive]:
    """Runs on KFP that were put away, or taken back, since KFP was told. Costs what is to be done, not what was."""
    rows = connection.execute(_TO_ARCHIVE, {"limit": limit})
    return [ToArchive(run_id=RunId(str(row.id)), archived=row.archived) for row in rows]


def note_told(connection: Connection, one: ToArchive) -> None:
    """KFP was told, or has nothing to be told of."""
    connection.execute(_TOLD, {"run_id": one.run_id, "archived": one.archived})
