"""What teams have of their quotas. Reads, and locks that make a count and what follows from it one."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection, text

from nodewise.core.model.resources import Resources


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamUse:
    """What a team has now: what its tasks hold, and how many of its runs have not begun."""

    held: Resources = field(default_factory=Resources)
    queued_runs: int = 0


# One submission of a team at a time counts, so that two cannot both be the last one. Of no other team; collisions of the hash
# only let one wait for another.
_LOCK = text("SELECT pg_advisory_xact_lock(:space, hashtext(:team))")
_LOCK_SPACE = 0x71756F74

_QUEUED = text("SELECT count(*) FROM runs WHERE team = :team AND state = 'PENDING'")

_USE = text("""
WITH queued AS (
    SELECT team, count(*) AS runs FROM runs
    WHERE state = 'PENDING' AND (CAST(:team AS text) IS NULL OR team = :team) GROUP BY team
), held AS (
    SELECT r.team, sum(b.millicores)::bigint AS millicores, sum(b.memory_mib)::bigint AS memory_mib, sum(b.gpus)::bigint AS gpus
    FROM bookings AS b JOIN runs AS r ON r.id = b.run_id
    WHERE b.released_at IS NULL AND (CAST(:team AS text) IS NULL OR r.team = :team) GROUP BY r.team
)
SELECT team, coalesce(queued.runs, 0) AS runs, coalesce(held.millicores, 0) AS millicores,
       coalesce(held.memory_mib, 0) AS memory_mib, coalesce(held.gpus, 0) AS gpus
FROM queued FULL JOIN held USING (team) ORDER BY team COLLATE "C"
""")


def lock_queued_runs(connection: Connection, team: str) -> int:
    """How many of the team's runs have not begun. Nobody else who asks so adds one before this transaction ends."""
    connection.execute(_LOCK, {"space": _LOCK_SPACE, "team": team})
    return int(connection.execute(_QUEUED, {"team": team}).scalar_one())


def use_by_team(connection: Connection, *, team: str | None) -> Mapping[str, TeamUse]:
    """What that team (None: each) has; teams that have nothing are left out."""
    return {
        row.team: TeamUse(
            held=Resources(millicores=row.millicores, memory_mib=row.memory_mib, gpus=row.gpus),
            queued_runs=row.runs,
        )
        for row in connection.execute(_USE, {"team": team})
    }
