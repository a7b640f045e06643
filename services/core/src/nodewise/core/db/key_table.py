"""The table of API keys; a part of `schema`."""

from sqlalchemy import CheckConstraint, Column, Index, LargeBinary, Table, Text, text

from nodewise.core.db.columns import RUN_ID, TIME, metadata, one_of
from nodewise.core.model.role import Role

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", RUN_ID, primary_key=True, comment="The part of a key that is no secret."),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("team", Text, nullable=False),
    Column(
        "secret_hash", LargeBinary, nullable=False, comment="SHA-256 of the secret part, 256 random bits."
    ),
    Column("created_at", TIME, nullable=False),
    Column("expires_at", TIME, comment="Null: never."),
    Column("revoked_at", TIME, comment="The row stays, so that its name can be told."),
    Column("last_used_at", TIME, comment="To about ten minutes."),
    one_of("role", Role),
    CheckConstraint("octet_length(secret_hash) = 32", name="hash_is_sha256"),
    CheckConstraint("expires_at > created_at", name="expires_after_creation"),
    Index("api_keys_name_key", "name", unique=True, postgresql_where=text("revoked_at IS NULL")),
    Index("api_keys_page_idx", text("created_at DESC"), text("id DESC")),
    comment="Who may use the API. Writer: api.",
)
