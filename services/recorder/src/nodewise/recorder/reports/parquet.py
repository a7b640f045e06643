"""Every table as a Parquet file, streamed: a record of any size needs little memory."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import BigInteger, Boolean, Connection, DateTime, Float, Integer, Table
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.types import TypeEngine

from nodewise.core.db.queries import reports

# The first that matches counts: BigInteger is an Integer.
_TYPES: Final[Sequence[tuple[type[TypeEngine[Any]], pa.DataType]]] = (
    (BigInteger, pa.int64()),
    (Integer, pa.int32()),
    (Float, pa.float64()),
    (Boolean, pa.bool_()),
    (DateTime, pa.timestamp("us", tz="UTC")),
    (ARRAY, pa.list_(pa.string())),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A file that was written."""

    path: Path
    rows: int


def write_tables(connection: Connection, directory: Path) -> Sequence[Written]:
    """Write `<table>.parquet` for every table. JSON columns become text, times are UTC, ids are text."""
    return [_write(connection, table, directory / f"{table.name}.parquet") for table in reports.tables()]


def _write(connection: Connection, table: Table, path: Path) -> Written:
    schema = pa.schema([(column.name, _arrow_type(column.type)) for column in table.columns])
    texts = {column.name: _as_text(column.type) for column in table.columns}
    rows = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in reports.batches_of(connection, table):
            plain = [_plain(row, texts) for row in batch]
            writer.write_table(pa.Table.from_pylist(plain, schema=schema))
            rows += len(plain)
    return Written(path=path, rows=rows)


def _plain(row: Mapping[Any, object], texts: Mapping[str, Callable[[object], object]]) -> dict[str, object]:
    return {name: as_text(row[name]) for name, as_text in texts.items()}


def _arrow_type(column: TypeEngine[Any]) -> pa.DataType:
    return next((arrow for kind, arrow in _TYPES if isinstance(column, kind)), pa.string())


def _as_text(column: TypeEngine[Any]) -> Callable[[object], object]:
    if isinstance(column, JSONB):
        return lambda value: None if value is None else json.dumps(value)
    if _arrow_type(column) == pa.string():
        return lambda value: None if value is None else str(value)
    return lambda value: value
