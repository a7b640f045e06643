"""Indexes that retention needs: what ended when, who still uses a pipeline, whose results those are."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0009"
down_revision: str | Sequence[str] | None = "0008"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_OLD_RUNS = "Submissions. Writer: api inserts and sets cancel_requested_at and archived_at; recorder moves state, *_at and error, and sets archived_in_kfp."
_RUNS = f"{_OLD_RUNS} Retention (api) removes them."


def upgrade() -> None:
    op.create_index(
        "runs_ended_idx",
        "runs",
        ["finished_at", "id"],
        postgresql_where=sa.text("state IN ('SUCCEEDED', 'FAILED', 'CANCELED')"),
    )
    op.create_index("runs_spec_idx", "runs", ["spec_digest"])
    op.create_index("cached_results_run_idx", "cached_results", ["run_id"])
    op.create_table_comment("runs", _RUNS, existing_comment=_OLD_RUNS)


def downgrade() -> None:
    op.create_table_comment("runs", _OLD_RUNS, existing_comment=_RUNS)
    op.drop_index("cached_results_run_idx", table_name="cached_results")
    op.drop_index("runs_spec_idx", table_name="runs")
    op.drop_index("runs_ended_idx", table_name="runs")
