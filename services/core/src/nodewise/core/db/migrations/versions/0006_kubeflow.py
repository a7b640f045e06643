"""Runs on Kubeflow Pipelines: the taints of nodes, and what is on record of submissions."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0006"
down_revision: str | Sequence[str] | None = "0005"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_TIME = sa.DateTime(timezone=True)
_NODES = "Nodes as their agents, or the Kubernetes API, describe them. Writer: recorder."
_OLD_NODES = "Nodes as their agents describe them. Writer: recorder."
_ATTEMPTS = "Tries at tasks. Writer: placer inserts and sets job_uri, dispatched_at; recorder moves the rest, and inserts those that KFP makes by itself."
_OLD_ATTEMPTS = (
    "Tries at tasks. Writer: placer inserts and sets job_uri, dispatched_at; recorder moves the rest."
)
_BOOKINGS = "The history of booked capacity. Writer: queries.bookings only (placer books, and recorder what it sees running; recorder releases)."
_OLD_BOOKINGS = (
    "The history of booked capacity. Writer: queries.bookings only (placer books, recorder releases)."
)
_SUBMISSIONS = (
    "Runs on their way into Kubeflow Pipelines (nodewise.core.engine.kubeflow.submission). Writer: placer."
)


def upgrade() -> None:
    op.add_column(
        "nodes",
        sa.Column(
            "taints",
            postgresql.JSONB(),
            nullable=False,
            server_default=sa.text("'[]'"),
            comment="nodewise.core.model.selection.Taint, several.",
        ),
    )
    op.create_table_comment("nodes", _NODES, existing_comment=_OLD_NODES)
    op.create_table_comment("attempts", _ATTEMPTS, existing_comment=_OLD_ATTEMPTS)
    op.create_table_comment("bookings", _BOOKINGS, existing_comment=_OLD_BOOKINGS)
    _create_submissions()


def _create_submissions() -> None:
    op.create_table(
        "kfp_submissions",
        sa.Column(
            "run_id",
            sa.UUID(as_uuid=False),
            sa.ForeignKey("runs.id", name="kfp_submissions_run_id_fkey", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column(
            "nodes",
            postgresql.JSONB(),
            nullable=False,
            comment="Chosen nodes by path of the leaf task in the IR.",
        ),
        sa.Column("placed_at", _TIME, nullable=False),
        sa.Column("posted_at", _TIME, comment="From when on a post may be on its way; null: none is."),
        sa.Column("confirmed_at", _TIME, comment="When KFP was known to have the run."),
        sa.Column("refused_at", _TIME, comment="When it was certain that KFP never will have it."),
        sa.Column("tries", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("try_at", _TIME, nullable=False, comment="Not tried before, by any placer."),
        sa.Column("problem_code", sa.Text()),
        sa.Column("problem", sa.Text(), comment="What went wrong last, for a person."),
        sa.CheckConstraint(
            "confirmed_at IS NULL OR refused_at IS NULL", name=op.f("kfp_submissions_one_end")
        ),
        sa.PrimaryKeyConstraint("run_id", name="kfp_submissions_pkey"),
        comment=_SUBMISSIONS,
    )
    op.create_index(
        "kfp_submissions_due_idx",
        "kfp_submissions",
        ["try_at"],
        postgresql_where=sa.text("confirmed_at IS NULL AND refused_at IS NULL"),
    )


def downgrade() -> None:
    op.drop_table("kfp_submissions")
    op.create_table_comment("bookings", _OLD_BOOKINGS, existing_comment=_BOOKINGS)
    op.create_table_comment("attempts", _OLD_ATTEMPTS, existing_comment=_ATTEMPTS)
    op.create_table_comment("nodes", _OLD_NODES, existing_comment=_NODES)
    op.drop_column("nodes", "taints")
