"""One real submission, as many times as wanted: the rows that the gateway wrote, copied inside the database.

The gateway takes one; its rows are put aside before any service can move them. A copy differs in its id and in its times,
and in what `changes` say.
"""

from collections.abc import Mapping
from types import MappingProxyType

import httpx
import psycopg
from psycopg import sql

from bench.stack.serving import Service

_FOLLOWERS = {"tasks": ("run_id", "ready_at"), "events": ("run_id", "at")}
"""Tables of a run's rows, after `runs` itself: the columns of the run's id and of the time of its birth."""


def submitted(gateway: Service, body: Mapping[str, object]) -> str:
    """The id of a run that the gateway took."""
    answer = httpx.post(f"http://127.0.0.1:{gateway.port}/v1/runs", json=body, timeout=60)
    answer.raise_for_status()
    return str(answer.json()["id"])


def put_aside(connection: "psycopg.Connection[tuple[object, ...]]", run_id: str) -> None:
    """Keep the rows of a run as the gateway wrote them, to be copied later."""
    connection.execute("CREATE SCHEMA original")
    for table, column in {"runs": "id", **{name: found[0] for name, found in _FOLLOWERS.items()}}.items():
        connection.execute(
            sql.SQL("CREATE TABLE original.{0} AS SELECT * FROM public.{0} WHERE {1} = {2}").format(
                sql.Identifier(table), sql.Identifier(column), sql.Literal(run_id)
            )
        )


def copy(
    connection: "psycopg.Connection[tuple[object, ...]]",
    copies: int,
    *,
    apart_seconds: float = 0.001,
    changes: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Insert so many copies of the run that was put aside. Commits nothing.

    Args:
        connection: Of an open transaction.
        copies: How many; numbered from 1, submitted so far apart, the last one now.
        apart_seconds: Between two submissions.
        changes: SQL expressions for columns of `runs`; `copy.number` is the number.
    """
    connection.execute("DROP TABLE IF EXISTS copies")
    connection.execute(
        "CREATE TEMPORARY TABLE copies AS SELECT number, gen_random_uuid() AS id, "
        "clock_timestamp() - make_interval(secs => (%(all)s - number) * %(apart)s::float8) AS at "
        "FROM generate_series(1, %(all)s::int) AS number",
        {"all": copies, "apart": apart_seconds},
    )
    born = {"id": "copy.id", "submitted_at": "copy.at", "settled_at": "copy.at"}
    _insert(connection, "runs", born | dict(changes))
    for table, (run_id, at) in _FOLLOWERS.items():
        time = f"CASE WHEN original.{at} IS NOT NULL THEN copy.at END"
        _insert(connection, table, {run_id: "copy.id", at: time})


def _insert(
    connection: "psycopg.Connection[tuple[object, ...]]", table: str, changes: Mapping[str, str]
) -> None:
    """All columns as they are, but for those that change and those that the database numbers itself."""
    found = connection.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'public' AND table_name = %s "
        "AND is_identity = 'NO' AND is_generated = 'NEVER' ORDER BY ordinal_position",
        (table,),
    ).fetchall()
    columns = [str(name) for (name,) in found]
    values = [
        sql.SQL(changes[name]) if name in changes else sql.SQL("original.{}").format(sql.Identifier(name))
        for name in columns
    ]
    connection.execute(
        sql.SQL(
            "INSERT INTO public.{0} ({1}) SELECT {2} FROM original.{0} AS original, copies AS copy"
        ).format(
            sql.Identifier(table),
            sql.SQL(", ").join(map(sql.Identifier, columns)),
            sql.SQL(", ").join(values),
        )
    )
