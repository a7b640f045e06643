"""What the tables are made of: names of constraints, and types of columns."""

from enum import StrEnum

from sqlalchemy import CheckConstraint, DateTime, MetaData
from sqlalchemy.dialects.postgresql import UUID

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "ix": "%(table_name)s_%(column_0_name)s_idx",
        "uq": "%(table_name)s_%(column_0_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s",
    }
)

TIME = DateTime(timezone=True)
RUN_ID = UUID(as_uuid=False)


def one_of(column: str, values: type[StrEnum]) -> CheckConstraint:
    """The column holds one of the enum's values, or null."""
    known = ", ".join(f"'{value.value}'" for value in values)
    return CheckConstraint(f"{column} IN ({known})", name=f"{column}_is_known")
