"""The trace that a run is a part of."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0013"
down_revision: str | Sequence[str] | None = "0012"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column(
        "runs",
        sa.Column(
            "traceparent",
            sa.Text(),
            nullable=True,
            comment="Of who submitted it (W3C Trace Context); null: it is a trace of its own.",
        ),
    )


def downgrade() -> None:
    op.drop_column("runs", "traceparent")
