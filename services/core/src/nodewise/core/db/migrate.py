"""Brings the schema to its newest version: `python -m nodewise.core.db.migrate [REVISION]`."""

import sys
from pathlib import Path

from alembic import command
from alembic.config import Config

from nodewise.core.db.engine import normalised_url
from nodewise.core.settings import read_settings


def alembic_config(database_url: str) -> Config:
    """Alembic's configuration without a file, so that an installed package can migrate."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("sqlalchemy.url", normalised_url(database_url).replace("%", "%%"))
    return config


def upgrade(database_url: str, revision: str = "head") -> None:
    """Upgrade to `revision`. Safe to run twice and from several processes at once (advisory lock in env.py)."""
    command.upgrade(alembic_config(database_url), revision)


if __name__ == "__main__":
    upgrade(read_settings().database_url, *sys.argv[1:2])
