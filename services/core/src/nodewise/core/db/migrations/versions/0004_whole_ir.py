"""The whole of KFP's IR: tasks that appear while a run goes on, exit tasks, resolved inputs, results that are reused."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0004"
down_revision: str | Sequence[str] | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_TIME = sa.DateTime(timezone=True)
_TASKS = (
    "Leaf tasks. Writer: api inserts the first of a run, recorder those that come later; "
    "scheduler, placer and recorder move state, each its own transitions."
)
_OLD_TASKS = (
    "Leaf tasks. Writer: api inserts; scheduler, placer and recorder move state, each its own transitions."
)
_UPSTREAM = "The tasks that it waits for, as far as they exist."

# What waits for a node has no inputs on record yet: the recorder looks at it again and writes them.
_BACK_TO_WAITING = """
UPDATE tasks AS t SET state = 'WAITING', "position" = NULL, allowed_nodes = NULL
FROM runs AS r
WHERE r.id = t.run_id AND r.state IN ('PENDING', 'RUNNING') AND t.state IN ('READY', 'ADMITTED')
"""
_SETTLED = "UPDATE runs SET settled_at = finished_at WHERE finished_at IS NOT NULL"


def upgrade() -> None:
    op.add_column(
        "runs",
        sa.Column(
            "engine", sa.Text(), nullable=False, server_default="agents", comment="Where its tasks run."
        ),
    )
    op.add_column(
        "runs",
        sa.Column(
            "caching",
            sa.Boolean(),
            nullable=False,
            server_default=sa.text("true"),
            comment="May results be reused?",
        ),
    )
    op.add_column(
        "runs",
        sa.Column(
            "settled_at",
            _TIME,
            nullable=True,
            comment="When its tasks were last moved on; null: they are to be.",
        ),
    )
    op.add_column(
        "runs",
        sa.Column(
            "outputs",
            postgresql.JSONB(),
            nullable=True,
            comment="nodewise.core.model.artifact.Values: the pipeline's own outputs.",
        ),
    )
    op.create_index(
        "runs_unsettled_idx",
        "runs",
        ["id"],
        postgresql_where=sa.text("settled_at IS NULL AND state IN ('PENDING', 'RUNNING', 'CANCELING')"),
    )
    op.add_column(
        "nodes",
        sa.Column(
            "engine", sa.Text(), nullable=False, server_default="agents", comment="What starts tasks there."
        ),
    )
    op.add_column(
        "nodes",
        sa.Column(
            "container_runtime",
            sa.Text(),
            nullable=True,
            comment="What runs tasks that bring their own image; null: nothing.",
        ),
    )
    _add_to_tasks()
    _create_cached_results()
    op.execute(_BACK_TO_WAITING)
    op.execute(_SETTLED)


def _add_to_tasks() -> None:
    op.add_column(
        "tasks",
        sa.Column(
            "finaliser",
            sa.Boolean(),
            nullable=False,
            server_default=sa.text("false"),
            comment="An exit task: it runs in a run that is being canceled, too.",
        ),
    )
    op.add_column(
        "tasks",
        sa.Column(
            "inputs",
            postgresql.JSONB(),
            nullable=True,
            comment="nodewise.core.model.artifact.Values; null: not known yet.",
        ),
    )
    op.add_column(
        "tasks",
        sa.Column(
            "resized",
            sa.Boolean(),
            nullable=False,
            server_default=sa.text("false"),
            comment="Its needs came from parameters: the spec was completed when it became ready.",
        ),
    )
    op.add_column(
        "tasks",
        sa.Column(
            "cache",
            postgresql.JSONB(),
            nullable=True,
            comment="nodewise.core.ir.caching.CacheKey; null: its result is not reused.",
        ),
    )
    op.alter_column("tasks", "upstream", comment=_UPSTREAM)
    op.create_table_comment("tasks", _TASKS, existing_comment=_OLD_TASKS)


def _create_cached_results() -> None:
    op.create_table(
        "cached_results",
        sa.Column(
            "digest",
            sa.Text(),
            primary_key=True,
            comment="Of all that decides the result (nodewise.core.ir.caching).",
        ),
        sa.Column("component", sa.Text(), nullable=False),
        sa.Column(
            "parts",
            postgresql.JSONB(),
            nullable=False,
            comment="What the digest is made of, to explain misses.",
        ),
        sa.Column(
            "outputs",
            postgresql.JSONB(),
            nullable=False,
            comment="nodewise.core.model.artifact.TaskOutputs",
        ),
        sa.Column(
            "run_id", sa.UUID(as_uuid=False), nullable=False, comment="Who left it; the run may be gone."
        ),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("stored_at", _TIME, nullable=False),
        comment="Results of tasks that may be reused, by content. Writer: recorder.",
    )
    op.create_index(
        "cached_results_component_idx", "cached_results", ["component", sa.text("stored_at DESC")]
    )


def downgrade() -> None:
    op.drop_table("cached_results")
    op.create_table_comment("tasks", _OLD_TASKS, existing_comment=_TASKS)
    op.alter_column("tasks", "upstream", comment=None, existing_comment=_UPSTREAM)
    for column in ("cache", "resized", "inputs", "finaliser"):
        op.drop_column("tasks", column)
    for column in ("container_runtime", "engine"):
        op.drop_column("nodes", column)
    op.drop_index("runs_unsettled_idx", table_name="runs")
    for column in ("outputs", "settled_at", "caching", "engine"):
        op.drop_column("runs", column)
