"""Nodes that take nothing new, because an operator said so."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0012"
down_revision: str | Sequence[str] | None = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column(
        "nodes",
        sa.Column(
            "cordoned_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="Since when it takes nothing new, because an operator said so; null: it does. Writer: api.",
        ),
    )


def downgrade() -> None:
    op.drop_column("nodes", "cordoned_at")
