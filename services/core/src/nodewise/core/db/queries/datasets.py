"""The registry of named data sets. Writer: api."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, RowMapping, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from nodewise.core.model.task import DataKind, DatasetFacts

_COLUMNS = (
    "name, uri, kind, size_bytes, samples, features, classes, types, normalised, created_at, updated_at, team"
)

_PUT = text(f"""
INSERT INTO datasets ({_COLUMNS})
VALUES (:name, :uri, :kind, :size_bytes, :samples, :features, :classes, :types, :normalised, :now, :now, :team)
ON CONFLICT (name) DO UPDATE SET
    uri = excluded.uri, kind = excluded.kind, size_bytes = excluded.size_bytes, samples = excluded.samples,
    features = excluded.features, classes = excluded.classes, types = excluded.types,
    normalised = excluded.normalised, updated_at = excluded.updated_at
WHERE :any_team OR datasets.team IS NULL OR datasets.team = excluded.team
RETURNING {_COLUMNS}
""").bindparams(bindparam("types", type_=JSONB))  # noqa: S608 - only the names of columns are put in

_ALL = text(f'SELECT {_COLUMNS} FROM datasets ORDER BY name COLLATE "C"')  # noqa: S608
_NAMED = text(f"SELECT {_COLUMNS} FROM datasets WHERE name = ANY(:names)")  # noqa: S608


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetRow:
    """A registered data set: where it lies, how large it is (measured), what its owner says of it."""

    name: str
    uri: str
    facts: DatasetFacts
    created_at: datetime
    updated_at: datetime
    team: str | None = None
    """Who may replace it; None: everybody who may register one."""


def put_dataset(
    connection: Connection,
    facts: DatasetFacts,
    *,
    uri: str,
    now: datetime,
    team: str | None = None,
    any_team: bool = True,
) -> DatasetRow | None:
    """Register `facts.name`, or replace what stood under that name; it stays that team's that registered it first.

    Returns:
        None: what stands there is another team's, and may not be replaced (`any_team`: whoever's it is, it may).
    """
    values = {
        "name": facts.name,
        "uri": uri,
        "kind": facts.kind.value,
        "size_bytes": facts.size_bytes,
        "samples": facts.samples,
        "features": facts.features,
        "classes": facts.classes,
        "types": dict(facts.types),
        "normalised": facts.normalised,
        "now": now,
        "team": team,
        "any_team": any_team,
    }
    row = connection.execute(_PUT, values).mappings().first()
    return None if row is None else _row(row)


def all_datasets(connection: Connection) -> Sequence[DatasetRow]:
    """Every registered data set, by name."""
    return [_row(row) for row in connection.execute(_ALL).mappings()]


def datasets_named(connection: Connection, names: Collection[str]) -> Mapping[str, DatasetRow]:
    """Those of `names` that are registered."""
    if not names:
        return {}
    found = connection.execute(_NAMED, {"names": sorted(names)}).mappings()
    return {row["name"]: _row(row) for row in found}


def _row(row: RowMapping) -> DatasetRow:
    facts = DatasetFacts(
        name=row["name"],
        kind=DataKind(row["kind"]),
        samples=row["samples"],
        features=row["features"],
        classes=row["classes"],
        types=row["types"],
        size_bytes=row["size_bytes"],
        normalised=row["normalised"],
        measured=True,
    )
    return DatasetRow(
        name=row["name"],
        uri=row["uri"],
        facts=facts,
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        team=row["team"],
    )
