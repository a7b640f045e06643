"""The newest revision of the schema that this code knows."""

from functools import cache

from alembic.script import ScriptDirectory

from nodewise.core.db.migrate import alembic_config


@cache
def newest_revision() -> str:
    """The revision that `migrate.upgrade` brings a database to."""
    head = ScriptDirectory.from_config(alembic_config("postgresql://")).get_current_head()
    assert head is not None  # noqa: S101 - there is always a first migration
    return head


@cache
def is_outdated(found: str | None) -> bool:
    """Whether this code needs a newer schema. One that it does not know is newer: that of the next release, which adds only."""
    scripts = ScriptDirectory.from_config(alembic_config("postgresql://"))
    known = {script.revision for script in scripts.walk_revisions()}
    return found is None or (found in known and found != newest_revision())
