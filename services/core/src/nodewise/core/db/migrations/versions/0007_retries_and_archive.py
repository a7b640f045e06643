"""Runs that are another's next try, and runs that were put away."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0007"
down_revision: str | Sequence[str] | None = "0006"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_FINAL = "state IN ('SUCCEEDED', 'FAILED', 'CANCELED')"
_RUNS = "Submissions. Writer: api inserts and sets cancel_requested_at and archived_at; recorder moves state, *_at and error, and sets archived_in_kfp."
_OLD_RUNS = (
    "Submissions. Writer: api inserts and sets cancel_requested_at; recorder moves state, *_at and error."
)


def upgrade() -> None:
    op.add_column(
        "runs",
        sa.Column("retry_of", sa.UUID(as_uuid=False), nullable=True, comment="The run whose next try it is."),
    )
    op.create_foreign_key("runs_retry_of_fkey", "runs", "runs", ["retry_of"], ["id"], ondelete="SET NULL")
    op.add_column(
        "runs",
        sa.Column(
            "archived_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When it was put away; null: lists show it.",
        ),
    )
    op.add_column(
        "runs",
        sa.Column(
            "archived_in_kfp",
            sa.Boolean(),
            nullable=False,
            server_default=sa.text("false"),
            comment="What KFP was last told of that.",
        ),
    )
    op.create_check_constraint(op.f("runs_archived_when_final"), "runs", f"archived_at IS NULL OR {_FINAL}")
    op.create_index(
        "runs_retries_idx", "runs", ["retry_of"], postgresql_where=sa.text("retry_of IS NOT NULL")
    )
    op.create_index(
        "runs_to_archive_idx",
        "runs",
        ["id"],
        postgresql_where=sa.text("engine = 'kubeflow' AND (archived_at IS NOT NULL) <> archived_in_kfp"),
    )
    op.create_table_comment("runs", _RUNS, existing_comment=_OLD_RUNS)


def downgrade() -> None:
    op.create_table_comment("runs", _OLD_RUNS, existing_comment=_RUNS)
    for index in ("runs_to_archive_idx", "runs_retries_idx"):
        op.drop_index(index, table_name="runs")
    op.drop_constraint(op.f("runs_archived_when_final"), "runs")
    for column in ("archived_in_kfp", "archived_at"):
        op.drop_column("runs", column)
    op.drop_constraint("runs_retry_of_fkey", "runs")
    op.drop_column("runs", "retry_of")
