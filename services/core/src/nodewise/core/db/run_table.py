"""The table of runs; a part of `schema`."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from nodewise.core.db.columns import RUN_ID, TIME, metadata, one_of
from nodewise.core.lifecycle import RunState

runs = Table(
    "runs",
    metadata,
    Column("id", RUN_ID, primary_key=True),
    Column("name", Text, nullable=False),
    Column("pipeline_name", Text, nullable=False),
    Column("spec_digest", Text, ForeignKey("pipeline_specs.digest"), nullable=False),
    Column("parameters", JSONB, nullable=False),
    Column("labels", JSONB, nullable=False, server_default=text("'{}'")),
    Column("team", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("deadline", TIME),
    Column("policy", Text, nullable=False),
    Column("strategy", Text, nullable=False),
    Column("idempotency_key", Text),
    Column("request_digest", Text, nullable=False),
    Column("submitted_at", TIME, nullable=False),
    Column("engine", Text, nullable=False, server_default="agents", comment="Where its tasks run."),
    Column("caching", Boolean, nullable=False, server_default=text("true"), comment="May results be reused?"),
    Column("schedule_id", RUN_ID, ForeignKey("schedules.id"), comment="Which recurring run it is one of."),
    Column("scheduled_for", TIME, comment="Whose time of its schedule it is; null: of none, or run at once."),
    Column(
        "retry_of",
        RUN_ID,
        ForeignKey("runs.id", ondelete="SET NULL"),
        comment="The run whose next try it is.",
    ),
    Column("cancel_requested_at", TIME),
    Column("archived_at", TIME, comment="When it was put away; null: lists show it."),
    Column(
        "archived_in_kfp",
        Boolean,
        nullable=False,
        server_default=text("false"),
        comment="What KFP was last told of that.",
    ),
    Column("settled_at", TIME, comment="When its tasks were last moved on; null: they are to be."),
    Column("state", Text, nullable=False),
    Column("scheduled_at", TIME),
    Column("started_at", TIME),
    Column("finished_at", TIME),
    Column("error", Text),
    Column("outputs", JSONB, comment="nodewise.core.model.artifact.Values: the pipeline's own outputs."),
    UniqueConstraint("team", "idempotency_key", name="runs_team_idempotency_key_key"),
    UniqueConstraint("schedule_id", "scheduled_for", name="runs_one_per_scheduled_time"),
    CheckConstraint("scheduled_for IS NULL OR schedule_id IS NOT NULL", name="scheduled_by_a_schedule"),
    one_of("state", RunState),
    CheckConstraint(
        "(finished_at IS NOT NULL) = (state IN ('SUCCEEDED', 'FAILED', 'CANCELED'))",
        name="finished_when_final",
    ),
    CheckConstraint(
        "archived_at IS NULL OR state IN ('SUCCEEDED', 'FAILED', 'CANCELED')", name="archived_when_final"
    ),
    Index("runs_retries_idx", "retry_of", postgresql_where=text("retry_of IS NOT NULL")),
    Index(
        "runs_to_archive_idx",
        "id",
        postgresql_where=text("engine = 'kubeflow' AND (archived_at IS NOT NULL) <> archived_in_kfp"),
    ),
    Index(
        "runs_ended_idx",
        "finished_at",
        "id",
        postgresql_where=text("state IN ('SUCCEEDED', 'FAILED', 'CANCELED')"),
    ),
    Index("runs_spec_idx", "spec_digest"),
    Index("runs_page_idx", text("submitted_at DESC"), text("id DESC")),
    Index("runs_page_of_team_idx", "team", text("submitted_at DESC"), text("id DESC")),
    Index(
        "runs_open_of_team_idx",
        "team",
        "state",
        postgresql_where=text("state IN ('PENDING', 'RUNNING', 'CANCELING')"),
    ),
    Index(
        "runs_unsettled_idx",
        "id",
        postgresql_where=text("settled_at IS NULL AND state IN ('PENDING', 'RUNNING', 'CANCELING')"),
    ),
    Index("runs_open_idx", "id", postgresql_where=text("state IN ('PENDING', 'RUNNING', 'CANCELING')")),
    Index(
        "runs_of_schedule_idx",
        "schedule_id",
        text("submitted_at DESC"),
        text("id DESC"),
        postgresql_where=text("schedule_id IS NOT NULL"),
    ),
    Index(
        "runs_open_of_schedule_idx",
        "schedule_id",
        postgresql_where=text("schedule_id IS NOT NULL AND state IN ('PENDING', 'RUNNING', 'CANCELING')"),
    ),
    comment="Submissions. Writer: api inserts and sets cancel_requested_at and archived_at; recorder moves state, *_at and error, and sets archived_in_kfp. Retention (api) removes them.",
)
