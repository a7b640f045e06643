"""Which version of the schema the database has."""

from sqlalchemy import Connection, text

_HAS_TABLE = text("SELECT to_regclass('alembic_version') IS NOT NULL")
_VERSION = text("SELECT version_num FROM alembic_version")


def schema_version(connection: Connection) -> str | None:
    """The revision that the database was last migrated to; None: never."""
    if not connection.execute(_HAS_TABLE).scalar():
        return None
    version = connection.execute(_VERSION).scalar()
    return None if version is None else str(version)
