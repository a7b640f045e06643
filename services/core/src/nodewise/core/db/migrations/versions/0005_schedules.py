"""Recurring runs."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0005"
down_revision: str | Sequence[str] | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_TIME = sa.DateTime(timezone=True)
_ID = sa.UUID(as_uuid=False)
_OPEN = "schedule_id IS NOT NULL AND state IN ('PENDING', 'RUNNING', 'CANCELING')"
_REASONS = "reason_code IN ('missed_left_out', 'held_at_limit', 'left_out_at_limit', 'refused', 'ended')"


def upgrade() -> None:
    _create_schedules()
    comment = "Which recurring run it is one of."
    op.add_column("runs", sa.Column("schedule_id", _ID, nullable=True, comment=comment))
    comment = "Whose time of its schedule it is; null: of none, or run at once."
    op.add_column("runs", sa.Column("scheduled_for", _TIME, nullable=True, comment=comment))
    op.create_foreign_key("runs_schedule_id_fkey", "runs", "schedules", ["schedule_id"], ["id"])
    op.create_unique_constraint("runs_one_per_scheduled_time", "runs", ["schedule_id", "scheduled_for"])
    op.create_check_constraint(
        op.f("runs_scheduled_by_a_schedule"), "runs", "scheduled_for IS NULL OR schedule_id IS NOT NULL"
    )
    op.create_index(
        "runs_of_schedule_idx",
        "runs",
        ["schedule_id", sa.text("submitted_at DESC"), sa.text("id DESC")],
        postgresql_where=sa.text("schedule_id IS NOT NULL"),
    )
    op.create_index("runs_open_of_schedule_idx", "runs", ["schedule_id"], postgresql_where=sa.text(_OPEN))


def _create_schedules() -> None:
    op.create_table(
        "schedules",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("team", sa.Text(), nullable=False),
        sa.Column("spec_digest", sa.Text(), sa.ForeignKey("pipeline_specs.digest"), nullable=False),
        sa.Column("pipeline_name", sa.Text(), nullable=False),
        sa.Column(
            "request",
            postgresql.JSONB(),
            nullable=False,
            comment="A body of POST /v1/runs, without its pipeline.",
        ),
        *_times(),
        *_history(),
        sa.UniqueConstraint("team", "idempotency_key", name="schedules_team_idempotency_key_key"),
        *(sa.CheckConstraint(rule, name=op.f(f"schedules_{name}")) for name, rule in _CHECKS.items()),
        comment="Recurring runs. Writer: api.",
    )
    op.create_index(
        "schedules_name_key",
        "schedules",
        ["team", "name"],
        unique=True,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index(
        "schedules_look_idx",
        "schedules",
        ["look_at"],
        postgresql_where=sa.text("enabled AND deleted_at IS NULL"),
    )


def _times() -> list[sa.Column[object]]:
    return [
        sa.Column("cron", sa.Text(), nullable=True, comment="Null: every interval_seconds instead."),
        sa.Column("time_zone", sa.Text(), nullable=True, comment="Of cron."),
        sa.Column("interval_seconds", sa.Integer(), nullable=True),
        sa.Column("start_at", _TIME, nullable=False, comment="No time lies before; intervals begin with it."),
        sa.Column("end_at", _TIME, nullable=True, comment="No time lies after; null: no end."),
        sa.Column("catchup", sa.Boolean(), nullable=False),
        sa.Column("max_concurrency", sa.Integer(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column(
            "next_at",
            _TIME,
            nullable=True,
            comment="The first time that is not dealt with; null: there is none any more.",
        ),
        sa.Column(
            "look_at",
            _TIME,
            nullable=True,
            comment="When to look at it; later than next_at where that was held back.",
        ),
        sa.Column("last_at", _TIME, nullable=True, comment="The latest time that got its run."),
    ]


def _history() -> list[sa.Column[object]]:
    return [
        sa.Column("reason_code", sa.Text(), nullable=True),
        sa.Column(
            "reason", sa.Text(), nullable=True, comment="What is to be told beside the times, for a person."
        ),
        sa.Column("last_error", sa.Text(), nullable=True, comment="Why a run was refused last."),
        sa.Column("last_error_at", _TIME, nullable=True),
        sa.Column(
            "refusals",
            sa.Integer(),
            nullable=False,
            server_default="0",
            comment="Since a run was made last.",
        ),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("request_digest", sa.Text(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("deleted_at", _TIME, nullable=True, comment="The row stays, for the runs that it made."),
    ]


_CHECKS = {
    "reason_code_is_known": _REASONS,
    "one_trigger": "(cron IS NULL) <> (interval_seconds IS NULL)",
    "zone_of_cron": "(cron IS NULL) = (time_zone IS NULL)",
    "interval_is_positive": "interval_seconds >= 1",
    "concurrency_is_positive": "max_concurrency >= 1",
    "end_after_start": "end_at >= start_at",
    "next_within": "next_at >= start_at AND (end_at IS NULL OR next_at <= end_at)",
    "next_after_last": "last_at < next_at",
    "looks_in_time": "(look_at IS NULL) = (next_at IS NULL) AND look_at >= next_at",
    "error_has_time": "(last_error IS NULL) = (last_error_at IS NULL)",
    "refusals_not_negative": "refusals >= 0",
}


def downgrade() -> None:
    for index in ("runs_open_of_schedule_idx", "runs_of_schedule_idx"):
        op.drop_index(index, table_name="runs")
    op.drop_constraint(op.f("runs_scheduled_by_a_schedule"), "runs")
    op.drop_constraint("runs_one_per_scheduled_time", "runs")
    op.drop_constraint("runs_schedule_id_fkey", "runs")
    for column in ("scheduled_for", "schedule_id"):
        op.drop_column("runs", column)
    op.drop_table("schedules")
