"""Indexes for pages of runs by state and by label: each looked at all runs."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0010"
down_revision: str | Sequence[str] | None = "0009"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    newest_first = [sa.text("submitted_at DESC"), sa.text("id DESC")]
    op.create_index("runs_page_of_state_idx", "runs", ["state", *newest_first])
    op.create_index(
        "runs_labels_idx",
        "runs",
        ["labels"],
        postgresql_using="gin",
        postgresql_ops={"labels": "jsonb_path_ops"},
    )


def downgrade() -> None:
    op.drop_index("runs_labels_idx", table_name="runs")
    op.drop_index("runs_page_of_state_idx", table_name="runs")
