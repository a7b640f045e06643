"""Fresh databases for tests: migrated once, copied when needed, and used again when they can be made clean."""

import itertools
from typing import Final

import psycopg
from psycopg import sql

from nodewise.core.db.migrate import upgrade
from nodewise.stack.postgres import PostgresServer

_TEMPLATE: Final = "nodewise_template"
_LARGEST_BYTES: Final = 4 << 20
"""A database whose tables grew beyond this is not used again: what was deleted still takes its place."""
_LEAVE_MILLISECONDS: Final = 10_000
_NUMBERS: Final = itertools.count(1)

_SCHEMA: Final = """
SELECT md5(string_agg(line, E'\\n' ORDER BY line)) FROM (
  SELECT concat_ws(' ', 'version', version_num) FROM alembic_version
  UNION ALL SELECT concat_ws(' ', relkind, relname) FROM pg_class WHERE relnamespace = 'public'::regnamespace
  UNION ALL SELECT concat_ws(' ', attrelid::regclass, attname, atttypid, attnotnull)
    FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
    WHERE relnamespace = 'public'::regnamespace AND attnum > 0
  UNION ALL SELECT concat_ws(' ', conrelid::regclass, conname) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace
  UNION ALL SELECT concat_ws(' ', tgrelid::regclass, tgname) FROM pg_trigger WHERE NOT tgisinternal
  UNION ALL SELECT concat_ws(' ', proname, md5(prosrc)) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
  UNION ALL SELECT concat_ws(' ', 'setting', setconfig) FROM pg_db_role_setting
    JOIN pg_database ON pg_database.oid = setdatabase WHERE datname = current_database()
) AS found (line)
"""
_TABLES: Final = """
SELECT relname, pg_relation_size(oid) FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> 'alembic_version'
"""
_SEQUENCES: Final = """
SELECT setval(format('%I.%I', schemaname, sequencename)::regclass, start_value, false)
FROM pg_sequences WHERE last_value IS NOT NULL
"""
_LEAVE: Final = """
SELECT pg_terminate_backend(pid, %s) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


class Databases:
    """Databases on one server. To clean a used one costs a small part of what it costs to copy the template."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._clean: list[str] = []
        server.ensure_database(_TEMPLATE)
        upgrade(server.url(_TEMPLATE))
        with self._connected(_TEMPLATE) as connection:
            self._schema = connection.execute(_SCHEMA).fetchone()

    def create(self) -> str:
        """A migrated database with nothing in it, of a name that no test had before; returns the name."""
        name = f"test_{next(_NUMBERS)}"
        if self._clean:
            # Who still writes to the old name must not reach the next test.
            self._execute("ALTER DATABASE {} RENAME TO {}", self._clean.pop(), name)
        else:
            self._execute("CREATE DATABASE {} TEMPLATE {}", name, _TEMPLATE)
        return name

    def create_empty(self) -> str:
        """A new database without our schema; returns its name."""
        name = f"empty_{next(_NUMBERS)}"
        self._execute("CREATE DATABASE {}", name)
        return name

    def url(self, name: str) -> str:
        return self._server.url(name)

    def give_back(self, name: str) -> None:
        """The test is over: whoever is connected is thrown out, and all that it wrote is gone."""
        if self._cleaned(name):
            self._clean.append(name)
        else:
            self._execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)

    def _cleaned(self, name: str) -> bool:
        """Make it as new; False: it is not worth it, or a test changed more than rows."""
        try:
            with self._connected(name) as connection:
                connection.execute(_LEAVE, [_LEAVE_MILLISECONDS])
                if connection.execute(_SCHEMA).fetchone() != self._schema:
                    return False
                sizes: dict[str, int] = dict(connection.execute(_TABLES).fetchall())
                if sum(sizes.values()) > _LARGEST_BYTES:
                    return False
                _empty(connection, [table for table, size in sizes.items() if size])
        except psycopg.Error:
            # Gone, never migrated, or changed beyond recognition.
            return False
        return True

    def _connected(self, name: str) -> "psycopg.Connection[tuple[object, ...]]":
        return psycopg.connect(self._server.url(name), autocommit=True)

    def _execute(self, statement: str, *names: str) -> None:
        with self._connected("postgres") as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def _empty(connection: "psycopg.Connection[tuple[object, ...]]", tables: list[str]) -> None:
    with connection.transaction():
        # Neither foreign keys nor triggers: everything goes.
        connection.execute("SET LOCAL session_replication_role = replica")
        for table in tables:
            connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))
        connection.execute(_SEQUENCES)
