"""The tables, their constraints, and who writes what.

Rule 4: the schema refuses what must not be. Rule 5: the comment on a table names its writer. `tasks.state` is one
value that three services move; there the owner is per transition (`lifecycle.TASK_EVENT_OWNERS`), and every move goes
through `queries.moves`. The order of locks is: schedules, the quota of a team (advisory), runs, tasks, cached_results, attempts, bookings, node_loads (by node name),
runtime_estimates (by task class, node class). Rows are deleted by retention only (`queries.pruning`), which follows it and waits for nobody.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from nodewise.core.db.columns import RUN_ID as _RUN_ID
from nodewise.core.db.columns import TIME as _TIME
from nodewise.core.db.columns import metadata
from nodewise.core.db.columns import one_of as _one_of
from nodewise.core.db.key_table import api_keys
from nodewise.core.db.run_table import runs
from nodewise.core.db.schedule_table import schedules
from nodewise.core.estimates.learning import Basis
from nodewise.core.lifecycle import AttemptState, TaskState

__all__ = [
    "api_keys", "attempts", "bookings", "cached_results", "datasets", "events", "metadata", "node_loads", "nodes", "pipeline_specs",
    "runs", "runtime_estimates", "schedules", "tasks",
]  # fmt: skip

pipeline_specs = Table(
    "pipeline_specs",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("ir", JSONB, nullable=False),
    Column("platforms", JSONB, nullable=False),
    Column("created_at", _TIME, nullable=False, server_default=func.clock_timestamp()),
    comment="Compiled pipelines by content (SHA-256 of the canonical JSON). Writer: api. Never changed.",
)

tasks = Table(
    "tasks",
    metadata,
    Column("run_id", _RUN_ID, nullable=False),
    Column("path", Text, nullable=False),
    Column("ordinal", Integer, nullable=False, comment="Place in the pipeline's topological order, from 0."),
    Column("component", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("task_class", Text, nullable=False),
    Column("spec", JSONB, nullable=False, comment="nodewise.core.model.task.TaskSpec"),
    Column("effort_flops", Float, comment="Estimated work; null: unknown."),
    Column("input_bytes", Float, comment="Size of its data set in memory; null: unknown."),
    Column(
        "upstream", ARRAY(Text), nullable=False, comment="The tasks that it waits for, as far as they exist."
    ),
    Column(
        "finaliser",
        Boolean,
        nullable=False,
        server_default=text("false"),
        comment="An exit task: it runs in a run that is being canceled, too.",
    ),
    Column("inputs", JSONB, comment="nodewise.core.model.artifact.Values; null: not known yet."),
    Column(
        "resized",
        Boolean,
        nullable=False,
        server_default=text("false"),
        comment="Its needs came from parameters: the spec was completed when it became ready.",
    ),
    Column("cache", JSONB, comment="nodewise.core.ir.caching.CacheKey; null: its result is not reused."),
    Column("state", Text, nullable=False),
    Column("attempt", Integer, nullable=False, server_default="0", comment="Number of the latest attempt."),
    Column(
        "failures",
        Integer,
        nullable=False,
        server_default="0",
        comment="FAILED attempts; LOST ones do not count.",
    ),
    Column("ready_at", _TIME),
    Column("not_before", _TIME, comment="Retry back-off: not considered before."),
    Column("admitted_at", _TIME),
    Column("position", BigInteger, comment="Order of admission; smaller is placed first."),
    Column("allowed_nodes", ARRAY(Text), comment="Where it may be placed while ADMITTED; null: anywhere."),
    Column("expected_node", Text, comment="Of the latest plan, with the two times; null: it is not planned."),
    Column("expected_start_at", _TIME),
    Column("expected_end_at", _TIME),
    Column("started_at", _TIME, comment="Of the latest attempt."),
    Column("finished_at", _TIME),
    Column("reason_code", Text),
    Column("reason", Text, comment="Why it is in this state, for a person."),
    Column("outputs", JSONB, comment="nodewise.core.model.artifact.TaskOutputs"),
    PrimaryKeyConstraint("run_id", "path"),
    ForeignKeyConstraint(["run_id"], ["runs.id"], ondelete="CASCADE"),
    _one_of("state", TaskState),
    CheckConstraint("attempt >= 0 AND failures >= 0 AND failures <= attempt", name="attempts_count"),
    CheckConstraint("input_bytes >= 0", name="input_bytes_not_negative"),
    CheckConstraint("expected_end_at >= expected_start_at", name="expected_end_after_start"),
    Index("tasks_ready_idx", "ready_at", postgresql_where=text("state = 'READY'")),
    Index("tasks_admitted_idx", "position", postgresql_where=text("state = 'ADMITTED'")),
    comment="Leaf tasks. Writer: api inserts the first of a run, recorder those that come later; scheduler, placer and recorder move state, each its own transitions.",
)

nodes = Table(
    "nodes",
    metadata,
    Column("name", Text, primary_key=True),
    Column("node_class", Text, nullable=False),
    Column("architecture", Text, nullable=False),
    Column("worker_type", Text, nullable=False),
    Column("accelerator", Text),
    Column("labels", JSONB, nullable=False),
    Column("engine", Text, nullable=False, server_default="agents", comment="What starts tasks there."),
    Column("container_runtime", Text, comment="What runs tasks that bring their own image; null: nothing."),
    Column(
        "taints",
        JSONB,
        nullable=False,
        server_default=text("'[]'"),
        comment="nodewise.core.model.selection.Taint, several.",
    ),
    Column("state", Text, nullable=False),
    Column("boot_id", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("metrics_url", Text),
    Column("first_seen_at", _TIME, nullable=False),
    Column("last_seen_at", _TIME, nullable=False),
    Column(
        "cordoned_at",
        _TIME,
        comment="Since when it takes nothing new, because an operator said so; null: it does. Writer: api.",
    ),
    CheckConstraint("state IN ('READY', 'GONE')", name="state_is_known"),
    comment="Nodes as their agents, or the Kubernetes API, describe them. Writer: recorder.",
)

node_loads = Table(
    "node_loads",
    metadata,
    Column("node", Text, ForeignKey("nodes.name", ondelete="CASCADE"), primary_key=True),
    Column("capacity_millicores", Integer, nullable=False),
    Column("capacity_memory_mib", Integer, nullable=False),
    Column("capacity_gpus", Integer, nullable=False),
    Column("booked_millicores", Integer, nullable=False, server_default="0"),
    Column("booked_memory_mib", Integer, nullable=False, server_default="0"),
    Column("booked_gpus", Integer, nullable=False, server_default="0"),
    Column("running_tasks", Integer, nullable=False, server_default="0"),
    CheckConstraint("booked_millicores BETWEEN 0 AND capacity_millicores", name="cpu_within_capacity"),
    CheckConstraint("booked_memory_mib BETWEEN 0 AND capacity_memory_mib", name="memory_within_capacity"),
    CheckConstraint("booked_gpus BETWEEN 0 AND capacity_gpus", name="gpus_within_capacity"),
    CheckConstraint("running_tasks >= 0", name="running_tasks_not_negative"),
    comment="Room and bookings of each node. Writer: queries.bookings only (placer books, recorder releases, recorder sets capacity).",
)

attempts = Table(
    "attempts",
    metadata,
    Column("run_id", _RUN_ID, nullable=False),
    Column("path", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("node", Text, ForeignKey("nodes.name"), nullable=False),
    Column("node_class", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("policy", Text, nullable=False),
    Column("strategy", Text, nullable=False),
    Column("reason_code", Text, nullable=False, comment="Why this node."),
    Column("reason", Text, nullable=False),
    Column(
        "candidates",
        JSONB,
        nullable=False,
        comment="What nodes scored, or why they were out: 50 at most, the chosen one first of all.",
    ),
    Column("predicted_seconds", Float, comment="Expected run time (the median); null: nothing known."),
    Column("job_uri", Text, comment="The job in the store."),
    Column("placer", Text, nullable=False, comment="Which placer decided."),
    Column("placed_at", _TIME, nullable=False),
    Column("dispatched_at", _TIME),
    Column("accepted_at", _TIME, comment="First heard of from the agent."),
    Column("started_at", _TIME),
    Column("finished_at", _TIME),
    Column("lease_until", _TIME, nullable=False),
    Column("exit_code", Integer),
    Column("end_code", Text),
    Column("end_message", Text),
    Column("peak_memory_mib", Integer),
    Column("cpu_seconds", Float),
    Column("log_key", Text),
    Column("predicted_low", Float, comment="Seconds; null: predicted by a release without intervals."),
    Column("predicted_high", Float),
    Column("prediction_level", Float, comment="The chance that was given to low..high."),
    Column("prediction_basis", Text, comment="nodewise.core.estimates.learning.Basis"),
    Column("prediction_samples", Integer, comment="Runs of this pair seen by then."),
    Column("predicted_memory_mib", Float, comment="Expected peak of memory (the median)."),
    Column("predicted_memory_low", Float),
    Column("predicted_memory_high", Float),
    Column(
        "more_candidates",
        JSONB,
        comment="How many nodes there were beside the candidates, by what kept them out (has_room: nothing); null: none.",
    ),
    PrimaryKeyConstraint("run_id", "path", "attempt"),
    ForeignKeyConstraint(["run_id", "path"], ["tasks.run_id", "tasks.path"], ondelete="CASCADE"),
    _one_of("state", AttemptState),
    _one_of("prediction_basis", Basis),
    CheckConstraint(
        "predicted_seconds >= predicted_low AND predicted_seconds <= predicted_high",
        name="predicted_within_interval",
    ),
    CheckConstraint(
        "predicted_memory_mib >= predicted_memory_low AND predicted_memory_mib <= predicted_memory_high",
        name="memory_within_interval",
    ),
    CheckConstraint("prediction_level > 0 AND prediction_level < 1", name="level_is_a_share"),
    CheckConstraint("prediction_samples >= 0", name="samples_not_negative"),
    Index(
        "attempts_one_live_per_task",
        "run_id",
        "path",
        unique=True,
        postgresql_where=text("state IN ('PLACED', 'RUNNING')"),
    ),
    Index("attempts_live_by_node_idx", "node", postgresql_where=text("state IN ('PLACED', 'RUNNING')")),
    Index("attempts_lease_idx", "lease_until", postgresql_where=text("state IN ('PLACED', 'RUNNING')")),
    Index("attempts_placed_at_idx", text("placed_at DESC")),
    comment="Tries at tasks. Writer: placer inserts and sets job_uri, dispatched_at; recorder moves the rest, and inserts those that KFP makes by itself.",
)

bookings = Table(
    "bookings",
    metadata,
    Column("run_id", _RUN_ID, nullable=False),
    Column("path", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("node", Text, ForeignKey("nodes.name"), nullable=False),
    Column("millicores", Integer, nullable=False),
    Column("memory_mib", Integer, nullable=False),
    Column("gpus", Integer, nullable=False),
    Column("booked_at", _TIME, nullable=False, server_default=func.clock_timestamp()),
    Column("released_at", _TIME),
    PrimaryKeyConstraint("run_id", "path", "attempt"),
    ForeignKeyConstraint(
        ["run_id", "path", "attempt"],
        ["attempts.run_id", "attempts.path", "attempts.attempt"],
        ondelete="CASCADE",
    ),
    CheckConstraint("millicores >= 0 AND memory_mib >= 0 AND gpus >= 0", name="amounts_not_negative"),
    CheckConstraint("released_at IS NULL OR released_at >= booked_at", name="released_after_booked"),
    Index("bookings_open_idx", "node", postgresql_where=text("released_at IS NULL")),
    comment="The history of booked capacity. Writer: queries.bookings only (placer books, and recorder what it sees running; recorder releases).",
)

events = Table(
    "events",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("at", _TIME, nullable=False, server_default=func.clock_timestamp()),
    Column("run_id", _RUN_ID, ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
    Column("path", Text, comment="Null: an event of the run itself."),
    Column("attempt", Integer),
    Column("event", Text, nullable=False),
    Column("from_state", Text),
    Column("to_state", Text, nullable=False),
    Column("service", Text, nullable=False),
    Column("node", Text),
    Column("reason_code", Text),
    Column("reason", Text),
    Index("events_run_idx", "run_id", "id"),
    comment="Every change of state, append-only. Writer: whoever fires the transition, through queries.moves.",
)

kfp_submissions = Table(
    "kfp_submissions",
    metadata,
    Column("run_id", _RUN_ID, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("nodes", JSONB, nullable=False, comment="Chosen nodes by path of the leaf task in the IR."),
    Column("placed_at", _TIME, nullable=False),
    Column("posted_at", _TIME, comment="From when on a post may be on its way; null: none is."),
    Column("confirmed_at", _TIME, comment="When KFP was known to have the run."),
    Column("refused_at", _TIME, comment="When it was certain that KFP never will have it."),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("try_at", _TIME, nullable=False, comment="Not tried before, by any placer."),
    Column("problem_code", Text),
    Column("problem", Text, comment="What went wrong last, for a person."),
    CheckConstraint("confirmed_at IS NULL OR refused_at IS NULL", name="one_end"),
    Index(
        "kfp_submissions_due_idx",
        "try_at",
        postgresql_where=text("confirmed_at IS NULL AND refused_at IS NULL"),
    ),
    comment="Runs on their way into Kubeflow Pipelines (nodewise.core.engine.kubeflow.submission). Writer: placer.",
)

cached_results = Table(
    "cached_results",
    metadata,
    Column(
        "digest", Text, primary_key=True, comment="Of all that decides the result (nodewise.core.ir.caching)."
    ),
    Column("component", Text, nullable=False),
    Column("parts", JSONB, nullable=False, comment="What the digest is made of, to explain misses."),
    Column("outputs", JSONB, nullable=False, comment="nodewise.core.model.artifact.TaskOutputs"),
    Column("run_id", _RUN_ID, nullable=False, comment="Who left it; the run may be gone."),
    Column("path", Text, nullable=False),
    Column("stored_at", _TIME, nullable=False),
    Index("cached_results_component_idx", "component", text("stored_at DESC")),
    Index("cached_results_run_idx", "run_id"),
    comment="Results of tasks that may be reused, by content. Writer: recorder.",
)

runtime_estimates = Table(
    "runtime_estimates",
    metadata,
    Column("task_class", Text, nullable=False),
    Column("node_class", Text, nullable=False),
    Column("seconds", JSONB, nullable=False, comment="nodewise.core.estimates.learning.Samples of run times"),
    Column("memory", JSONB, nullable=False, comment="The same of peaks of memory."),
    Column("updated_at", _TIME, nullable=False),
    PrimaryKeyConstraint("task_class", "node_class"),
    comment="What was learned of run times and memory per task class and node class. Writer: recorder.",
)

datasets = Table(
    "datasets",
    metadata,
    Column("name", Text, primary_key=True),
    Column("uri", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("samples", BigInteger),
    Column("features", Integer),
    Column("classes", Integer),
    Column("types", JSONB, nullable=False),
    Column("normalised", Boolean, nullable=False, server_default=text("true")),
    Column("created_at", _TIME, nullable=False),
    Column("updated_at", _TIME, nullable=False),
    Column("team", Text, comment="Who may replace it; null: everybody who may register one."),
    comment="The registry of named data sets. Writer: api.",
)
