"""API keys, whose data set it is, and what is asked of one team's runs."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0008"
down_revision: str | Sequence[str] | None = "0007"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_TIME = sa.DateTime(timezone=True)
_OPEN = "state IN ('PENDING', 'RUNNING', 'CANCELING')"


def upgrade() -> None:
    _create_keys()
    comment = "Who may replace it; null: everybody who may register one."
    op.add_column("datasets", sa.Column("team", sa.Text(), nullable=True, comment=comment))
    op.create_index(
        "runs_page_of_team_idx", "runs", ["team", sa.text("submitted_at DESC"), sa.text("id DESC")]
    )
    op.create_index("runs_open_of_team_idx", "runs", ["team", "state"], postgresql_where=sa.text(_OPEN))


def _create_keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column(
            "id", sa.UUID(as_uuid=False), primary_key=True, comment="The part of a key that is no secret."
        ),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("team", sa.Text(), nullable=False),
        sa.Column(
            "secret_hash",
            sa.LargeBinary(),
            nullable=False,
            comment="SHA-256 of the secret part, 256 random bits.",
        ),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=True, comment="Null: never."),
        sa.Column("revoked_at", _TIME, nullable=True, comment="The row stays, so that its name can be told."),
        sa.Column("last_used_at", _TIME, nullable=True, comment="To about ten minutes."),
        sa.CheckConstraint(
            "role IN ('viewer', 'submitter', 'operator', 'admin')", name=op.f("api_keys_role_is_known")
        ),
        sa.CheckConstraint("octet_length(secret_hash) = 32", name=op.f("api_keys_hash_is_sha256")),
        sa.CheckConstraint("expires_at > created_at", name=op.f("api_keys_expires_after_creation")),
        comment="Who may use the API. Writer: api.",
    )
    op.create_index(
        "api_keys_name_key", "api_keys", ["name"], unique=True, postgresql_where=sa.text("revoked_at IS NULL")
    )
    op.create_index("api_keys_page_idx", "api_keys", [sa.text("created_at DESC"), sa.text("id DESC")])


def downgrade() -> None:
    for index in ("runs_open_of_team_idx", "runs_page_of_team_idx"):
        op.drop_index(index, table_name="runs")
    op.drop_column("datasets", "team")
    op.drop_table("api_keys")
