"""Alembic's environment: one connection, one migration at a time."""

from alembic import context
from sqlalchemy import create_engine, pool, text

from nodewise.core.db.schema import metadata

_LOCK = 0x6E6F6465_77697365  # "nodewise" in ASCII: one migration at a time


def run() -> None:
    url = context.config.get_main_option("sqlalchemy.url")
    assert url is not None  # noqa: S101 - alembic_config always sets it
    engine = create_engine(url, poolclass=pool.NullPool)
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=metadata)
        with context.begin_transaction():
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            context.run_migrations()
    engine.dispose()


run()
